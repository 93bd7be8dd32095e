"""Other noise suppression on the same recordings, judged by the same figures.

The peers are no dependency: those that are installed are measured, the others named with the command that installs
them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata, util
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from benchmarks.installed import made_or_missing, print_missing
from streamrnn import __version__
from streamrnn.audio import resample
from streamrnn.bench.tables import figures_table
from streamrnn.data import read_manifest
from streamrnn.evaluation.denoising import clean_recordings, means, read_pair
from streamrnn.evaluation.quality import quality
from streamrnn.pretrained import load
from streamrnn.runtime import Enhancer

MAX_DELAY_MS = 100
CHUNK_S = 0.1


class Suppressor(Protocol):
    """Takes the noise from one recording at a time."""

    @property
    def sample_rate(self) -> int:
        """Samples per second of the recordings that it takes and gives."""
        ...

    def enhanced(self, samples: np.ndarray) -> np.ndarray:
        """float32[n] in [-1, 1] -> float[n], as a live stream would give it: later, if need be. Starts afresh."""
        ...


class LiveModel:
    """One of our models, run live in chunks of 100 ms."""

    def __init__(self, name_or_path: str):
        model = load(name_or_path)
        self._enhancer, self.sample_rate = Enhancer(model), model.sample_rate

    def enhanced(self, samples: np.ndarray) -> np.ndarray:
        self._enhancer.reset()
        step = round(CHUNK_S * self.sample_rate)
        chunks = [self._enhancer.process(samples[i : i + step]) for i in range(0, len(samples), step)]
        return np.concatenate([*chunks, self._enhancer.flush()])


class RNNoise:
    """Xiph's RNNoise, the library and weights in the wheel pyrnnoise."""

    sample_rate = 48_000

    def __init__(self):
        self._library = _rnnoise_library()

    def enhanced(self, samples: np.ndarray) -> np.ndarray:
        state, size = self._library.create(), self._library.FRAME_SIZE
        frames = _int16(np.pad(samples, (0, -len(samples) % size))).reshape(-1, size)
        try:
            given = [self._library.process_mono_frame(state, frame)[0] for frame in frames]
        finally:
            self._library.destroy(state)
        return np.concatenate(given)[: len(samples)] / 32768


def _rnnoise_library() -> Any:
    # The package itself imports decoders of audio files, which its library does not need.
    package = util.find_spec("pyrnnoise")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'pyrnnoise'", name="pyrnnoise")
    spec = util.spec_from_file_location("pyrnnoise_library", Path(package.origin).parent / "rnnoise.py")
    if spec is None or spec.loader is None:
        raise ImportError("pyrnnoise has no rnnoise.py", name="pyrnnoise")
    library = util.module_from_spec(spec)
    spec.loader.exec_module(library)
    return library


class WebRtcNoiseSuppression:
    """WebRTC's noise suppression at level 2 of 4, without gain control: spectral subtraction, not learned."""

    sample_rate, frame_samples, level = 16_000, 160, 2

    def __init__(self):
        self._package = import_module("webrtc_noise_gain")

    def enhanced(self, samples: np.ndarray) -> np.ndarray:
        processor = self._package.AudioProcessor(0, self.level)
        frames = _int16(np.pad(samples, (0, -len(samples) % self.frame_samples))).reshape(-1, self.frame_samples)
        given = b"".join(processor.Process10ms(frame.tobytes()).audio for frame in frames)
        return np.frombuffer(given, "<i2")[: len(samples)] / 32768


class NoiseReduce:
    """noisereduce's spectral gating, not learned. It hears whole recordings, so it knows what comes."""

    sample_rate = 16_000

    def __init__(self):
        self._package = import_module("noisereduce")

    def enhanced(self, samples: np.ndarray) -> np.ndarray:
        return self._package.reduce_noise(y=samples, sr=self.sample_rate)


@dataclass(frozen=True)
class Peer:
    """Noise suppression by others: how to make it, and where it comes from."""

    name: str
    make: Callable[[], Suppressor]
    install: str


PEERS = (
    Peer("pyrnnoise", RNNoise, "pip install --no-deps pyrnnoise"),
    Peer("webrtc-noise-gain", WebRtcNoiseSuppression, "pip install webrtc-noise-gain"),
    Peer("noisereduce", NoiseReduce, "pip install noisereduce"),
)


