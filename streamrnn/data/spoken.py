"""Transcribed recordings for training: clips with symbols, used whole or joined into strings."""

import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioWarning, as_samples, mixing
from streamrnn.data.augment import change_tempo, coloured
from streamrnn.data.clips import Clip, pick, pick_by_shares, pool_shares
from streamrnn.data.store import ClipStore
from streamrnn.decisions import Alphabet, frames_needed

LEVEL_FRAME_S = 0.01
SILENCE_BELOW_PEAK_DB = 30.0
# Words begin and end with weak sounds (the th of three, the t of eight), so quiet sound is kept for this long.
KEPT_AROUND_S = 0.1
FADE_S = 0.01
STRING_LEVEL = 0.05
# Number of unknown words named in a warning.
NAMED = 30


@dataclass(frozen=True)
class Spoken:
    """Samples, int16[n] or float32[n] in [-1, 1], and the ids of their symbols.

    Attributes:
        speaker: the speaker; "" if unknown.
        spans: (start, end) of each symbol in samples, and of a single word that is not a symbol; () if unknown.
        names: of its recordings.
    """

    samples: np.ndarray
    ids: tuple[int, ...]
    speaker: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whole:
    """Recordings of one folder with the ids of their symbols, decoded when drawn.

    Attributes:
        store: the recordings.
        ids: of each clip in the store.
        places: indices of the clips in the store; default: all.
    """

    store: ClipStore
    ids: dict[Clip, tuple[int, ...]]
    places: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Spoken:
        first = range(len(self))[index]
        # If one is damaged, another one of that length range replaces it.
        clip, samples = self.store.first_sound([*self._places[first:], *self._places[:first]])
        return Spoken(samples, self.ids[clip], clip.speaker, names=(str(clip.path),))

    def between(self, longer_than_s: float, longest_s: float) -> "Whole":
        """The recordings of that length range."""
        durations_s = self.store.durations_s
        return replace(self, places=[i for i in self._places if longer_than_s < durations_s[i] <= longest_s])

    def split_by_room(self, rows_s: Sequence[float], frame_s: float) -> tuple["Whole", list[Clip]]:
        """The recordings with enough frames in their row for their symbols, and the others, with wrong transcripts.

        A row is the shortest of those lengths that holds the recording; recordings that fit into none pass here.
        """
        clips, lasting = self.store.clips, self.store.durations_s

        def has_room(i: int) -> bool:
            ids, row_s = self.ids[clips[i]], next((row_s for row_s in rows_s if lasting[i] <= row_s), math.inf)
            return frames_needed(ids) <= row_s / frame_s

        kept = [i for i in self._places if has_room(i)]
        return replace(self, places=kept), [clips[i] for i in self._places if not has_room(i)]

    @cached_property
    def voices(self) -> set[str]:
        """The speakers; each recording of an unknown speaker counts as another one."""
        clips = [self.store.clips[i] for i in self._places]
        return {clip.speaker or str(clip.path) for clip in clips}

    @property
    def most_labels(self) -> int:
        """The longest text, in symbols."""
        return max(len(self.ids[self.store.clips[i]]) for i in self._places)

    @property
    def _places(self) -> Sequence[int]:
        return range(len(self.store)) if self.places is None else self.places


@dataclass(frozen=True)
class StringSettings:
    """Settings of strings of single words. Shares are probabilities.

    Raises:
        ValueError: words is not a range from 1 on, a share is not in [0, 1], or word_tempo is no range above 0.
    """

    words: tuple[int, int] = (1, 12)
    """Minimum and maximum words of a string."""
    one_speaker_share: float = 0.5
    """Share of strings by one speaker, if a speaker has several different words; in the others, each word has its own
    speaker."""
    repeat_share: float = 0.15
    """Share of words that repeat the previous one."""
    garbage_share: float = 0.05
    """Share of inserted words from outside the alphabet, if there are any; they have no output."""
    overlap_s: float = 0.05
    """Maximum overlap of neighbouring words."""
    pause_s: float = 0.6
    """Maximum pause between neighbouring words."""
    word_tempo: tuple[float, float] = (1.0, 1.0)
    """Tempo of each word at unchanged pitch, drawn uniformly."""
    word_colour_share: float = 0.0
    """Share of words through a random filter, as of another microphone."""

    def __post_init__(self):
        if not 0 < self.word_tempo[0] <= self.word_tempo[1]:
            raise ValueError(f"word_tempo is {self.word_tempo}; it must be (slowest, fastest), above 0.")
        if not 1 <= self.words[0] <= self.words[1]:
            raise ValueError(f"words is {self.words}; it must be (fewest, most), from 1 on.")
        for name in ("one_speaker_share", "repeat_share", "garbage_share", "word_colour_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1.")


