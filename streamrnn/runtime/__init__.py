"""Running models live: streams, listeners, pools of streams, whole recordings.

JAX is imported only where a Model is compiled; exported models run without it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
