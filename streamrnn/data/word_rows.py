"""Rows of running sound to train keywords: words, talk, pauses and other sounds, and where each word is spoken.

Clips alone teach neither what comes between words, nor the state of a model after minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamrnn.data.clips import Clip, pool_shares
from streamrnn.data.live_scenes import NOISE, SPEECH, LiveScene, LiveScenes, LiveSettings, Spoken
from streamrnn.data.spoken import faded, plain_words, says, spoken_text, trimmed
from streamrnn.data.store import ClipStore, SomeClips

# Classes of utterances: one of the words, from 2 on; another single word; talk without any of the words; and talk that
# is not transcribed, so it may contain some of the words.
FIRST_WORD, OTHER_WORD, TALK, UNWRITTEN = 2, 1, 0, -1
UNWRITTEN_WEIGHT = 0.5
# Upper limit of the length of a single word.
LONGEST_WORD_S = 2.0
# How long after its end a word may be decided; and a word counts if at least this share of it is audible.
AFTER_S, AUDIBLE_SHARE = 0.35, 0.85
MOST_WORDS = 6
FADE_S = 0.02
# Shares of utterances: of talk, and of words among the single ones.
TALK_SHARE, WORD_SHARE = 0.11, 0.74

RUNNING = LiveSettings(
    snr_db=(0.0, 30.0),
    alone_db=(0.0, 18.0),
    silent_share=0.2,
    begins_s=(-1.5, 0.8),
    pause_s=8.0,
    whisper_share=0.01,
    room_share=0.3,
    telephone_share=0.15,
    codec_share=0.12,
    loss_share=0.04,
)


@dataclass(frozen=True)
class WordRow:
    """A row of sound and the words in it; a frame is a whole number of cells.

    Attributes:
        samples: float32[n] in [-1, 1].
        words: (class, first frame, frame after the last) in which each may be decided.
        weights: float32[frames], how certain it is that no word is decided in a frame.
        quiet: bool[frames], True where nobody speaks.
        names: of its recordings.
    """

    samples: np.ndarray
    words: tuple[tuple[int, int, int], ...]
    weights: np.ndarray
    quiet: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Utterances(Sequence[Spoken]):
    """Recordings as utterances with a label; what is less than 30 dB below the loudest is speech.

    Every other one keeps what was recorded before and after its speech.
    """

    clips: SomeClips
    label: int
    cell_samples: int
    sample_rate: int

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Spoken:  # pyright: ignore[reportIncompatibleMethodOverride]
        clip, whole = self.clips[index]
        samples, (start, end) = trimmed(whole, self.sample_rate)
        if index % 2 and len(whole) < LONGEST_WORD_S * self.sample_rate and start < end:
            lead = _place(whole, samples)
            samples, start, end = whole, start + lead, end + lead
        size = self.cell_samples
        cells = np.full(-(-len(samples) // size), NOISE, np.int8)
        cells[start // size : max(start // size + 1, end // size)] = SPEECH
        samples = np.pad(faded(samples, round(FADE_S * self.sample_rate)), (0, len(cells) * size - len(samples)))
        return Spoken((32767 * samples).astype(np.int16), cells, str(clip.path), self.label)

    def mined(self, drawn_more: Callable[[SomeClips], SomeClips]) -> "Utterances":
        """Utterances without any of the words, as far as they are transcribed, with some clips repeated."""
        return replace(self, clips=drawn_more(self.clips)) if self.label in (OTHER_WORD, TALK) else self


def _place(whole: np.ndarray, part: np.ndarray) -> int:
    """The index in an array at which a view of it begins."""
    return (part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // whole.itemsize


def utterances_of(
    clips: Sequence[Sequence[Clip]],
    store: ClipStore,
    words: Sequence[str],
    cell_samples: int,
    sample_rate: int,
    talk_share: float = TALK_SHARE,
) -> list[tuple[float, Utterances]]:
    """Makes pools of utterances with their shares for LiveScenes: each word, and per folder other words and talk.

    Transcribed talk that contains one of the words is left out.

    Args:
        clips: of each folder.
        store: that holds the clips.
        words: with the classes from 2 on.
        talk_share: of utterances; of the others, three in four are words.
    """
    numbers = {word: FIRST_WORD + number for number, word in enumerate(words)}
    by_label: dict[int, list[tuple[float, list[Clip]]]] = {}
    for of_folder in clips:
        sorted_clips: dict[int, list[Clip]] = {}
        is_of_words = any(clip.label in numbers for clip in of_folder)
        for clip in of_folder:
            label = label_of(clip, numbers, is_of_words)
            if label is not None:
                sorted_clips.setdefault(label, []).append(clip)
        for label, of_label in sorted_clips.items():
            by_label.setdefault(label, []).append((len(of_label), of_label))
    kinds = [
        ((1 - talk_share) * WORD_SHARE, [label for label in by_label if label >= FIRST_WORD]),
        ((1 - talk_share) * (1 - WORD_SHARE), [label for label in by_label if label == OTHER_WORD]),
        (talk_share, [label for label in by_label if label in (TALK, UNWRITTEN)]),
    ]
    pools = []
    for share, labels in kinds:
        if labels and labels[0] >= FIRST_WORD:
            folders = [(label, [c for _, some in by_label[label] for c in some]) for label in sorted(labels)]
            shares = np.full(len(folders), 1 / len(folders))
        else:
            folders = [(label, some) for label in sorted(labels) for _, some in by_label[label]]
            shares = pool_shares([some for _, some in folders]) if folders else []
        for (label, some), part in zip(folders, shares, strict=True):
            if held := store.of(some):
                pools.append((share * float(part), Utterances(held, label, cell_samples, sample_rate)))
    return pools


def running_sound(
    speech: Sequence[tuple[float, Sequence[Spoken]]],
    noise: Sequence[np.ndarray],
    music: Sequence[np.ndarray],
    rooms: Sequence[np.ndarray],
    sample_rate: int,
    cell_samples: int,
    settings: LiveSettings = RUNNING,
) -> LiveScenes:
    """Scenes of utterances over changing backgrounds; without a voice if there are no utterances.

    Args:
        speech: see utterances_of.
        noise, music, rooms: recordings, int16[n]; may be empty.
        sample_rate, cell_samples: see LiveScenes.
        settings: how scenes are drawn.
    """
    return LiveScenes(
        speech=speech,
        noise=noise,
        music=music,
        rooms=[room.astype(np.float32) / 32768 for room in rooms],
        sample_rate=sample_rate,
        cell_samples=cell_samples,
        settings=settings if speech else replace(settings, silent_share=1.0),
    )


def label_of(clip: Clip, numbers: Mapping[str, int], is_of_words: bool) -> int | None:
    """The class of a clip: see FIRST_WORD; None: a word among other things.

    Args:
        numbers: class of each word.
        is_of_words: labels are what is said, as others of the folder are words.
    """
    if clip.label in numbers:
        return numbers[clip.label]
    text = spoken_text(clip) if clip.transcript or is_of_words else ""
    if any(says(text, word) for word in numbers):
        return None
    said = plain_words(text)
    return UNWRITTEN if not said else OTHER_WORD if len(said) == 1 else TALK


def word_row(scene: LiveScene, cells_per_frame: int, frame_s: float, ends_open: int) -> WordRow:
    """The training targets for words in a scene.

    Args:
        ends_open: frames at the end of the scene that the next row decides.
    """
    n = len(scene.cells) // cells_per_frame
    weights, after = np.ones(n, np.float32), round(AFTER_S / frame_s)
    quiet = (scene.cells == NOISE).reshape(n, cells_per_frame).all(axis=1)
    spans = [(a // cells_per_frame, -(-b // cells_per_frame), label) for a, b, label in scene.said]
    words: list[tuple[int, int, int]] = []
    for number, (first, last, label) in enumerate(spans):
        here = slice(max(first, 0), max(last, 0))
        if label == UNWRITTEN:
            weights[here] = np.minimum(weights[here], UNWRITTEN_WEIGHT)
        if label in (TALK, UNWRITTEN):
            continue
        # Neighbours do not compete: each has its time from its first third to that of the next.
        begins, ends = first + (last - first) // 3, last + after
        if number + 1 < len(spans):
            following = spans[number + 1]
            ends = max(last, min(ends, following[0] + (following[1] - following[0]) // 3))
        if label >= FIRST_WORD:
            weights[slice(here.start, max(0, last + after))] = 0
        cells = scene.cells[slice(here.start * cells_per_frame, here.stop * cells_per_frame)]
        whole = first >= 0 and begins < ends <= n - ends_open
        if whole and len(words) < MOST_WORDS and np.mean(cells == SPEECH) >= AUDIBLE_SHARE:
            words.append((label, begins, ends))
    return WordRow(scene.samples, tuple(words), weights, quiet, scene.names)


def after_clip(clip: np.ndarray, label: int, row: WordRow, clip_frames: int, frame_samples: int) -> WordRow:
    """A clip of one word, or of none (class 0), and then a row.

    Args:
        clip: float32[n] in [-1, 1], of at most `clip_frames`.
    """
    frames = -(-len(clip) // frame_samples)
    weights, quiet = np.zeros(clip_frames, np.float32), np.zeros(clip_frames, bool)
    if label < FIRST_WORD:
        weights[:frames] = 1
    if label == 0:
        quiet[:frames] = True
    words = ((label, 0, max(1, frames)),) if label else ()
    later = tuple((number, a + clip_frames, b + clip_frames) for number, a, b in row.words)
    samples = np.pad(clip, (0, clip_frames * frame_samples - len(clip)))
    return replace(
        row,
        samples=np.concatenate([samples, row.samples]),
        words=(*words, *later),
        weights=np.concatenate([weights, row.weights]),
        quiet=np.concatenate([quiet, row.quiet]),
    )


__all__ = [
    "FIRST_WORD",
    "MOST_WORDS",
    "RUNNING",
    "Utterances",
    "WordRow",
    "after_clip",
    "label_of",
    "running_sound",
    "utterances_of",
    "word_row",
]
