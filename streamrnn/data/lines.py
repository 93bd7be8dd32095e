"""Effects of transmission lines, for training: codecs, lost packets, mute, gates, clipping.

All functions are pure: they take float32[n] in [-1, 1] and return a new float32[n], delayed by at most a millisecond or
two.
"""

import io

import numpy as np

from streamrnn.audio.resample import resample_to_length

Rng = np.random.Generator

TELEPHONE_RATE = 8000
PACKET_S = 0.02


def coded(samples: np.ndarray, sample_rate: int, codec: str) -> np.ndarray:
    """Passes samples[n] through a telephone codec and back.

    Args:
        codec: "ulaw", "alaw" (ITU-T G.711), "gsm" (GSM 06.10), all of them at 8 kHz, or "opus" (RFC 6716) at a low bit
            rate.
    """
    import soundfile

    # (container, subtype); libsndfile has these coders built in.
    container, subtype = {
        "ulaw": ("WAV", "ULAW"),
        "alaw": ("WAV", "ALAW"),
        "gsm": ("WAV", "GSM610"),
        "opus": ("OGG", "OPUS"),
    }[codec]
    rate = sample_rate if codec == "opus" and sample_rate in (8000, 16_000, 24_000, 48_000) else TELEPHONE_RATE
    narrow = resample_to_length(samples, sample_rate, rate, round(len(samples) * rate / sample_rate), quality="MQ")
    file, level = io.BytesIO(), 0.95 if codec == "opus" else None
    soundfile.write(file, np.clip(narrow, -1, 1), rate, format=container, subtype=subtype, compression_level=level)
    file.seek(0)
    decoded = np.asarray(soundfile.read(file, dtype="float32")[0])
    decoded = np.pad(decoded, (0, max(0, len(narrow) - len(decoded))))[: len(narrow)]
    return resample_to_length(decoded, rate, sample_rate, len(samples), quality="MQ")


def losing_packets(rng: Rng, samples: np.ndarray, sample_rate: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Removes a `share` of 20 ms packets from samples[n], singly and in bursts (Gilbert's model).

    Returns:
        the samples, zero where a packet is lost; bool[n], True at the lost samples.
    """
    size = round(PACKET_S * sample_rate)
    count = -(-len(samples) // size)
    lost, stays = np.zeros(count, bool), rng.uniform(0.2, 0.7)
    goes = share * (1 - stays) / max(1 - share, 1e-3)
    draws, before = rng.random(count), False
    for packet in range(count):
        lost[packet] = before = bool(draws[packet] < (stays if before else goes))
    where = np.repeat(lost, size)[: len(samples)]
    return np.where(where, np.float32(0), samples), where


def filled(rng: Rng, n: int, level_db: float | None) -> np.ndarray:
    """float32[n] of a line's idle sound: digital silence (None) or comfort noise at that RMS."""
    if level_db is None:
        return np.zeros(n, np.float32)
    noise = rng.standard_normal(n).astype(np.float32)
    smooth = noise + np.float32(rng.uniform(0, 0.95)) * np.concatenate([noise[:1], noise[:-1]])
    return smooth * np.float32(10 ** (level_db / 20) / max(float(np.std(smooth)), 1e-6))


def clipped(samples: np.ndarray, peak_share: float) -> np.ndarray:
    """Clips samples[n] at that share of the peak, like an overdriven microphone."""
    peak = float(np.abs(samples).max(initial=0)) * peak_share
    return np.clip(samples, -peak, peak) if peak else samples


def in_steps_of_16_bits(samples: np.ndarray) -> np.ndarray:
    """Quantises samples[n] to 16 bits: very soft sound becomes partly digital silence."""
    return np.round(np.clip(samples, -1, 32767 / 32768) * 32768).astype(np.float32) / 32768


__all__ = ["clipped", "coded", "filled", "in_steps_of_16_bits", "losing_packets"]
