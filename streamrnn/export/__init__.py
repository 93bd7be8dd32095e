"""Models for other runtimes: ONNX files, which need neither JAX nor this package, and StableHLO files, which need JAX.

Names are imported from their modules on first use, so exporting StableHLO imports no ONNX. `streamrnn.load` runs ONNX
files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
