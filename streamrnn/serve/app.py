"""The ASGI application: routes, who may use them, and the headers of every answer."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.serve.access import Access, read_token
from streamrnn.serve.protocol import VERSION, ProtocolError
from streamrnn.serve.server import Server
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.uploads import RETRY_S, Refused, Uploads

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def make_app(models: Mapping[str, Model] | Iterable[str], settings: ServerSettings | None = None) -> Starlette:
    """An ASGI application that serves models: live over WebSockets, recordings over HTTP, and a page. For any server.

    Its lifespan makes the models ready, and in the end flushes all streams. `streamrnn.configure()` beforehand makes
    it faster. docs/protocol.md says what it speaks.

    Args:
        models: name -> model, or names of shipped models and paths; the first is the default.
        settings: limits and who is let in; where to listen is up to whoever runs the application.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: no model is given, or two of the same name; or the token cannot be used.
    """
    settings = settings or ServerSettings()
    server = Server(_loaded(models), settings, Access(read_token(settings.token_file), settings.origins))
    return _Routes(server, Uploads(settings, server.metrics)).app()


def _loaded(models: Mapping[str, Model] | Iterable[str]) -> dict[str, Model]:
    if isinstance(models, Mapping):
        found = dict(models)
    else:
        paths = [models] if isinstance(models, str) else list(models)
        found = {Path(path).name.removesuffix(".safetensors"): load(path) for path in paths}
        if len(found) < len(paths):
            raise ValueError(f"two of the models {', '.join(paths)} have the same name. Rename one of the files.")
    if not found:
        raise ValueError("there is no model to serve. Pass the name of one or more, such as vad.")
    return found


class _Routes:
    """What is behind each address."""

    def __init__(self, server: Server, uploads: Uploads):
        self._server, self._uploads = server, uploads

    def app(self) -> Starlette:
        """The application; its `state.server` is the Server."""
        routes = [
            WebSocketRoute("/v1/stream", self.stream),
            Route("/v1/models", self.models),
            Route("/v1/recordings", self.recordings, methods=["POST"]),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            Mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False)),
        ]
        origins = list(self._server.settings.origins)
        cors = Middleware(CORSMiddleware, allow_origins=origins, allow_headers=["authorization"])
        app = Starlette(
            routes=routes,
            middleware=[Middleware(_Headers), *([cors] if origins else [])],
            exception_handlers={HTTPException: _http_error, Refused: _refused, Exception: _failed},
            lifespan=self._lifespan,
        )
        app.state.server = self._server
        return app

    async def stream(self, websocket: WebSocket) -> None:
        """One live stream."""
        if not self._trusts(websocket.headers):
            await websocket.send_denial_response(_error(403, "forbidden", _FOREIGN))
        elif self._server.refuses_newcomers:
            await websocket.send_denial_response(_error(503, "busy", "too many connections have not said hello."))
        else:
            await self._server.hold(websocket)

    async def models(self, request: Request) -> Response:
        """What can be had."""
        self._check(request)
        return JSONResponse({"version": VERSION, "models": self._server.descriptions})

    async def recordings(self, request: Request) -> Response:
        """What a model makes of a whole recording."""
        self._check(request)
        parameters = dict(request.query_params)
        try:
            engine = self._server.engine(parameters.pop("model", None))
        except ProtocolError as error:
            raise Refused(404, error.code, error.message) from None
        return await self._uploads.answer(request, engine.model, parameters)

    async def health(self, request: Request) -> Response:
        """Whether streams can be served."""
        server = self._server
        status = 200 if server.state == "ok" else 503
        figures = {"streams": len(server.sessions), "max_streams": server.settings.max_streams}
        return JSONResponse({"status": server.state, **figures}, status_code=status)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        self._check(request)
        return Response(self._server.metrics.as_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _check(self, request: Request) -> None:
        if not self._trusts(request.headers):
            raise Refused(403, "forbidden", _FOREIGN)
        if not self._server.access.admits(request.headers.get("authorization")):
            raise Refused(401, "unauthorized", "the token is missing or wrong. Send it as Authorization: Bearer TOKEN.")

    def _trusts(self, headers: Headers) -> bool:
        return self._server.access.trusts(headers.get("origin"), headers.get("host"))

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        await self._server.start()
        try:
            yield
        finally:
            await self._server.stop()


_FOREIGN = "pages of this origin may not use the server. Start it with --origins for those that may."


class _Headers:
    """Adds to every answer what browsers shall know."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


def _error(status: int, code: str, message: str) -> JSONResponse:
    headers = {"retry-after": str(RETRY_S)} if status in (429, 503) else None
    if status == 401:
        headers = {"www-authenticate": "Bearer"}
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


async def _refused(_request: Request, error: Any) -> Response:
    return _error(error.status, error.code, error.message)


async def _http_error(_request: Request, error: Any) -> Response:
    code = "not_found" if error.status_code == 404 else "bad_request"
    answer = _error(error.status_code, code, f"{error.detail}.")
    answer.headers.update(error.headers or {})
    return answer


async def _failed(_request: Request, _error_: Exception) -> Response:
    return _error(500, "internal", "the server failed; its log has the reason.")


__all__ = ["make_app"]
