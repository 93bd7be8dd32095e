"""Models that come with the package, and models as files."""

from streamrnn.pretrained.averaging import average
from streamrnn.pretrained.weights import describe, load, locate, save, shipped

__all__ = ["average", "describe", "load", "locate", "save", "shipped"]
