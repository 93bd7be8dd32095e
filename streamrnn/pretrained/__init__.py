"""Models that come with the package, and models as files.

Names are fetched from their modules when first used: loading an exported model imports no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamrnn.pretrained.loading import load

if TYPE_CHECKING:
    from streamrnn.pretrained.averaging import average
    from streamrnn.pretrained.weights import describe, locate, save, save_decided, shipped

_MODULE_OF = {name: "weights" for name in ("describe", "locate", "save", "save_decided", "shipped")} | {
    "average": "averaging"
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamrnn.pretrained' has no attribute {name!r}")
    return getattr(import_module(f"streamrnn.pretrained.{_MODULE_OF[name]}"), name)


__all__ = ["average", "describe", "load", "locate", "save", "save_decided", "shipped"]
