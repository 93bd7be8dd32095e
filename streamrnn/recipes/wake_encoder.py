"""What the frozen encoder of a model of phonemes makes of rows of sound, and what a head of a wake word says of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioFile
from streamrnn.contract import aligned
from streamrnn.data.clips import Clip
from streamrnn.data.wake_rows import MOST_SAID, Row
from streamrnn.layers import Chain, Dense, PhraseScores
from streamrnn.models import Phonemes
from streamrnn.models.wake import Together, WakeSettings, side_by_side, word_search

# A word may be detected from a little before its end to half a second after it.
BEFORE_END_S, AFTER_END_S = 0.12, 0.48
# Sound around a word that is neither asked for nor forbidden: from its start, and after its end.
FROM_START_S, BEYOND_END_S = 0.08, 0.8
ENCODED_TOGETHER = 16
# Recordings of which it is told that they come closest to a phrase.
CLOSEST = 10


@dataclass(frozen=True)
class Heard:
    """Rows as the encoder hears them, float16[rows, frames, hidden], the words' places in them, as in wake_loss, what
    was recorded where in them, as in Row, and what the search for a word gives, float16[rows, frames, 1].
    """

    frames: np.ndarray
    words: np.ndarray
    elsewhere: np.ndarray
    recorded: tuple[tuple[tuple[int, int], ...], ...]
    found: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def and_those(self, others: "Heard") -> "Heard":
        """These rows, then others."""
        return Heard(
            np.concatenate([self.frames, others.frames]),
            np.concatenate([self.words, others.words]),
            np.concatenate([self.elsewhere, others.elsewhere]),
            # What was composed for one phrase is of no recording.
            self.recorded + ((),) * len(others),
            np.concatenate([self.found, others.found]),
        )


class Encoder:
    """The encoder of a model of phonemes, run over many rows. Rows are in float32 of whole frames of outputs."""

    def __init__(self, listener: Phonemes):
        self.listener = listener
        self.block_samples = listener.block_samples
        graph, self._state = nnx.split(listener.network.layers[0])  # pyright: ignore[reportAttributeAccessIssue]
        self._run = jax.jit(lambda state, x: aligned(nnx.merge(graph, state), x).astype(jnp.float16))

    def hear(self, rows: Iterable[Row], told: Callable[[int], None] = lambda done: None) -> Heard:
        """All rows; of equal length. `told` is called with the number that is done."""
        frames, words, elsewhere, recorded = [], [], [], []
        for batch in _in_batches(rows, ENCODED_TOGETHER):
            x = np.stack([row.samples for row in batch]).astype(np.float32)
            x = np.pad(x, ((0, ENCODED_TOGETHER - len(batch)), (0, 0)))
            y = self._run(self._state, jnp.asarray(x.reshape(len(x), -1, self.listener.settings.hop_samples)))
            frames.append(np.asarray(y)[: len(batch)])
            for row in batch:
                places = self._places(row, frames[-1].shape[1])
                words.append(places[0])
                elsewhere.append(places[1])
                recorded.append(row.recorded)
            told(len(words))
        heard = np.concatenate(frames)
        nothing = np.zeros((*heard.shape[:2], 0), np.float16)
        return Heard(heard, np.stack(words), np.stack(elsewhere), tuple(recorded), nothing)

    def search(self, heard: Heard, settings: WakeSettings) -> Heard:
        """The same rows with what the search for the settings' word gives in them."""
        phonemes = self.listener.network.layers[1]  # pyright: ignore[reportAttributeAccessIssue]
        return replace(heard, found=_in_parts(partial(_searched, word_search(settings), phonemes), heard.frames))

    def _places(self, row: Row, frames: int) -> tuple[np.ndarray, np.ndarray]:
        frame_s, rate = self.listener.frame_s, self.listener.settings.sample_rate
        words, elsewhere = np.zeros((MOST_SAID, frames), bool), np.ones(frames, bool)
        for word, (start, end) in zip(words, row.spans[:MOST_SAID], strict=False):
            start_s, end_s = start / rate, end / rate
            word[max(0, round((end_s - BEFORE_END_S) / frame_s)) : round((end_s + AFTER_END_S) / frame_s)] = True
            free = slice(round((start_s + FROM_START_S) / frame_s), round((end_s + BEYOND_END_S) / frame_s))
            elsewhere[free] = False
        return words, elsewhere


