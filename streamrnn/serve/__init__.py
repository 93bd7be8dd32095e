"""Serving live streams, and using a server; docs/protocol.md says what both sides speak.

Importing this package imports neither JAX nor a web server; names are fetched when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrnn.serve.app import make_app
    from streamrnn.serve.client import Client, connect
    from streamrnn.serve.client_async import AsyncClient, connect_async
    from streamrnn.serve.client_errors import ConnectionLost, ServerRefused
    from streamrnn.serve.listen import serve
    from streamrnn.serve.settings import ServerSettings

_PLACES = {
    "app": ("make_app",),
    "client": ("Client", "connect"),
    "client_async": ("AsyncClient", "connect_async"),
    "client_errors": ("ConnectionLost", "ServerRefused"),
    "listen": ("serve",),
    "settings": ("ServerSettings",),
}
_OF_EXTRA = ("h11", "prometheus_client", "starlette", "uvicorn", "websockets")
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'streamrnn.serve' has no attribute {name!r}")
    try:
        place = import_module(f"streamrnn.serve.{_PLACE_OF[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_EXTRA:
            raise
        raise ImportError(f"{error.name} is missing. Install it: pip install 'streamrnn[serve]'") from error
    return getattr(place, name)


def __dir__() -> list[str]:
    return __all__


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
