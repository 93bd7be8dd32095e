"""Serving on a socket: uvicorn with a server's limits, and an end that loses nothing."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import uvicorn

from streamrnn.models import Model
from streamrnn.serve.access import is_loopback, read_token
from streamrnn.serve.app import make_app
from streamrnn.serve.guards import GuardedWebSocket, guarded_http
from streamrnn.serve.settings import ServerSettings

logger = logging.getLogger(__name__)

# Files that are open besides connections.
SPARE_FILES = 100


class CannotListen(OSError):
    """The address is in use, or not this machine's."""


def serve(
    models: Mapping[str, Model] | Iterable[str],
    settings: ServerSettings | None = None,
    when_ready: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serves models until the process is told to end (SIGINT, SIGTERM); all streams are flushed then.

    Args:
        models: as for make_app.
        settings: where to listen, who is let in, limits.
        when_ready: called with the server's address once it answers.

    Raises:
        CannotListen: the address is in use, for instance.
        OSError, ValueError: as make_app, or certificate or key cannot be used.
    """
    settings = settings or ServerSettings()
    _check_certificate(settings)
    # The socket first: nothing is loaded in vain.
    with listening(settings) as sock:
        if not is_loopback(settings.host) and read_token(settings.token_file) is None:
            logger.warning(
                "anybody who reaches this machine can use the server; set a token", extra={"host": settings.host}
            )
        _allow_files(settings.max_connections + SPARE_FILES)
        app = make_app(models, settings)
        web_server(app, settings, lambda: when_ready(_url(settings, sock))).run(sockets=[sock])


def listening(settings: ServerSettings) -> socket.socket:
    """A socket bound to the settings' address. Raises CannotListen."""
    try:
        info = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sock = socket.socket(info[0][0])
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(info[0][4])
        except OSError:
            sock.close()
            raise
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise CannotListen(
            f"cannot listen at {where}: {error.strerror}. Choose another with --port or --host."
        ) from None
    return sock


def web_server(app: Any, settings: ServerSettings, when_ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A uvicorn server with the settings' limits, to be run with a socket."""
    config = uvicorn.Config(
        app,
        http=guarded_http(settings),
        # The sans-I/O one is the one that is not deprecated, and it stops reading while messages wait.
        ws=GuardedWebSocket,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=settings.ping_s,
        ws_ping_timeout=settings.ping_s,
        # Sound hardly gets smaller, and the effort would be that of the model.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_s) + 1,
        ssl_certfile=settings.certfile,
        ssl_keyfile=settings.keyfile,
    )
    return _WebServer(config, app.state.server, when_ready)


class _WebServer(uvicorn.Server):
    """uvicorn closes connections before it tells the application to end; here the application says its last words."""

    def __init__(self, config: uvicorn.Config, streams: Any, when_ready: Callable[[], None]):
        super().__init__(config)
        self._streams, self._when_ready = streams, when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._streams.stop()
        await super().shutdown(sockets)


def _check_certificate(settings: ServerSettings) -> None:
    """Raises what is wrong with it, by name: of a file that is missing, TLS only says that one is."""
    if settings.certfile is None:
        return
    for path in (settings.certfile, settings.keyfile):
        if path is not None:
            path.open("rb").close()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certfile, settings.keyfile)
    except ssl.SSLError as error:
        raise ValueError(
            f"{settings.certfile} is no certificate with its key ({error.reason}). Pass PEM files."
        ) from None


def _url(settings: ServerSettings, sock: socket.socket) -> str:
    scheme = "http" if settings.certfile is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{sock.getsockname()[1]}"


def _allow_files(needed: int) -> None:
    """Raises the limit of open files, as far as it goes: often it is 1024."""
    try:
        import resource
    except ImportError:  # Windows has neither the module nor the limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if soft != resource.RLIM_INFINITY and max(soft, allowed) < needed:
        logger.warning("fewer files may be open than connections; raise ulimit -n", extra={"files": allowed})


__all__ = ["CannotListen", "listening", "serve", "web_server"]
