"""What every decoder asks of its durations and snapshots."""

import math
from collections.abc import Iterable, Mapping


def whole_frames(duration_ms: float, frame_s: float) -> int:
    """How many frames of frame_s seconds last duration_ms: rounded up, at least 1."""
    # Rounding first keeps 70 ms at 7 frames of 0.01 s: the quotient is 7.000000000000001.
    return max(1, math.ceil(round(duration_ms / 1000 / frame_s, 6)))


def check_duration(what: str, value: float, unit: str) -> None:
    """Raises ValueError unless `value` is a finite number, 0 or more; `what` begins the message."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{what}={value}; it needs a finite number of {unit}, 0 or more. Pass 0 to do without.")


def check_frames(owner: str, frame_s: float, lookahead_s: float) -> None:
    """Raises ValueError unless frame_s is positive and lookahead_s is not negative; `owner` begins the message."""
    if not 0 < frame_s < math.inf:
        raise ValueError(
            f"{owner} got frame_s={frame_s}; it needs a positive number of seconds. "
            "Pass hop x stride / sample_rate of the model."
        )
    check_duration(f"{owner} got lookahead_s", lookahead_s, "seconds")


def check_snapshot(owner: str, snapshot: Mapping[str, object], needed: Iterable[str]) -> None:
    """Raises ValueError unless the keys of `snapshot` are those needed; `owner` begins the message."""
    if set(snapshot) != set(needed):
        raise ValueError(
            f"{owner}.restore got the keys {sorted(snapshot)}; it needs {sorted(needed)}. "
            f"Pass what {owner}.snapshot returned."
        )


__all__ = ["check_duration", "check_frames", "check_snapshot", "whole_frames"]
