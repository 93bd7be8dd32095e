"""Streams as text, both ways: one file per kind of line. Training reads its examples by the code of live streams."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
