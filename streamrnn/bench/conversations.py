"""Recorded conversations as load: many different ones of any length from a few recordings, and their events."""

from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import read_audio
from streamrnn.models import Model
from streamrnn.runtime import Listener

CHECKOUT = Path(__file__).parents[2] / "audio_samples"
# The wheel contains fewer of them.
SAMPLES = CHECKOUT if CHECKOUT.is_dir() else Path(__file__).parents[1] / "samples"
SUFFIXES = {".flac", ".wav", ".ogg", ".opus", ".mp3"}
# Not commensurate with the length of any recording.
SHIFT_S = 2.3


def conversations(sound: Path | None, sample_rate: int, count: int, duration_s: float) -> list[np.ndarray]:
    """Makes conversations, int16[n] each: all recordings, concatenated and repeated, each from another start.

    Args:
        sound: a recording, or a folder of them; default: the project's audio_samples, or what comes with the package.

    Raises:
        FileNotFoundError: there is no recording.
    """
    whole = np.concatenate([_pcm(path, sample_rate) for path in _recordings(SAMPLES if sound is None else sound)])
    length, shift = round(duration_s * sample_rate), round(SHIFT_S * sample_rate)
    return [np.resize(np.roll(whole, -k * shift), length) for k in range(count)]


def events_of(model: Model, samples: np.ndarray) -> list[dict[str, Any]]:
    """The events that a Listener in this process emits, as sent over the wire."""
    listener = Listener(model)
    return [event.to_dict() for event in listener.feed(samples) + listener.finish()]


def same(event: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two events are equal except for the last digits of their scores."""
    return abs(event["score"] - other["score"]) < 1e-3 and all(
        event[name] == other[name] for name in other.keys() - {"score"}
    )


def _recordings(sound: Path) -> list[Path]:
    found = [sound] if sound.is_file() else sorted(p for p in sound.glob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(
            f"there is no recording at {sound}. Pass a recording, or a folder of them, with --sound."
        )
    return found


def _pcm(path: Path, sample_rate: int) -> np.ndarray:
    samples, _ = read_audio(path, sample_rate)
    return np.clip(np.rint(32768 * samples), -32768, 32767).astype(np.int16)


__all__ = ["conversations", "events_of", "same"]
