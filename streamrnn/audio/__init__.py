"""Sound in: files, microphones and pipes as chunks of samples, chunks as exact blocks, sample rates, augmentation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