def scores(head: Chain, settings: WakeSettings, heard: Heard) -> np.ndarray:
    """The probability of the word in each frame of some rows, float32[rows, frames]."""
    head.eval()
    return _in_parts(partial(_probabilities, head, Together(settings)), heard.frames, heard.found)


def decided(head: Chain, together: Together, frames: jax.Array, found: jax.Array) -> jax.Array:
    """Logits of silence and the word, of rows from their beginning, [rows, frames, 2]."""
    _, logits = head.scan(head.init_state(frames.shape[0]), frames.astype(jnp.float32))
    both = side_by_side(logits, found.astype(jnp.float32))
    return together.scan(together.init_state(frames.shape[0]), both)[1]


def _in_parts(run: Callable[..., jax.Array], *rows: np.ndarray) -> np.ndarray:
    """What `run` gives for arrays of rows, in batches of one size."""
    together = 4 * ENCODED_TOGETHER
    done = []
    for start in range(0, len(rows[0]), together):
        parts = [each[start : start + together] for each in rows]
        missing = together - len(parts[0])
        padded = [jnp.asarray(np.pad(part, ((0, missing), *[(0, 0)] * (part.ndim - 1)))) for part in parts]
        done.append(np.asarray(run(*padded))[: len(parts[0])])
    return np.concatenate(done)


@nnx.jit
def _probabilities(head: Chain, together: Together, frames: jax.Array, found: jax.Array) -> jax.Array:
    return jax.nn.softmax(decided(head, together, frames, found))[..., 1]


@nnx.jit
def _searched(search: PhraseScores, phonemes: Dense, frames: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(phonemes(frames.astype(jnp.float32)))
    return search.scan(search.init_state(frames.shape[0]), log_p)[1].astype(jnp.float16)


def closest(
    heard: np.ndarray, rows: Heard, clips: Sequence[Clip], sample_rate: int, frame_s: float, least: float
) -> list[dict[str, Any]]:
    """The recordings without the phrase that come closest to it: perhaps it is said in them.

    Args:
        heard: the probability of the phrase in each frame of the rows, as scores() gives it.
        rows: without the phrase, those of recordings among them.
        clips: of the recordings that `rows` numbers.
        sample_rate: of the rows.
        frame_s: seconds per frame of `heard`.
        least: score from which a recording is told of.

    Returns:
        recording, its path; at_s, where in the file; score. At most ten, the closest first.
    """
    found: dict[Clip, tuple[float, float]] = {}
    for row, recorded in zip(heard, rows.recorded, strict=True):
        if not recorded:
            continue
        at = int(row.argmax())
        # The head fires behind the end of a word, where the next recording may have begun.
        sample = round((at * frame_s - AFTER_END_S) * sample_rate)
        begin, index = ([one for one in recorded if one[0] <= max(sample, 0)] or recorded[:1])[-1]
        if row[at] >= max(least, found.get(clips[index], (0.0, 0.0))[0]):
            found[clips[index]] = float(row[at]), max(0.0, (sample - begin) / sample_rate)
    loudest = sorted(found.items(), key=lambda item: -item[1][0])[:CLOSEST]
    return [
        {"recording": str(clip.path), "at_s": round(_start_s(clip) + place, 2), "score": score}
        for clip, (score, place) in loudest
    ]


def _start_s(clip: Clip) -> float:
    if not clip.start:
        return 0.0
    with AudioFile(clip.path) as file:
        return clip.start / file.sample_rate


def _in_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ["CLOSEST", "ENCODED_TOGETHER", "Encoder", "Heard", "closest", "decided", "scores"]
