from .averaging import average
from .loading import load
from .weights import describe, locate, save, save_decided, shipped

__all__ = [
    "average",
    "describe",
    "load",
    "locate",
    "save",
    "save_decided",
    "shipped",
]
