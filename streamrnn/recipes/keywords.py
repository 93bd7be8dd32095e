"""Training of keyword models on clips of single words, augmented at every draw."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioWarning
from streamrnn.contract import aligned
from streamrnn.data import prefetch, read_clips
from streamrnn.data.augment import Augment, AugmentSettings
from streamrnn.data.clips import Clip, named, pick, pick_balanced
from streamrnn.data.labels import warn_of_other_labels
from streamrnn.data.layouts import find_folders
from streamrnn.data.recordings import (
    Recordings,
    held_out,
    of_split,
    recordings_to_train_on,
    rooms_of,
    sounds_of,
)
from streamrnn.decisions import clip_class
from streamrnn.decisions.keywords import SILENCE, UNKNOWN
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, max_pooling_loss
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.recipes.recipe import outputs

VALIDATION_BATCH = 100


@dataclass(frozen=True)
class KeywordsTraining:
    """Settings of `streamrnn train keywords`.

    Raises:
        ValueError: no clips, no threads, clips shorter than a frame, or shares that don't fit.
    """

    model: KeywordsSettings = field(default_factory=KeywordsSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=8000, learning_rate=3e-3, warmup_steps=200, weight_decay=0.02, ema_decay=0.998, validate_every=500
        )
    )
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(speed=(0.85, 1.15)))
    batch_size: int = 64
    """Clips per update."""
    duration_s: float = 1.24
    """Length of clips. From much longer recordings the loudest part is taken if they are words, else any part."""
    unknown_share: float = 0.1
    """Share of clips of unknown words, if there are any."""
    silence_share: float = 0.05
    """Share of clips of only noise or music."""
    cold_share: float = 0.5
    """Share of clips that start with the stream, rather than after some of its noise."""
    label_smoothing: float = 0.1
    """Label smoothing: share of each label that is spread over all classes."""
    detection_share: float = 0.2
    """Share of the loss for high scores; the rest is for the choice of the word."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that make clips."""

    def __post_init__(self):
        for name in ("batch_size", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("unknown_share", "silence_share", "cold_share", "label_smoothing", "detection_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1.")
        if self.unknown_share + self.silence_share >= 1:
            raise ValueError("unknown_share + silence_share leave no share for words; together they must be below 1.")
        if self.frames < 1:
            raise ValueError(f"duration_s is {self.duration_s}; a clip needs one frame or more.")

    @property
    def frames(self) -> int:
        """Input frames per clip: an even number."""
        return round(self.duration_s * self.model.sample_rate / self.model.hop_samples / 2) * 2


class KeywordsRecipe:
    """Max-pooling loss on single words; validated by accuracy on clips of the valid split.

    Args:
        data: folders of recordings, or folders of such folders, in any layout of data.layouts. Those named noise*,
            music* and rir* are noise, music and room responses, all optional. All other folders are speech: clips whose
            label is one of the words, and clips of unknown words, whose labels an AudioWarning names. If split valid
            has no clip of a word, every tenth is moved there.
        settings: see KeywordsTraining. Without words, the labels of the first entry of `data` are the words.

    Raises:
        FileNotFoundError, ValueError: see find_recordings; a word has no clip to train on; there is no clip to
            validate with.
    """

    Settings = KeywordsTraining

    def __init__(self, data: Sequence[Path], settings: KeywordsTraining):
        self.recordings = recordings_to_train_on(data, settings.exclude)
        words = settings.model.words or _labels(self.recordings, find_folders(data[:1]))
        model = dataclasses.replace(settings.model, words=words)
        self.settings, self.training = dataclasses.replace(settings, model=model), settings.training
        self._clips = _Clips.sorted_by(words, self.recordings.speech)
        self._require_words()
        warn_of_other_labels([*self._clips.near, *(clip for clip in self._clips.far if clip.label)], words, "train")

    def model(self, rngs: nnx.Rngs) -> Keywords:
        """A fresh model of settings.model."""
        return Keywords(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """samples float32[batch, frames, hop], labels int32[batch], weights float32[batch, frames / 2], names."""
        source, s = self._source, self.settings

        def make(step: int) -> dict[str, Any]:
            rng = np.random.default_rng([self.training.seed, step])
            drawn = [source.draw(rng) for _ in range(s.batch_size)]
            return _batch([(clip, label) for clip, label, _ in drawn], s) | {"names": [name for *_, name in drawn]}

        return prefetch(make, start, stop, s.workers)

    @property
    def share(self) -> float:
        """Of private training: the probability of each clip, or speaker, to be in a batch; batch_size on average."""
        return min(1.0, self.settings.batch_size / len(self._units))

    def drawn_batches(self, start: int, stop: int, secret: int) -> Iterator[dict[str, Any]]:
        """As batches, with drawn bool[rows]: units drawn by lot (Poisson), a row each, a speaker's with any of the
        clips; then clips without words, which are nobody's, and padding.

        Raises:
            ValueError: babble is mixed in, which is of other clips.
        """
        s, units = self.settings, self._units
        if s.augment.babble_share:
            raise ValueError(
                "babble mixes voices of other clips into a row, which clipping rows does not bound. Pass "
                "--babble-share 0 for private training."
            )
        silent, average = round(s.batch_size * s.silence_share), self.share * len(units)
        # More units than that are drawn less often than once in 10^9 updates; they are left out then.
        room = min(len(units), int(average + 6.5 * np.sqrt(average) + 6))
        rows = -(-(room + silent) // jax.device_count()) * jax.device_count()

        def make(step: int) -> dict[str, Any]:
            rng = np.random.default_rng([secret, step])
            chosen = np.flatnonzero(rng.random(len(units)) < self.share)[:room]
            made = [self._source.row(rng, *pick(rng, units[number])) for number in chosen]
            made += [self._source.silence(rng) for _ in range(silent)]
            padding = [(np.zeros(0, np.float32), 0)] * (rows - len(made))
            return _batch([*made, *padding], s) | {"drawn": np.arange(rows) < len(made)}

        return prefetch(make, start, stop, s.workers)

    def loss(self, model: Keywords, batch: dict[str, jax.Array]) -> Mean:
        """Max-pooling loss, in nats per clip."""
        s, smoothing = self.settings, model.decision.smoothing_frames(model.frame_s)
        logits = aligned(model, batch["samples"])
        return max_pooling_loss(
            logits, batch["labels"], batch["weights"], smoothing, s.label_smoothing, s.detection_share
        )

    def validate(self, model: Keywords) -> float:
        """Accuracy on the valid split: clips of words and, if the same folders have any, of unknown words."""
        smoothing = model.decision.smoothing_frames(model.frame_s)
        right = []
        for batch in self._validation:
            posteriors = np.asarray(jax.nn.softmax(outputs(model, jnp.asarray(batch["samples"]))))
            for y, label, weights in zip(posteriors, batch["labels"], batch["weights"], strict=True):
                heard = y[: int(weights.sum())]
                right.append(clip_class(heard, smoothing)[0] == label)
        return float(np.mean(right))

    @cached_property
    def _source(self) -> "_Source":
        rate, found = self.settings.model.sample_rate, self.recordings
        noise, music = (sounds_of(of_split(clips, "train"), rate) for clips in (found.noise, found.music))
        rooms = rooms_of(of_split(found.rooms, "train"), rate)
        read = read_clips(of_split(self._clips.words, "train"), rate)
        by_word = {word: [one for one in read if one[0].label == word] for word in self.settings.model.words}
        folders = (of_split([c for c in clips if c.label not in by_word], "train") for clips in found.speech.values())
        unknown = [read_clips(clips, rate) for clips in folders if clips]
        voices = [samples for clips in unknown for _, samples in clips]
        return _Source(
            words=list(by_word.values()),
            unknown=unknown,
            backgrounds=noise + music,
            augment=Augment(noise, music, rooms, voices, rate, self.settings.augment),
            settings=self.settings,
        )

    @cached_property
    def _units(self) -> list[list[tuple[Clip, np.ndarray]]]:
        """What private training protects: clips of split train, of words and of none, each alone or by speaker."""
        clips = [c for c in (*self._clips.words, *self._clips.near, *self._clips.far) if c.split == "train"]
        read = read_clips(clips, self.settings.model.sample_rate)
        if self.training.dp_unit == "clip":
            return [[one] for one in read]
        units: dict[str, list[tuple[Clip, np.ndarray]]] = {}
        for one in read:
            units.setdefault(one[0].speaker, []).append(one)
        return list(units.values())

    @cached_property
    def _validation(self) -> list[dict[str, np.ndarray]]:
        unknown = of_split(self._clips.near, "valid") or of_split(self._clips.far, "valid")
        judged = [*of_split(self._clips.words, "valid"), *unknown]
        # In batches of similar length, so that there is little padding.
        read = sorted(read_clips(judged, self.settings.model.sample_rate), key=lambda one: len(one[1]))
        parts = [read[i : i + VALIDATION_BATCH] for i in range(0, len(read), VALIDATION_BATCH)]
        return [self._validation_batch(part) for part in parts]

    def _validation_batch(self, part: list[tuple[Clip, np.ndarray]]) -> dict[str, np.ndarray]:
        m = self.settings.model
        seconds = int(np.ceil(len(part[-1][1]) / m.sample_rate))
        frames = seconds * m.sample_rate // m.hop_samples // 2 * 2
        # In training, a clip labelled "silence" is an unknown word, and so it is here.
        index = {word: m.labels.index(word) for word in m.words}
        clips = [(s.astype(np.float32) / 32768, index.get(clip.label, 1)) for clip, s in part]
        return _batch(clips, dataclasses.replace(self.settings, duration_s=frames * m.hop_samples / m.sample_rate))

    def _require_words(self) -> None:
        there = {clip.label for clip in of_split(self._clips.words, "train")}
        if missing := [word for word in self.settings.model.words if word not in there]:
            labels = {clip.label for clips in self.recordings.speech.values() for clip in clips} - {""}
            raise ValueError(
                f"there is no clip of {', '.join(missing)} to train on. The recordings have the labels: "
                f"{', '.join(sorted(labels)) or 'none'}. Add clips, or choose other --words."
            )
        # The first validation comes late, so missing data for it are reported before the first update.
        if not of_split(self._clips.words, "valid"):
            raise ValueError(
                "there is no clip of a word to validate with: none is in split valid, and no word has a second one to "
                "hold out. Add clips."
            )


@dataclass(frozen=True)
class _Clips:
    """Speech, sorted: clips of the words, other clips of their folders, and clips of other folders."""

    words: list[Clip]
    near: list[Clip]
    far: list[Clip]

    @classmethod
    def sorted_by(cls, words: Collection[str], speech: dict[Path, list[Clip]]) -> "_Clips":
        sorted_clips = cls([], [], [])
        for clips in speech.values():
            others = sorted_clips.near if any(clip.label in words for clip in clips) else sorted_clips.far
            for clip in clips:
                (sorted_clips.words if clip.label in words else others).append(clip)
        return cls(held_out(sorted_clips.words), sorted_clips.near, sorted_clips.far)


@dataclass(frozen=True)
class _Source:
    """Draws clips: words uniformly, unknown words (of each folder) and silence by their shares."""

    words: list[list[tuple[Clip, np.ndarray]]]
    unknown: list[list[tuple[Clip, np.ndarray]]]
    backgrounds: Sequence[np.ndarray]
    augment: Augment
    settings: KeywordsTraining

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, int, str]:
        """(float32[n] in [-1, 1] with n <= length, class, name of the recording)."""
        s, drawn = self.settings, rng.random()
        length = s.frames * s.model.hop_samples
        if drawn < s.silence_share:
            return self._silence(rng, length), 0, "silence"
        if drawn < s.silence_share + s.unknown_share and self.unknown:
            clip, samples = pick(rng, pick_balanced(rng, self.unknown))
            return self._heard(rng, _part(rng, samples, length), length), 1, str(clip.path)
        word = int(rng.integers(len(self.words)))
        clip, samples = pick(rng, self.words[word])
        return self._heard(rng, _loudest(samples, length), length), word + 2, str(clip.path)

    def row(self, rng: np.random.Generator, clip: Clip, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """(float32[n] in [-1, 1], class) of a clip, changed at random."""
        s = self.settings
        length, is_word = s.frames * s.model.hop_samples, clip.label in s.model.words
        part = _loudest(samples, length) if is_word else _part(rng, samples, length)
        return self._heard(rng, part, length), s.model.words.index(clip.label) + 2 if is_word else 1

    def silence(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """The same of sound without a word."""
        return self._silence(rng, self.settings.frames * self.settings.model.hop_samples), 0

    def _heard(self, rng: np.random.Generator, clip: np.ndarray, length: int) -> np.ndarray:
        if rng.random() < self.settings.cold_share:
            return self.augment(rng, clip)[:length]
        return self.augment(rng, clip, length)

    def _silence(self, rng: np.random.Generator, length: int) -> np.ndarray:
        if rng.random() < 0.1:
            return np.zeros(length, np.float32)
        if not self.backgrounds:
            return self.augment(rng, np.zeros(length, np.float32), length)
        background = pick(rng, self.backgrounds)
        start = int(rng.integers(max(1, len(background) - length + 1)))
        return self.augment(rng, background[start : start + length], length)


def _part(rng: np.random.Generator, samples: np.ndarray, length: int) -> np.ndarray:
    """A random part of samples[n] of that length, if they are too long to fit at any speed."""
    if len(samples) <= 1.25 * length:
        return samples
    start = int(rng.integers(len(samples) - length + 1))
    return samples[start : start + length]


def _loudest(samples: np.ndarray, length: int) -> np.ndarray:
    """The part of samples[n] of that length with the most energy, if they are too long to fit at any speed."""
    if len(samples) <= 1.25 * length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


def _batch(clips: Sequence[tuple[np.ndarray, int]], settings: KeywordsTraining) -> dict[str, np.ndarray]:
    """Clips as a batch, padded with zeros; weights are 1 in the frames of the clip, else 0."""
    frames, hop = settings.frames, settings.model.hop_samples
    samples = np.zeros((len(clips), frames * hop), np.float32)
    weights = np.zeros((len(clips), frames // 2), np.float32)
    for row, (clip, _) in enumerate(clips):
        clip = clip[: frames * hop]
        samples[row, : len(clip)] = clip
        weights[row, : max(1, -(-len(clip) // (2 * hop)))] = 1
    labels = np.array([label for _, label in clips], np.int32)
    return {"samples": samples.reshape(len(clips), frames, hop), "labels": labels, "weights": weights}


def _labels(found: Recordings, folders: Sequence[Path]) -> tuple[str, ...]:
    """The labels of the clips of speech in some of the folders."""
    labels = {clip.label for folder in folders for clip in found.speech.get(folder, ())} - {"", SILENCE, UNKNOWN}
    if not labels:
        raise ValueError("the first folder of recordings has no labels to take the words from. Name them: --words A B.")
    spellings = Counter(map(str.casefold, labels))
    if alike := sorted(label for label in labels if spellings[label.casefold()] > 1):
        warnings.warn(
            f"Labels that differ in case alone are learned as words of their own: {named(alike, len(alike))}. "
            "Correct the labels, or name the --words.",
            AudioWarning,
            stacklevel=3,
        )
    return tuple(sorted(labels))


__all__ = ["KeywordsRecipe", "KeywordsTraining"]
