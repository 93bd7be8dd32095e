"""Serving on a socket: uvicorn with a server's limits, and a shutdown that loses nothing."""

import gc
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import uvicorn

from streamrnn.models import Model
from streamrnn.serve.access import is_loopback, read_token
from streamrnn.serve.app import make_app
from streamrnn.serve.dialects import Dialect
from streamrnn.serve.ending import EndingServer
from streamrnn.serve.engine import EngineFailed
from streamrnn.serve.gate import Doors
from streamrnn.serve.guards import guarded
from streamrnn.serve.settings import ServerSettings, read_setting
from streamrnn.serve.siblings import Siblings

logger = logging.getLogger(__name__)

# Open files besides connections and recordings.
SPARE_FILES = 100
# Collections of the middle generation per full collection; Python's default is 10.
MIDDLE_LOOKS = 2


class CannotListen(OSError):
    """The address is in use, or does not belong to this machine."""


def serve(
    models: Mapping[str, Model] | Iterable[str],
    settings: ServerSettings | None = None,
    when_ready: Callable[[str], None] = lambda _url: None,
    dialects: Sequence[Dialect] = (),
    siblings: Siblings | None = None,
) -> None:
    """Serves models until the process is told to stop (SIGINT, SIGTERM, SIGHUP). It then hands over all streams, so
    that another server can continue them. A second signal ends it at once.

    Args:
        models: as for make_app.
        settings: address, access and limits.
        when_ready: called with the server's URL once it answers.
        dialects: as for make_app.
        siblings: the other workers of the same server, which share the port.

    Raises:
        CannotListen: the address is in use, for instance.
        ImportError, OSError, ValueError: as make_app; or the certificate, key or store cannot be used.
        EngineFailed: a model's engine failed again and again; all other streams were ended as after a signal.
    """
    settings = settings or ServerSettings()
    _tls(settings)
    # The socket first: if it fails, no model was loaded in vain.
    with listening(settings, shared=siblings is not None) as sock:
        if not is_loopback(settings.host) and read_token(settings.token_file) is None:
            logger.warning(
                "anybody who reaches this machine can use the server; set a token", extra={"host": settings.host}
            )
        _allow_files(files_at_once(settings))
        app = make_app(models, settings, dialects, siblings)

        def ready() -> None:
            _leave_models_alone()
            when_ready(url_of(settings, sock))

        web_server(app, settings, ready).run(sockets=[sock])
        for engine in app.state.server.engines.values():
            if engine.failed:
                raise EngineFailed(f"the engine of {engine.name} failed again and again; the log has the reason.")


def listening(settings: ServerSettings, shared: bool = False) -> socket.socket:
    """Binds a socket to the settings' address, for one process or shared by several. Raises CannotListen."""
    try:
        info = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sock = socket.socket(info[0][0])
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
    """Makes a uvicorn server with the settings' limits, to be run with a socket."""
    doors = Doors(settings, _tls(settings))
    config = uvicorn.Config(
        app,
        # uvicorn expects a class but only calls it. Its WebSockets are of the sans-I/O kind, the one that is not
        # deprecated, which stops reading while messages are queued.
        http=guarded(doors, app.state.server.buffered),  # pyright: ignore[reportArgumentType]
        ws="websockets-sansio",
        # uvloop would start reading before the handshake can begin.
        loop="auto" if doors.context is None else "asyncio",
        ws_ping_interval=settings.ping_s,
        ws_ping_timeout=settings.ping_s,
        # Sound hardly compresses, and trying would cost as much as the model.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_s) + 1,
    )
    return _WebServer(config, app.state.server, doors, when_ready)


class _WebServer(EndingServer):
    """uvicorn closes connections before it ends the application; here the application sends its last messages first."""

    def __init__(self, config: uvicorn.Config, streams: Any, doors: Doors, when_ready: Callable[[], None]):
        super().__init__(config)
        self._streams, self._doors, self._when_ready = streams, doors, when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Not by the application's lifespan, whose errors uvicorn only logs.
        try:
            await self._streams.start()
        except Exception:
            await self._streams.stop()
            raise
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    async def on_tick(self, counter: int) -> bool:
        # A supervisor can restart a process that ended, but leaves one alone that runs without serving.
        return await super().on_tick(counter) or self._streams.has_failed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self._doors.shut()
        await self._streams.stop()
        await super().shutdown(sockets)


def _leave_models_alone() -> None:
    """Hides models and modules from the garbage collector: they live as long as the process.

    A closed connection leaves cycles of objects, some 50 kB. Beside 200,000 old objects, Python collects old cycles
    only after a quarter as many new ones, and each collection stops all streams. Without them a collection is short,
    and can run more often.
    """
    gc.collect()
    gc.freeze()
    # Resets the count of old objects.
    gc.collect()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, MIDDLE_LOOKS)


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """The TLS context. Raises errors that name the faulty file: TLS itself only reports that a file is missing."""
    if settings.certfile is None:
        return None
    certificate = read_setting("certfile", settings.certfile)
    if b"-----BEGIN CERTIFICATE" not in certificate:
        raise ValueError(f"certfile is {settings.certfile}, which has no certificate in it. Pass a PEM file.")
    key = certificate if settings.keyfile is None else read_setting("keyfile", settings.keyfile)
    if b"PRIVATE KEY-----" not in key:
        there = "Pass keyfile as well" if settings.keyfile is None else "Pass the PEM file of the key"
        raise ValueError(f"{settings.keyfile or settings.certfile} has no private key in it. {there}.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certfile, settings.keyfile, _no_password)
    except ssl.SSLError as error:
        raise ValueError(
            f"{settings.certfile} cannot be used with the key in {settings.keyfile or settings.certfile} "
            f"({error.reason or 'damaged'}). Pass PEM files of a certificate and its own key."
        ) from None
    return context


def _no_password() -> str:
    # Else OpenSSL prompts on the terminal, and a service would wait forever.
    raise ValueError("the private key is encrypted. Pass one without a password: openssl pkey -in KEY -out PLAIN.")


def url_of(settings: ServerSettings, sock: socket.socket) -> str:
    """The URL of a server at this socket."""
    scheme = "http" if settings.certfile is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{sock.getsockname()[1]}"


def files_at_once(settings: ServerSettings) -> int:
    """The most files a server has open: its connections, and a recording per stream."""
    recordings = 0 if settings.record is None else settings.max_streams
    return settings.max_connections + recordings + SPARE_FILES


def _allow_files(needed: int) -> None:
    """Raises the limit of open files as far as allowed: often it is 1024."""
    try:
        import resource
    except ImportError:  # Windows has neither the module nor the limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if soft != resource.RLIM_INFINITY and max(soft, allowed) < needed:
        logger.warning(
            "fewer files may be open than connections and recordings; raise ulimit -n", extra={"files": allowed}
        )


__all__ = ["CannotListen", "files_at_once", "listening", "serve", "url_of", "web_server"]
