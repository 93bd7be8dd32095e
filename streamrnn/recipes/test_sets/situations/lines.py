"""What lines do to sound: telephone codecs, packets that are lost, transmission that stops in pauses."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioError, resample

TELEPHONE_RATE = 8000
PACKET_S = 0.02
HANG_S = 0.12


def in_format(
    samples: np.ndarray, sample_rate: int, container: str, subtype: str, compression_level: float | None = None
) -> np.ndarray:
    """Samples, float32[n], written in a format of libsndfile and read back -> float32[n].

    Raises:
        AudioError: this libsndfile does not know the format.
    """
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        try:
            with soundfile.SoundFile(
                path, "w", sample_rate, 1, subtype, format=container, compression_level=compression_level
            ) as file:
                file.write(np.clip(samples, -1, 1))
            read, _ = soundfile.read(path, dtype="float32")
        except (soundfile.LibsndfileError, ValueError) as error:
            raise AudioError(f"libsndfile can't write {container} {subtype}: {error}. Install a newer one.") from error
    return np.pad(read, (0, max(0, len(samples) - len(read))))[: len(samples)]


def mu_law(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """G.711 with the mu law."""
    return in_format(samples, sample_rate, "WAV", "ULAW")


def a_law(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """G.711 with the A law."""
    return in_format(samples, sample_rate, "WAV", "ALAW")


def gsm(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """GSM 06.10, full rate, 13 kbit/s."""
    return in_format(samples, sample_rate, "WAV", "GSM610")


def opus(kbit_per_s: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """Opus at about this rate."""

    def coded(samples: np.ndarray, sample_rate: int) -> np.ndarray:
        # libsndfile takes a level from 0 to 1 for 256 down to 6 kbit/s.
        level = float(np.clip((256 - kbit_per_s) / 250, 0, 1))
        return in_format(samples, sample_rate, "OGG", "OPUS", compression_level=level)

    return coded


def amr(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """AMR narrow band, at SoX's default rate of 4.75 kbit/s.

    Raises:
        AudioError: there is no SoX, or it does not know AMR.
    """
    sox = shutil.which("sox")
    if sox is None:
        raise AudioError("AMR is coded by SoX, and there is no program sox. Install sox and libsox-fmt-all.")
    raw = ["-t", "raw", "-r", str(sample_rate), "-e", "signed", "-b", "16", "-c", "1", "-"]
    coded = _piped([sox, "-D", *raw, "-t", "amr-nb", "-"], _int16(samples).tobytes())
    decoded = _piped([sox, "-D", "-t", "amr-nb", "-", *raw], coded)
    read = np.frombuffer(decoded, np.int16).astype(np.float32) / 32768
    return np.pad(read, (0, max(0, len(samples) - len(read))))[: len(samples)]


def telephone(samples: np.ndarray, sample_rate: int, codec: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Samples of any rate through a codec at 8 kHz -> float32[n], at 8 kHz."""
    return codec(resample(samples, sample_rate, TELEPHONE_RATE), TELEPHONE_RATE)


def lossy(samples: np.ndarray, sample_rate: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Samples with gaps of 20 to 100 ms of zeros, so that about `share` of them is lost -> float32[n]."""
    packet, kept = round(PACKET_S * sample_rate), np.array(samples, np.float32)
    start = round(rng.exponential(0.06 / share) * sample_rate)
    while start < len(kept):
        start -= start % packet
        lost = int(rng.integers(1, 6)) * packet
        kept[start : start + lost] = 0
        start += lost + max(packet, round(rng.exponential(0.06 / share) * sample_rate))
    return kept


def only_sent_when_spoken(samples: np.ndarray, spoken: np.ndarray, filler: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples, float32[n], replaced by the filler, float32[n], where nobody speaks (bool[n]): in packets of 20 ms.

    As by discontinuous transmission: a packet is sent if any of it is spoken, and so are 120 ms after speech.
    """
    packet = round(PACKET_S * sample_rate)
    packets = np.asarray(np.pad(spoken, (0, -len(spoken) % packet)).reshape(-1, packet).any(axis=1))
    hang = round(HANG_S / PACKET_S)
    sent = np.asarray(np.convolve(packets, np.ones(hang + 1))[: len(packets)] > 0)
    return np.where(np.repeat(sent, packet)[: len(samples)], samples, filler).astype(np.float32)


def _piped(command: list[str], sound: bytes) -> bytes:
    done = subprocess.run(command, input=sound, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise AudioError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


__all__ = ["a_law", "amr", "gsm", "in_format", "lossy", "mu_law", "only_sent_when_spoken", "opus", "telephone"]
