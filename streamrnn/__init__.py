"""Train once, stream forever: recurrent speech models that learn from whole recordings and run live, block by block.

Importing this package imports no JAX. Names are fetched from their modules when first used, here and in most rooms:
`__init__.pyi` lists them, for this and for type checkers.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
