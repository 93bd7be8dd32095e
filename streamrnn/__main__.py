"""`python -m streamrnn` is the command `streamrnn`."""

import sys

from streamrnn.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
