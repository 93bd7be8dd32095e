"""Rate limits as token buckets: a burst, and a refill per second."""

import time


class Allowance:
    """A token bucket.

    Args:
        most: its capacity; it starts full.
        per_s: refill per second; default: `most`.
    """

    def __init__(self, most: float, per_s: float | None = None):
        self._most, self._per_s = most, most if per_s is None else per_s
        self._left, self._at = most, time.monotonic()

    def spend(self, amount: float = 1.0) -> bool:
        """Spends an amount; returns False, and spends nothing, if less is left."""
        now = time.monotonic()
        self._left, self._at = min(self._most, self._left + (now - self._at) * self._per_s), now
        if self._left < amount:
            return False
        self._left -= amount
        return True


__all__ = ["Allowance"]
