"""How much somebody may do: so much at once, and so much more with each second."""

import time


class Allowance:
    """An amount that is spent, and grows again.

    Args:
        most: what there is at first, and at most.
        per_s: what comes back in a second; default: `most`.
    """

    def __init__(self, most: float, per_s: float | None = None):
        self._most, self._per_s = most, most if per_s is None else per_s
        self._left, self._at = most, time.monotonic()

    def spend(self, amount: float = 1.0) -> bool:
        """Spends an amount; False if there was less, and then nothing is spent."""
        now = time.monotonic()
        self._left, self._at = min(self._most, self._left + (now - self._at) * self._per_s), now
        if self._left < amount:
            return False
        self._left -= amount
        return True


__all__ = ["Allowance"]
