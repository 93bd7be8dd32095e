"""What somebody may have meant who mistyped a name."""

import difflib
from collections.abc import Iterable

# Two letters of three that changed places are near, "singing" and "typing" are not.
NEAR = 0.65


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """ " Did you mean 'vad'?", to go into an error message, for the known name that is closest; "" where none is."""
    by_small = {name.lower(): name for name in known}
    said = str(given).lower()
    near = difflib.get_close_matches(said, by_small, 1, NEAR)
    # A part of a name, too, such as mute of after-mute.
    near = near or sorted((small for small in by_small if len(said) > 2 and said in small), key=len)
    return f" Did you mean {by_small[near[0]]!r}?" if near else ""


__all__ = ["did_you_mean"]
