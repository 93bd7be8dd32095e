"""Models that come with the package, and models as files."""

from streamrnn.pretrained.weights import describe, load, locate, save, shipped

__all__ = ["describe", "load", "locate", "save", "shipped"]
