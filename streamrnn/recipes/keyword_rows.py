"""Rows that keyword models are trained on: clips of single words, changed at each draw, then running sound."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.data.augment import Augment
from streamrnn.data.clips import Clip, named, pick, pick_balanced
from streamrnn.data.live_scenes import LiveScenes
from streamrnn.data.recordings import Recordings, held_out
from streamrnn.data.word_rows import FIRST_WORD, MOST_WORDS, WordRow, after_clip, label_of, word_row
from streamrnn.decisions.keywords import SILENCE, UNKNOWN
from streamrnn.recipes.echoes import echoed

if TYPE_CHECKING:
    from streamrnn.recipes.keywords import KeywordsTraining


@dataclass(frozen=True)
class ClipSource:
    """Draws clips: words uniformly, unknown words (of each folder) and silence by their shares."""

    words: Sequence[Sequence[tuple[Clip, np.ndarray]]]
    unknown: Sequence[Sequence[tuple[Clip, np.ndarray]]]
    backgrounds: Sequence[np.ndarray]
    augment: Augment
    settings: "KeywordsTraining"

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, int, tuple[str, ...]]:
        """(float32[n] in [-1, 1] with n <= length, class, the name of the recording, if it is of one)."""
        s, drawn = self.settings, rng.random()
        length = s.frames * s.model.hop_samples
        if drawn < s.silence_share:
            return self._silence(rng, length), 0, ()
        if drawn < s.silence_share + s.unknown_share and self.unknown:
            clip, samples = pick(rng, pick_balanced(rng, self.unknown))
            return self._heard(rng, part_of(rng, samples, length), length), 1, (str(clip.path),)
        word = int(rng.integers(len(self.words)))
        clip, samples = pick(rng, self.words[word])
        return self._heard(rng, loudest(samples, length), length), word + 2, (str(clip.path),)

    def row(self, rng: np.random.Generator, clip: Clip, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """(float32[n] in [-1, 1], class) of a clip, changed at random."""
        s = self.settings
        length, is_word = s.frames * s.model.hop_samples, clip.label in s.model.words
        part = loudest(samples, length) if is_word else part_of(rng, samples, length)
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


def part_of(rng: np.random.Generator, samples: np.ndarray, length: int) -> np.ndarray:
    """A random part of samples[n] of that length, if they are too long to fit at any speed."""
    if len(samples) <= 1.25 * length:
        return samples
    start = int(rng.integers(len(samples) - length + 1))
    return samples[start : start + length]


def loudest(samples: np.ndarray, length: int) -> np.ndarray:
    """The part of samples[n] of that length with the most energy, if they are too long to fit at any speed."""
    if len(samples) <= 1.25 * length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


def clip_batch(clips: Sequence[tuple[np.ndarray, int]], settings: "KeywordsTraining") -> dict[str, np.ndarray]:
    """Clips as a batch, padded with zeros; weights are 1 in the frames of the clip, else 0."""
    frames, hop, per_frame = settings.frames, settings.model.hop_samples, settings.model.hops_per_frame
    samples = np.zeros((len(clips), frames * hop), np.float32)
    weights = np.zeros((len(clips), frames // per_frame), np.float32)
    for row, (clip, _) in enumerate(clips):
        clip = clip[: frames * hop]
        samples[row, : len(clip)] = clip
        weights[row, : max(1, -(-len(clip) // (per_frame * hop)))] = 1
    labels = np.array([label for _, label in clips], np.int32)
    return {"samples": samples.reshape(len(clips), frames, hop), "labels": labels, "weights": weights}


@dataclass(frozen=True)
class RunningRows:
    """Draws rows of running sound, some of them after a clip of its own.

    Attributes:
        scenes: of the sound; cells are hops.
        clips: of what comes first in rows that begin with a fresh state; None: nothing.
        settings: of the training.
    """

    scenes: LiveScenes
    clips: ClipSource | None
    settings: "KeywordsTraining"

    def batches(self, seed: int) -> Callable[[int], dict[str, Any]]:
        """The batch of each step, as KeywordsRecipe.batches. Rows are composed in groups, of which echoes are heard."""
        s = self.settings

        def drawn(number: int) -> tuple[list[WordRow], np.ndarray]:
            return self._drawn(np.random.default_rng([seed, number]), s.batch_size // s.echoes)

        groups_of = echoed(drawn, s.echoes)

        def batch(step: int) -> dict[str, Any]:
            groups = groups_of(step)
            rows = [row for some, _ in groups for row in some]
            reset = np.concatenate([reset for _, reset in groups])
            return placed(rows, self._late, s.model.hop_samples) | {"reset": reset}

        return batch

    def _drawn(self, rng: np.random.Generator, count: int) -> tuple[list[WordRow], np.ndarray]:
        """Rows, and which of them begin with a fresh state."""
        s, rows, reset = self.settings, [], rng.random(count) < self.settings.reset_share
        for fresh in reset:
            if fresh and self.clips is not None:
                clip, label, names = self.clips.draw(rng)
                clip_frames, frame = s.frames // s.model.hops_per_frame, s.model.hops_per_frame * s.model.hop_samples
                rows.append(after_clip(clip, label, self.row(rng, s.running_frames), clip_frames, frame))
                rows[-1] = replace(rows[-1], names=(*names, *rows[-1].names))
            else:
                rows.append(self.row(rng, s.frames + s.running_frames))
        return rows, reset

    def row(self, rng: np.random.Generator, hops: int, ends_open: bool = True) -> WordRow:
        """A row of so many hops."""
        m, late = self.settings.model, self._late if ends_open else 0
        frame_s = m.hops_per_frame * m.hop_samples / m.sample_rate
        return word_row(self.scenes.draw(rng, hops), m.hops_per_frame, frame_s, late)

    @property
    def _late(self) -> int:
        return self.settings.model.lookahead_frames // self.settings.model.hops_per_frame


@dataclass(frozen=True)
class SortedClips:
    """Speech, sorted: clips of the words, other clips of their folders, and clips of other folders.

    Talk in which a word is said is none of them, as for running sound: see label_of.
    """

    words: list[Clip]
    near: list[Clip]
    far: list[Clip]

    @classmethod
    def sorted_by(cls, words: Collection[str], speech: dict[Path, list[Clip]]) -> "SortedClips":
        sorted_clips, numbers = cls([], [], []), dict.fromkeys(words, FIRST_WORD)
        for clips in speech.values():
            others = sorted_clips.near if any(clip.label in words for clip in clips) else sorted_clips.far
            for clip in clips:
                # By transcripts: labels that look like a word are named in a warning, and stay.
                if label_of(clip, numbers, is_of_words=False) is not None:
                    (sorted_clips.words if clip.label in words else others).append(clip)
        return cls(held_out(sorted_clips.words), sorted_clips.near, sorted_clips.far)


def placed(rows: Sequence[WordRow], late_frames: int, hop_samples: int) -> dict[str, Any]:
    """Rows as a batch whose truth is as late as the outputs of a model that goes on from row to row."""
    frames, most = len(rows[0].weights), MOST_WORDS + 1
    labels = np.zeros((len(rows), most), np.int32)
    places = np.zeros((len(rows), most, frames), bool)
    for number, row in enumerate(rows):
        for at, (label, begins, ends) in enumerate(row.words):
            labels[number, at] = label
            places[number, at, begins + late_frames : ends + late_frames] = True
    return {
        "samples": np.stack([row.samples for row in rows]).reshape(len(rows), -1, hop_samples),
        "labels": labels,
        "places": places,
        "weights": np.stack([_delayed(row.weights, late_frames) for row in rows]),
        "quiet": np.stack([_delayed(row.quiet, late_frames) for row in rows]),
        "names": [row.names for row in rows],
    }


def _delayed(x: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(x, (frames, 0))[: len(x)]


def labels_of(found: Recordings, folders: Sequence[Path]) -> tuple[str, ...]:
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


__all__ = ["ClipSource", "RunningRows", "SortedClips", "clip_batch", "labels_of", "loudest", "part_of", "placed"]
