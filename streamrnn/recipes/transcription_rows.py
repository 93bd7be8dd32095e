"""Rows that models of symbols are trained on: what is said in them, and sound in which nothing is."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from streamrnn.audio import AudioWarning, as_samples, mixing
from streamrnn.data import Augment
from streamrnn.data.clips import pick_by_shares, pool_shares
from streamrnn.data.live_scenes import LiveScenes
from streamrnn.data.spoken import Spoken, Strings, Whole

if TYPE_CHECKING:
    from streamrnn.recipes.transcription import CTCTraining

# Other sound around what is said: how far from it, and how much louder than in rows of its own.
AROUND_S, LOUDER_DB = (0.05, 0.8), 18.0


@dataclass(frozen=True)
class SpokenRows:
    """Draws rows: recordings of several symbols, strings of single words, or other sound.

    Attributes:
        whole: recordings of several symbols, by folder.
        strings: of single words.
        settings: of the training.
        augment: how rows are changed; None: not at all.
        block_samples: of an output of the model; rows have whole ones.
        other: sound without a symbol; None: there is none.
    """

    whole: list[Whole]
    strings: Strings
    settings: "CTCTraining"
    augment: Augment | None
    block_samples: int
    other: LiveScenes | None = None

    def draw(self, rng: np.random.Generator, duration_s: float) -> Spoken:
        """One row: float32 of exactly `duration_s`, augmented."""
        if self.other and rng.random() < self.settings.other_share:
            return self.without_symbols(rng, duration_s)
        fitting = self.fitting[duration_s]
        if fitting and (not self.strings.words or rng.random() < self.settings.whole_share):
            clips = pick_by_shares(rng, fitting, pool_shares([clips.voices for clips in fitting]))
            spoken = clips[int(rng.integers(len(clips)))]
        else:
            spoken = self.strings.draw(rng, round(self.samples(duration_s) * self.settings.augment.speed[0]))
        faster = mixing.change_speed(as_samples(spoken.samples), rng.uniform(*self.settings.augment.speed))
        row = self.placed(rng, replace(spoken, samples=faster, spans=()), duration_s)
        if self.augment is None:
            return row
        varied = self.augment(rng, row.samples)
        if self.other and rng.random() < self.settings.around_share:
            varied, others = self._with_others_around(rng, varied, row.samples, duration_s)
            row = replace(row, names=row.names + others)
        return replace(row, samples=varied)

    def _with_others_around(
        self, rng: np.random.Generator, samples: np.ndarray, said: np.ndarray, duration_s: float
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Other sound before and after what is said in float32[n], which ends and begins at once; and its names."""
        rate, where = self.settings.model.sample_rate, np.flatnonzero(said)
        if not len(where):
            return samples, ()
        other = self.without_symbols(rng, duration_s)
        others = mixing.gain(other.samples, rng.uniform(0, LOUDER_DB))
        gaps = np.round(rng.uniform(*AROUND_S, 2) * rate).astype(int)
        others[max(0, where[0] - gaps[0]) : where[-1] + gaps[1]] = 0
        return mixing.clip_protect(samples + others), other.names

    def without_symbols(self, rng: np.random.Generator, duration_s: float) -> Spoken:
        """A row of other sound."""
        assert self.other is not None
        scene = self.other.draw(rng, self.samples(duration_s) // self.other.cell_samples)
        return Spoken(scene.samples, (), names=scene.names)

    def placed(self, rng: np.random.Generator, spoken: Spoken, duration_s: float) -> Spoken:
        """At a random place in silence of `duration_s`."""
        length, samples = self.samples(duration_s), as_samples(spoken.samples)[: self.samples(duration_s)]
        start = int(rng.integers(length - len(samples) + 1))
        return replace(spoken, samples=np.pad(samples, (start, length - len(samples) - start)), spans=())

    def batch(self, rows: Sequence[Spoken], duration_s: float) -> dict[str, Any]:
        hop = self.settings.model.hop_samples
        labels = np.zeros((len(rows), self._most_labels[duration_s]), np.int32)
        for row, spoken in zip(labels, rows, strict=True):
            row[: len(spoken.ids)] = spoken.ids
        return {
            "samples": np.stack([row.samples for row in rows]).reshape(len(rows), -1, hop),
            "labels": labels,
            "label_lengths": np.array([len(row.ids) for row in rows], np.int32),
            "names": [row.names for row in rows],
        }

    def samples(self, duration_s: float) -> int:
        """Samples of a row: whole blocks."""
        return round(duration_s * self.settings.model.sample_rate / self.block_samples) * self.block_samples

    @cached_property
    def durations_s(self) -> list[float]:
        """The lengths of rows for which there are recordings."""
        return [d for d in self.settings.durations_s if self.fitting[d] or self.strings.words]

    def require_rows(self) -> None:
        """Warns of recordings that fit into no row. Raises ValueError if none fits."""
        count = sum(len(clips) for clips in self.whole)
        too_long = count - sum(len(clips) for whole in self.fitting.values() for clips in whole)
        longest = (
            f"{self.settings.durations_s[-1]} s, the longest row, at {self.settings.augment.speed[0]} of its speed"
        )
        if not self.durations_s:
            raise ValueError(f"none of {count} recordings fits into {longest}. Raise --durations-s.")
        if too_long:
            warnings.warn(f"{too_long} of {count} recordings do not fit into {longest}.", AudioWarning, stacklevel=2)

    @cached_property
    def fitting(self) -> dict[float, list[Whole]]:
        """Recordings by the shortest row that they fit into at any speed, and by folder."""
        slowest = self.settings.augment.speed[0]
        shorter, fitting = 0.0, {}
        for duration_s in self.settings.durations_s:
            longest = self.samples(duration_s) * slowest / self.settings.model.sample_rate
            chosen = [clips.between(shorter, longest) for clips in self.whole]
            fitting[duration_s], shorter = [clips for clips in chosen if len(clips)], longest
        return fitting

    @cached_property
    def _most_labels(self) -> dict[float, int]:
        """The largest number of labels in a row: one per length of rows, since each shape is compiled anew."""
        most = self.settings.strings.words[1] if self.strings.words else 1
        found = {}
        for duration_s in self.settings.durations_s:
            found[duration_s] = most = max([most, *(clips.most_labels for clips in self.fitting[duration_s])])
        return found


__all__ = ["SpokenRows"]