@dataclass
class Contender:
    """One way to suppress noise, what it made of the recordings so far, and the time that took."""

    name: str
    version: str
    suppressor: Suppressor
    estimates: list[np.ndarray] = field(default_factory=list)
    compute_s: float = 0.0

    def hear(self, noisy: np.ndarray, sample_rate: int) -> None:
        """Takes one recording, float32[n]."""
        own_rate = self.suppressor.sample_rate
        samples = resample(noisy, sample_rate, own_rate)
        started = time.perf_counter()
        enhanced = self.suppressor.enhanced(samples)
        self.compute_s += time.perf_counter() - started
        back = resample(np.asarray(enhanced, np.float32), own_rate, sample_rate)
        self.estimates.append(np.pad(back, (0, max(0, len(noisy) - len(back))))[: len(noisy)])

    def figures(self, pairs: Sequence[tuple[np.ndarray, np.ndarray, int]], audio_s: float) -> dict[str, Any]:
        """The contender's entry in the answer of compare_denoising_peers."""
        rate = pairs[0][2]
        delay = best_delay(self.estimates, [clean for _, clean, _ in pairs], round(MAX_DELAY_MS / 1000 * rate))
        judged = [
            quality(earlier(estimate, delay), clean, rate)
            for estimate, (_, clean, rate) in zip(self.estimates, pairs, strict=True)
        ]
        return {
            "name": self.name,
            "version": self.version,
            "delay_ms": 1000 * delay / rate,
            **means(judged),
            "real_time_factor": self.compute_s / audio_s,
        }


def compare_denoising_peers(
    data: str | PathLike[str], models: Sequence[str] = ("denoise",), peers: Sequence[Peer] = PEERS
) -> dict[str, Any]:
    """The figures of our models and of the peers that are installed, on one folder, ready for JSON.

    All hear the same recordings, resampled offline to their own rate and back, each as one live stream (but for
    noisereduce, which can't). Each one, ours included, is then moved by the constant delay, within 100 ms, with which
    its sound fits the clean recordings best.

    Args:
        data: a folder as evaluate_denoising reads it; all recordings at one sample rate.
        models: shipped models by name, or saved ones by path.
        peers: what to compare with.

    Returns:
        data, clips, audio_s; suppressors: one entry each with name, version, delay_ms, si_sdr_db, stoi, pesq (where it
        is installed) and real_time_factor, first that of the recordings as they are; missing: name, error and install
        of other peers.

    Raises:
        FileNotFoundError, ValueError: no such model, one that gives no sound, or a table or recording is missing.
        AudioError: a recording cannot be read.
        ImportError: pystoi is not installed.
    """
    data = Path(data)
    clean, clips = clean_recordings(data), read_manifest(data)
    contenders = [Contender(f"streamrnn {name}", __version__, LiveModel(name)) for name in models]
    present, missing = made_or_missing(peers, _contender)
    contenders += present
    pairs = [read_pair(clip, clean[clip.path]) for clip in clips]
    # One recording, all contenders: whatever else the machine does slows all of them alike.
    for noisy, _, rate in pairs:
        for contender in contenders:
            contender.hear(noisy, rate)
    audio_s = sum(len(noisy) / rate for noisy, _, rate in pairs)
    untouched = {"name": "as it is", "version": "", "delay_ms": 0.0, "real_time_factor": 0.0}
    untouched |= means([quality(*pair) for pair in pairs])
    entries = [untouched, *(contender.figures(pairs, audio_s) for contender in contenders)]
    return {"data": str(data), "clips": len(pairs), "audio_s": audio_s, "suppressors": entries, "missing": missing}


def best_delay(estimates: Sequence[np.ndarray], clean: Sequence[np.ndarray], longest: int) -> int:
    """By how many samples, 0 to `longest`, the estimates run behind: where they correlate with the clean recordings."""
    total = np.zeros(longest + 1)
    for estimate, wanted in zip(estimates, clean, strict=True):
        spectrum = np.fft.rfft(estimate, 2 * len(wanted)) * np.conj(np.fft.rfft(wanted, 2 * len(wanted)))
        correlation = np.fft.irfft(spectrum)[: longest + 1]
        total += correlation / max(float(np.linalg.norm(estimate) * np.linalg.norm(wanted)), 1e-9)
    return int(np.argmax(total))


def earlier(samples: np.ndarray, delay: int) -> np.ndarray:
    """samples[n] moved forward by `delay` samples; zeros at the end."""
    return np.pad(samples[delay:], (0, min(delay, len(samples))))


def show(comparison: dict[str, Any], console: Console) -> None:
    """Prints what compare_denoising_peers returned as a table, and how to install the peers that are missing."""
    title = f"{comparison['clips']} recordings, {comparison['audio_s'] / 60:.1f} min"
    table = figures_table(
        title,
        ("", "SI-SDR dB", "STOI", "PESQ", "delay ms", "RTF"),
        left=("", "SI-SDR dB", "STOI", "PESQ", "delay ms", "RTF"),
    )
    for entry in comparison["suppressors"]:
        table.add_row(
            f"{entry['name']} {entry['version']}".strip(),
            f"{entry['si_sdr_db']:.2f}",
            f"{entry['stoi']:.3f}" if "stoi" in entry else "-",
            f"{entry['pesq']:.2f}" if "pesq" in entry else "-",
            f"{entry['delay_ms']:.1f}",
            f"{entry['real_time_factor']:.4f}",
        )
    console.print(table)
    print_missing(comparison["missing"], console)


def _contender(peer: Peer) -> Contender:
    return Contender(peer.name, metadata.version(peer.name), peer.make())


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32768).clip(-32768, 32767).astype(np.int16)


__all__ = ["PEERS", "Peer", "Suppressor", "best_delay", "compare_denoising_peers", "earlier", "show"]
