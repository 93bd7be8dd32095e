from .app import make_app
from .client import Client, connect
from .client_async import AsyncClient, connect_async
from .client_errors import ConnectionLost, ServerRefused
from .listen import serve
from .settings import ServerSettings

__all__ = [
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "ServerRefused",
    "ServerSettings",
    "connect",
    "connect_async",
    "make_app",
    "serve",
]