def spoken_ids(clips: Sequence[Clip], alphabet: Alphabet) -> list[tuple[Clip, tuple[int, ...]]]:
    """The clips with the ids of their transcripts, or of their labels if they have none.

    Clips of one word that is not a symbol have no ids: (). Clips without words are left out, and so are texts of
    several words, or with characters, that are not symbols: an AudioWarning counts them and names these words or
    characters.
    """
    found: list[tuple[Clip, tuple[int, ...]]] = []
    left_out: list[str] = []
    for clip in clips:
        text = spoken_text(clip)
        try:
            ids = tuple(alphabet.encode(text))
        except ValueError:
            if not alphabet.is_words or len(text.split()) > 1:
                left_out.append(text)
                continue
            ids = ()
        if text:
            found.append((clip, ids))
    if left_out:
        unknown = sorted({piece for text in left_out for piece in _unknown(text, alphabet)})
        named = ", ".join(map(repr, unknown[:NAMED])) + (", ..." if len(unknown) > NAMED else "")
        message = f"{len(left_out)} of {len(clips)} clips are left out: {named} are no symbols of the model."
        warnings.warn(message, AudioWarning, stacklevel=2)
    return found


def spoken_text(clip: Clip) -> str:
    """The text of a clip: its transcript, or its label if it has none; words are separated by single spaces."""
    return " ".join((clip.transcript or clip.label).split())


def plain_words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; "_" stands between words."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())


def says(text: str, phrase: str) -> bool:
    """Whether the words of a phrase are in a text, one after the other; neither case nor punctuation matters."""
    return f" {' '.join(plain_words(phrase))} " in f" {' '.join(plain_words(text))} "


def clip_says(clip: Clip, phrases: Iterable[str]) -> bool:
    """Whether one of the phrases is said in a clip, as its transcript or label tells: see spoken_text and says."""
    text = spoken_text(clip)
    return any(says(text, phrase) for phrase in phrases)


def _unknown(text: str, alphabet: Alphabet) -> set[str]:
    pieces = text.lower().split() if alphabet.is_words else text.lower()
    return {*pieces} - {symbol.lower() for symbol in alphabet.symbols}


@dataclass(frozen=True)
class _Pools:
    """Recordings of one word, by folder. A folder's share grows with its number of speakers, not of recordings;
    otherwise four speakers with fifty each would dominate twenty speakers with one.
    """

    folders: list[list[Spoken]]

    def draw(self, rng: np.random.Generator) -> Spoken:
        return pick(rng, pick_by_shares(rng, self.folders, self._shares))

    @cached_property
    def _shares(self) -> np.ndarray:
        return pool_shares([{word.speaker or i for i, word in enumerate(words)} for words in self.folders])


@dataclass(frozen=True)
class Strings:
    """Joins recordings of single words into strings, on the fly.

    Attributes:
        words: single words by folder, from `single_words`. Those without ids are garbage.
        sample_rate: of all of them, in Hz.
        settings: of the strings.
    """

    words: dict[Path, list[Spoken]]
    sample_rate: int
    settings: StringSettings = field(default_factory=StringSettings)

    def draw(self, rng: np.random.Generator, longest_samples: float = math.inf) -> Spoken:
        """A string of at most `longest_samples`, but of at least one word, of any length."""
        s = self.settings
        pools = self._pools(rng)
        fade = round(FADE_S * self.sample_rate)
        line, ids, spans, names, end = np.zeros(0, np.float32), [], [], [], 0
        for word in self._sequence(rng, pools, int(rng.integers(s.words[0], s.words[1] + 1))):
            word = self._varied(rng, word)
            begins, ends = word.spans[0]
            start = max(0, end + round(self._gap_s(rng) * self.sample_rate) - begins) if len(line) else 0
            longer = laid_over(line, faded(_levelled(rng, word.samples), fade), start)
            if len(line) and len(longer) > longest_samples:
                break
            line = longer
            ids, names = [*ids, *word.ids], [*names, *word.names]
            end = start + ends
            spans += [(start + begins, end)] * len(word.ids)
        return Spoken(line, tuple(ids), spans=tuple(spans), names=tuple(names))

    def _pools(self, rng: np.random.Generator) -> dict[int, _Pools]:
        """Recordings to choose from, by symbol."""
        if self._speakers and rng.random() < self.settings.one_speaker_share:
            # The symbol first, then its speaker: otherwise strings would have mostly the words of many speakers.
            return pick(rng, pick(rng, self._speakers))
        return self._everyone

    def _sequence(self, rng: np.random.Generator, pools: dict[int, _Pools], length: int) -> Iterator[Spoken]:
        symbols, symbol = sorted(pools), None
        for _ in range(length):
            if self._garbage and rng.random() < self.settings.garbage_share:
                yield pick(rng, self._garbage)
            if symbol is None or rng.random() >= self.settings.repeat_share:
                symbol = symbols[int(rng.integers(len(symbols)))]
            yield pools[symbol].draw(rng)

    def _varied(self, rng: np.random.Generator, word: Spoken) -> Spoken:
        s, samples, tempo = self.settings, word.samples, 1.0
        if s.word_tempo != (1.0, 1.0):
            tempo = rng.uniform(*s.word_tempo)
            samples = change_tempo(samples, tempo, self.sample_rate)
        if s.word_colour_share and rng.random() < s.word_colour_share:
            samples = coloured(rng, samples)
        begins, ends = (min(round(edge / tempo), len(samples)) for edge in word.spans[0])
        return replace(word, samples=samples, spans=((begins, ends),))

    def _gap_s(self, rng: np.random.Generator) -> float:
        # Half of the words touch, as in fluent speech; long pauses separate groups.
        if rng.random() < 0.5:
            return rng.uniform(-self.settings.overlap_s, 2 * self.settings.overlap_s)
        return rng.triangular(0, 0, self.settings.pause_s)

    @cached_property
    def _everyone(self) -> dict[int, _Pools]:
        return _by_symbol([word for word in words if word.ids] for words in self.words.values())

    @cached_property
    def _speakers(self) -> list[list[dict[int, _Pools]]]:
        """For each symbol, its recordings by speaker, for speakers of several symbols."""
        by_speaker: dict[tuple[Path, str], list[Spoken]] = defaultdict(list)
        for folder, words in self.words.items():
            for word in words:
                if word.ids and word.speaker:
                    by_speaker[folder, word.speaker].append(word)
        pools = [pool for words in by_speaker.values() if len(pool := _by_symbol([words])) >= 3]
        symbols = sorted({symbol for pool in pools for symbol in pool})
        return [[pool for pool in pools if symbol in pool] for symbol in symbols]

    @cached_property
    def _garbage(self) -> list[Spoken]:
        return [word for words in self.words.values() for word in words if not word.ids]


