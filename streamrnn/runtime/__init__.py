"""Models running live: streams, listeners, pools of them, whole recordings.

JAX is imported where a Model is compiled: exported models run without it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
