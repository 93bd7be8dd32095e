"""Models that come with the package, and models as files.

Names are fetched from their modules when first used: loading an exported model imports no JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
