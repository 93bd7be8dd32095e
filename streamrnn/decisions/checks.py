"""Checks of durations and snapshots, shared by all decoders."""

import math
from collections.abc import Iterable, Mapping

# Limit of counters and sums in a snapshot: up to here a float holds integers exactly.
LARGEST = 2.0**53
# No decision needs longer than ten minutes.
LONGEST_MS = 600_000.0


def whole_frames(duration_ms: float, frame_s: float) -> int:
    """The number of frames of frame_s seconds that cover duration_ms: rounded up, at least 1."""
    # Rounding first keeps 70 ms at 7 frames of 0.01 s: the quotient is 7.000000000000001.
    return max(1, math.ceil(round(duration_ms / 1000 / frame_s, 6)))


def check_duration(what: str, value: float, unit: str) -> None:
    """Raises ValueError unless `value` is a finite number, 0 or more; `what` begins the message."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{what}={value}; it must be a finite number of {unit}, 0 or more. Pass 0 to do without.")


def check_setting_ms(what: str, value: float, most_ms: float = LONGEST_MS) -> None:
    """Raises ValueError unless `value` is 0 to most_ms milliseconds; `what` begins the message.

    The limit is needed because a decoder's memory and time per frame may grow with its durations.
    """
    check_duration(what, value, "milliseconds")
    if value > most_ms:
        raise ValueError(f"{what}={value}; it must be at most {most_ms:.0f} milliseconds. Lower it.")


def check_frames(owner: str, frame_s: float, lookahead_s: float) -> None:
    """Raises ValueError unless frame_s is positive and lookahead_s is not negative; `owner` begins the message."""
    if not 0 < frame_s < math.inf:
        raise ValueError(
            f"{owner} got frame_s={frame_s}; it must be a positive number of seconds. "
            "Pass hop x stride / sample_rate of the model."
        )
    check_duration(f"{owner} got lookahead_s", lookahead_s, "seconds")


def check_snapshot(owner: str, snapshot: Mapping[str, object], needed: Iterable[str]) -> None:
    """Raises ValueError unless `snapshot` has exactly the keys `needed`; `owner` begins the message."""
    if not isinstance(snapshot, Mapping) or set(snapshot) != set(needed):
        got = f"the keys {sorted(map(str, snapshot))}" if isinstance(snapshot, Mapping) else type(snapshot).__name__
        raise ValueError(f"{owner}.restore got {got}; it needs {sorted(needed)}. Pass what {owner}.snapshot returned.")


def check_alike(owner: str, snapshot: Mapping[str, object], state: object) -> None:
    """Raises ValueError unless the values of `snapshot` have the types of `state`; `owner` begins the message."""
    for name, value in vars(state).items():
        given = snapshot[name]
        if not _alike(given, value):
            raise ValueError(
                f"{owner}.restore got {str(given)[:40]!r} for {name}; it needs a {type(value).__name__}, and only "
                f"finite numbers. Pass what {owner}.snapshot returned."
            )


def _alike(given: object, value: object) -> bool:
    match value:
        case bool() | str():
            return isinstance(given, type(value))
        case int():
            return isinstance(given, int) and not isinstance(given, bool) and -1 <= given <= LARGEST
        case float():
            return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= LARGEST
    return isinstance(given, list | tuple)


__all__ = [
    "LARGEST",
    "LONGEST_MS",
    "check_alike",
    "check_duration",
    "check_frames",
    "check_setting_ms",
    "check_snapshot",
    "whole_frames",
]
