"""Writing audio files through libsndfile."""

import os
from pathlib import Path

import numpy as np
import soundfile

from streamrnn.audio.chunks import AudioError, check_recording, require_rate

PathLike = str | os.PathLike[str]

_WRITTEN_AS = {np.float16: np.float32} | {kind: kind for kind in (np.float32, np.float64, np.int16, np.int32)}


def write_audio(path: PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Writes float[n] or [n, channels] in [-1, 1], or int16; the extension chooses the format (.wav, .flac, .ogg, ...).

    WAV and FLAC are written with 16 bits; values beyond [-1, 1] are clipped.

    Raises:
        FileNotFoundError: the folder does not exist.
        AudioError: the extension is unknown, the shape is not audio, samples are NaN, or the place or the rate cannot
            be written.
        TypeError: another type of numbers.
    """
    # Before the file is opened, so that invalid samples never replace a file.
    samples = _writable(np.asarray(samples))
    with written(path, sample_rate, 1 if samples.ndim == 1 else samples.shape[1]) as file:
        try:
            file.write(samples)
        except soundfile.SoundFileError as error:
            raise AudioError(f"cannot write {path} ({error}). Is the disk full?") from error


def written(path: PathLike, sample_rate: int, channels: int) -> soundfile.SoundFile:
    """A new audio file, in the format of its extension.

    Raises:
        FileNotFoundError: the folder does not exist.
        AudioError: the extension is unknown, or the place or the rate cannot be written.
    """
    path = Path(path)
    require_rate(sample_rate)
    if not sample_rate >= 1 or sample_rate % 1:
        raise AudioError(f"cannot write {path} at {sample_rate} Hz; pass a positive whole number, such as 16000.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist. Create it first.")
    require_format(path)
    try:
        # By descriptor, because soundfile accepts only UTF-8 names.
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        return soundfile.SoundFile(number, "w", int(sample_rate), channels, format=path.suffix[1:])
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        why = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise AudioError(
            f"cannot write {path} ({why.strip()}). Check that the folder {path.parent} is writable, and "
            f"that the format takes {sample_rate} Hz."
        ) from error


def require_format(path: Path) -> None:
    """Raises AudioError if the extension does not name a format."""
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise AudioError(f"cannot write {path}: no format {path.suffix!r}. Use .wav, .flac, .ogg or .mp3.")


def _writable(samples: np.ndarray) -> np.ndarray:
    """The samples in a type and byte order that soundfile writes unchanged."""
    check_recording(samples.shape)
    kind = samples.dtype.type
    if kind not in _WRITTEN_AS:
        raise TypeError(f"audio is {samples.dtype}; it must be float in [-1, 1] or int16 to be written. Convert it.")
    samples = samples.astype(_WRITTEN_AS[kind], copy=False)
    if np.isnan(samples).any():
        raise AudioError(
            f"audio holds NaN, the first at sample {np.argwhere(np.isnan(samples))[0, 0]}. Nothing was written: repair "
            "it or leave it out."
        )
    return samples


__all__ = ["require_format", "write_audio", "written"]
