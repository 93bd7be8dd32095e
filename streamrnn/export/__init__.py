"""Models for other runtimes: ONNX files, which need neither JAX nor this package, and StableHLO files, which need JAX.

Names are fetched from their modules when first used: exporting StableHLO imports no ONNX. ONNX files run by
`streamrnn.load`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
