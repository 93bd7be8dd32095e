"""The ASGI application: routes, access checks, and the headers of every response."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.samples import sample
from streamrnn.serve.access import Access, read_token
from streamrnn.serve.connection import Connection
from streamrnn.serve.dialects import Dialect
from streamrnn.serve.lines import WebSocketLine
from streamrnn.serve.native import NativeConnection
from streamrnn.serve.protocol import VERSION, ProtocolError
from streamrnn.serve.server import Server
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.siblings import Siblings
from streamrnn.serve.uploads import RETRY_S, Refused, Uploads

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def make_app(
    models: Mapping[str, Model] | Iterable[str],
    settings: ServerSettings | None = None,
    dialects: Sequence[Dialect] = (),
    siblings: Siblings | None = None,
) -> Starlette:
    """Makes an ASGI application that serves models: streams over WebSockets, recordings over HTTP, and a page.

    Its lifespan starts the models, and flushes all streams at the end. Call `streamrnn.configure()` first for speed.
    docs/protocol.md describes the protocol.

    Args:
        models: name -> model, or names of shipped models and paths; the first is the default.
        settings: limits and access; the address is up to the server that runs the application.
        dialects: other protocols to support, from streamrnn.integrations.
        siblings: the other workers of the same server.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: no model is given, or two have the same name; or the token is not valid.
        ImportError, OSError, ValueError: a dialect lacks something it needs.
    """
    settings = settings or ServerSettings()
    for dialect in dialects:
        dialect.prepare(settings)
    access = Access(read_token(settings.token_file), settings.origins)
    server = Server(loaded(models), settings, access, dialects, siblings)
    return _Routes(server, Uploads(settings, server.metrics)).app()


def loaded(models: Mapping[str, Model] | Iterable[str]) -> dict[str, Model]:
    """The models by the names under which they are served.

    Raises:
        FileNotFoundError, ValueError: there is no such model, none at all, or two have the same name.
    """
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
    """The handler of each route."""

    def __init__(self, server: Server, uploads: Uploads):
        self._server, self._uploads = server, uploads

    def app(self) -> Starlette:
        """The application; its `state.server` is the Server."""
        dialects = {
            path: make for dialect in self._server.dialects for path, make in dialect.paths(self._server).items()
        }
        routes = [
            *(WebSocketRoute(path, partial(self._hold, make)) for path, make in dialects.items()),
            # Under one mount, so that another method is refused rather than looked for among the page's files.
            Mount(
                "/v1",
                routes=[
                    WebSocketRoute("/stream", self.stream),
                    Route("/models", self.models),
                    Route("/recordings", self.recordings, methods=["POST"]),
                    Route("/recordings/{session}", self.forget, methods=["DELETE"]),
                ],
            ),
            Route("/samples/{name}.opus", _sample),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            Mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False)),
        ]
        origins = self._server.access.origins
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-session-secret"],
        )
        app = Starlette(
            routes=routes,
            middleware=[Middleware(_Headers), *([cors] if origins else [])],
            exception_handlers={HTTPException: _http_error, Refused: _refused, Exception: _failed},
            lifespan=self._lifespan,
        )
        app.state.server = self._server
        return app

    async def stream(self, websocket: WebSocket) -> None:
        """Serves one live stream."""
        await self._hold(lambda line: NativeConnection(line, self._server), websocket)

    async def _hold(self, make: Callable[[WebSocketLine], Connection], websocket: WebSocket) -> None:
        if not self._trusts(websocket.headers):
            await websocket.send_denial_response(_error(403, "forbidden", _FOREIGN))
        elif self._server.refuses_newcomers:
            await websocket.send_denial_response(_error(503, "busy", "too many connections have not said hello."))
        else:
            await self._server.hold(make(WebSocketLine(websocket)))

    async def models(self, request: Request) -> Response:
        """Lists the models."""
        self._check(request)
        return JSONResponse({"version": VERSION, "models": self._server.descriptions})

    async def recordings(self, request: Request) -> Response:
        """Processes a whole recording."""
        self._check(request)
        parameters = request.query_params.multi_items()
        model = dict(parameters).get("model")
        try:
            engine = self._server.engine(model)
        except ProtocolError as error:
            raise Refused(404, error.code, error.message) from None
        settings = [(name, value) for name, value in parameters if name != "model"]
        return await self._uploads.answer(request, engine.model, settings)

    async def forget(self, request: Request) -> Response:
        """Deletes the recording of a session."""
        self._check(request)
        recorder, secret = self._server.recorder, request.headers.get("x-session-secret", "")
        if recorder is None or not recorder.delete(request.path_params["session"], secret):
            raise Refused(404, "not_found", "there is no recording of this session with this X-Session-Secret.")
        return Response(status_code=204)

    async def health(self, request: Request) -> Response:
        """Whether streams can be served."""
        health = await self._server.crossing.health()
        return JSONResponse(health, status_code=200 if health["status"] == "ok" else 503)

    async def metrics(self, request: Request) -> Response:
        """Metrics in Prometheus's format."""
        self._check(request)
        return Response(await self._server.crossing.figures(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _check(self, request: Request) -> None:
        if not self._trusts(request.headers):
            raise Refused(403, "forbidden", _FOREIGN)
        # Browsers send an origin with everything but some GETs; WebSockets are never among these.
        if request.headers.get("origin") is None and not self._server.access.knows(request.headers.get("host")):
            raise Refused(403, "forbidden", _UNKNOWN)
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


_UNKNOWN = "the server has no token and does not know the name in Host. Start it with --origins http://that.name."


async def _sample(request: Request) -> Response:
    """A recording that ships with the package, for the page."""
    try:
        return FileResponse(sample(request.path_params["name"]), media_type="audio/ogg")
    except ValueError:
        raise HTTPException(404) from None


_FOREIGN = "pages of this origin may not use the server. Start it with --origins to allow them."


class _Headers:
    """Adds security headers to every response, and closes connections whose request body was not read to its end."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]}
        is_whole = not names & {b"content-length", b"transfer-encoding"}

        async def noted() -> Message:
            nonlocal is_whole
            message = await receive()
            if message["type"] == "http.request":
                is_whole = not message.get("more_body", False)
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not is_whole:
                    headers["connection"] = "close"
            await send(message)

        await self._app(scope, noted, with_headers)


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
    return _error(500, "internal", "internal server error; see the server's log.")


__all__ = ["loaded", "make_app"]
