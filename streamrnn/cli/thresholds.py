"""The threshold for so many false alarms per hour, from a detection curve."""

from typing import Any


def recommended(detection: dict[str, Any] | None, most_per_hour: float) -> dict[str, Any]:
    """The point of the curve with the lowest threshold that raises at most so many false alarms per hour.

    Raises:
        ValueError: there is no sound without words, or every threshold raises more.
    """
    if detection is None:
        raise ValueError("There is no sound without words in which to count false alarms. Pass some with --negatives.")
    fitting = [point for point in detection["curve"] if point["false_alarms_per_hour"] <= most_per_hour]
    if not fitting:
        last = detection["curve"][-1]
        raise ValueError(
            f"Even at the threshold {last['threshold']:.2f} there are {last['false_alarms_per_hour']:.1f} false alarms "
            f"per hour, more than {most_per_hour:g}. Train with more sound of this kind, or allow more."
        )
    return min(fitting, key=lambda point: point["threshold"])


def advice(point: dict[str, Any], hours: float) -> str:
    """What that threshold costs, in a sentence; and whether there was enough sound to say so."""
    alarms = f"{point['false_alarms_per_hour']:.2f} false alarms per hour"
    if (bound := point["bound_per_hour"]) is not None:
        alarms = f"no false alarm in {hours:.2f} h, which is below {bound:.1f} per hour with 95 % confidence"
    return f"threshold {point['threshold']:.2f}: {100 * point['miss_rate']:.1f} % missed, {alarms}"


__all__ = ["advice", "recommended"]
