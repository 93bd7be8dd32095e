"""Train once, stream forever: recurrent speech models that learn from whole recordings and run live, block by block.

Importing this package does not import JAX. Here and in most rooms, names are imported from their modules on first use;
`__init__.pyi` lists them, for this mechanism and for type checkers.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
