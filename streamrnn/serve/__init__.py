"""Serving live streams, and clients for such servers; docs/protocol.md describes the protocol.

Importing this package imports neither JAX nor a web server.
"""

from typing import Any

import lazy_loader

_fetched, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_OF_EXTRA = ("h11", "prometheus_client", "starlette", "uvicorn", "websockets")


def __getattr__(name: str) -> Any:
    try:
        return _fetched(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_EXTRA:
            raise
        raise ImportError(f"{error.name} is missing. Install it: pip install 'streamrnn[serve]'") from error