def single_words(recordings: Sequence[Spoken], sample_rate: int) -> list[Spoken]:
    """The recordings of at most one symbol, without the silence around it, each with the span of its word."""
    found = []
    for spoken in (one for one in recordings if len(one.ids) < 2):
        samples, span = trimmed(spoken.samples, sample_rate)
        found.append(replace(spoken, samples=samples, spans=(span,)))
    return found


def _by_symbol(folders: Iterable[list[Spoken]]) -> dict[int, _Pools]:
    pools: dict[int, list[list[Spoken]]] = defaultdict(list)
    for words in folders:
        of_symbol: dict[int, list[Spoken]] = defaultdict(list)
        for word in words:
            of_symbol[word.ids[0]].append(word)
        for symbol, recordings in of_symbol.items():
            pools[symbol].append(recordings)
    return {symbol: _Pools(folders) for symbol, folders in pools.items()}


def laid_over(line: np.ndarray, word: np.ndarray, start: int) -> np.ndarray:
    """float32[n] with float32[m] added from sample `start` on, longer where need be."""
    longer = np.zeros(max(len(line), start + len(word)), np.float32)
    longer[: len(line)] = line
    longer[start : start + len(word)] += word
    return longer


def trimmed(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, tuple[int, int]]:
    """samples[n] without the silence at both ends, which is 30 dB below the loudest 10 ms, except for 100 ms of it.

    Also returns the span between both silences in the result.
    """
    frame = round(LEVEL_FRAME_S * sample_rate)
    whole = as_samples(np.pad(samples, (0, -len(samples) % frame))).reshape(-1, frame)
    power = np.mean(whole**2, axis=1)
    loud = np.flatnonzero(power >= power.max(initial=0) * 10 ** (-SILENCE_BELOW_PEAK_DB / 10)).tolist()
    if not loud:
        return samples, (0, len(samples))
    kept, begins, ends = round(KEPT_AROUND_S * sample_rate), loud[0] * frame, min((loud[-1] + 1) * frame, len(samples))
    first = max(0, begins - kept)
    return samples[first : ends + kept], (begins - first, ends - first)


def _levelled(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """Scaled to the level of a string's other words, up to some decibels, since microphones differ."""
    samples = as_samples(samples)
    rms = max(float(np.std(samples)), 1e-4)
    return mixing.gain(samples * np.float32(STRING_LEVEL / rms), rng.normal(0, 2))


def faded(samples: np.ndarray, fade_samples: int) -> np.ndarray:
    """int16[n] or float32[n] faded in and out, float32[n], so that no click marks the end of a recording."""
    fade = min(fade_samples, len(samples) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    softened = np.array(as_samples(samples), np.float32)
    softened[:fade] *= ramp
    softened[len(softened) - fade :] *= ramp[::-1]
    return softened


__all__ = [
    "Spoken",
    "StringSettings",
    "Strings",
    "clip_says",
    "faded",
    "laid_over",
    "plain_words",
    "says",
    "single_words",
    "spoken_ids",
    "spoken_text",
    "trimmed",
]
