"""Hard negatives: recordings that deceive a model stand in training more often than others.

Most sound is easily told from what a model listens for, and teaches a trained model nothing more; what deceives it is a
small part of the recordings. Drawing the examples that are still wrong more often is bootstrapping (Sung and Poggio
1998), or online hard example mining (Shrivastava et al. 2016).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from streamrnn.data.clips import named
from streamrnn.data.recordings import Recordings, Sounds, backgrounds_of
from streamrnn.data.store import SomeClips
from streamrnn.learning import TrainingSettings
from streamrnn.models import Model
from streamrnn.recipes.recipe import outputs, require_shares

AnyModel = TypeVar("AnyModel", bound=Model)

EXCERPT_S, EXCERPTS = 10.0, 32
# One recording counts for no more, so that a singer whom nobody noticed does not fill the training.
MOST_S = 3.0


@dataclass(frozen=True)
class Mining:
    """Draws recordings by what a model hears in them wrongly.

    Attributes:
        model: whose false alarms are mined.
        share: of the result, in [0, 1): how many recordings stand there for what the model heard in them, each in
            proportion to the seconds heard, of which MOST_S count at most. The others are as they were.
        level: of activity (see Outlet), such as the probability of speech, from which on the model hears something.
    """

    model: Model
    share: float
    level: float

    def sounds(self, sounds: Sounds) -> Sounds:
        """The sounds, of which those that deceive the model stand in the result several times.

        Args:
            sounds: recordings in which is nothing to hear, at the model's sample rate.
        """
        places = list(dict.fromkeys(sounds.places))
        heard_s = np.minimum(self.heard_s(Sounds(tuple(places))), MOST_S)
        if not heard_s.any():
            return sounds
        copies = np.round(self.share / (1 - self.share) * len(sounds) * heard_s / heard_s.sum()).astype(int)
        again = [place for place, count in zip(places, copies.tolist(), strict=True) for _ in range(count)]
        return sounds + Sounds(tuple(again))

    def clips(self, clips: SomeClips) -> SomeClips:
        """The same of clips of one store."""
        sounds = self.sounds(Sounds(tuple((clips.store, place) for place in clips.places)))
        return SomeClips(clips.store, [place for _, place in sounds.places])

    def heard_s(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Seconds in which the model hears something in each recording: float64[len(sounds)].

        Args:
            sounds: int16[n] each, at the model's sample rate; heard in excerpts of ten seconds, each by a fresh stream.
        """
        model, heard_s, outlet = self.model, np.zeros(len(sounds)), self.model.outlet()
        block, frames = model.block_samples, round(EXCERPT_S / model.frame_s)
        excerpts = _excerpts(sounds, frames * block)
        while batch := list(islice(excerpts, EXCERPTS)):
            samples = np.zeros((EXCERPTS, frames * block), np.float32)
            for row, (_, excerpt) in enumerate(batch):
                samples[row, : len(excerpt)] = excerpt.astype(np.float32) / 32768
            logits = outputs(model, jnp.asarray(samples.reshape(EXCERPTS, -1, model.signal.features)))
            readout = np.asarray(model.readout(logits))
            for row, (number, excerpt) in enumerate(batch):
                activity = outlet.activity(readout[row, : len(excerpt) // block])
                heard_s[number] += (activity >= self.level).sum() * model.frame_s
        return heard_s


def _excerpts(sounds: Sequence[np.ndarray], longest: int) -> Iterator[tuple[int, np.ndarray]]:
    for number in range(len(sounds)):
        samples = sounds[number]
        for first in range(0, len(samples), longest):
            yield number, samples[first : first + longest]


def mined_backgrounds(found: Recordings, split: str, sample_rate: int, mining: Mining | None) -> tuple[Sounds, Sounds]:
    """Noise and music of a split; of split train drawn by what deceives a model, if there is one."""
    noise, music = backgrounds_of(found, split, sample_rate)
    return (mining.sounds(noise), mining.sounds(music)) if mining and split == "train" else (noise, music)


def require_mined_share(settings: Any, training: TrainingSettings) -> None:
    """Raises ValueError unless `settings.mined_share` leaves sounds that deceive no model, and training is not private
    where it is above 0.
    """
    require_shares(settings, "mined_share")
    if settings.mined_share == 1:
        raise ValueError("mined_share is 1; sounds that deceive no model yet need a share, too. Pass 0.5 or less.")
    if settings.mined_share and training.private:
        raise ValueError(
            "mined_share draws each recording by what all others hold, and private training does not "
            "count that. Leave one of the two out."
        )


def to_deceive(start: Model | None, wanted: type[AnyModel], labels: Sequence[str], sample_rate: int) -> AnyModel:
    """The model of --start, if what it hears wrongly can be mined for a model of such labels.

    Raises:
        ValueError: there is none, or it is of another class, with other labels, or at another rate.
    """
    if isinstance(start, wanted) and start.sample_rate == sample_rate and tuple(start.labels) == tuple(labels):
        return start
    came = "no model" if start is None else f"a {type(start).__name__} of {len(start.labels)} labels"
    raise ValueError(
        f"mined_share is above 0, and training starts from {came}. What a {wanted.__name__} with the labels "
        f"{named(labels, len(labels))} at {sample_rate} Hz hears wrongly is mined. Pass one by --start, or leave "
        "mined_share out."
    )


__all__ = ["Mining", "mined_backgrounds", "require_mined_share", "to_deceive"]
