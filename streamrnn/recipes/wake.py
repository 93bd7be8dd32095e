"""Training of wake words: a head beside a search, on the frozen model of phonemes, against hours of other sound."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from flax import nnx

from streamrnn.data import Augment, AugmentSettings
from streamrnn.data.recordings import Recordings, Sounds, of_split, rooms_of, sounds_of
from streamrnn.data.spoken import clip_says
from streamrnn.data.wake_rows import Row, WakeRows
from streamrnn.decisions import KeywordSettings
from streamrnn.decisions.detection import detection_curve, peak_scores
from streamrnn.layers import Chain
from streamrnn.learning import TrainingSettings
from streamrnn.learning.learner import Learner
from streamrnn.learning.settings import SEEDS
from streamrnn.losses.wake import wake_loss
from streamrnn.models import Phonemes, Wake, WakeSettings
from streamrnn.models.wake import Together, joined, sounds_of_ways, wake_head
from streamrnn.recipes.recipe import require_counts, require_positive
from streamrnn.recipes.wake_encoder import Encoder, Heard, closest, decided, scores

# Of the rows without the word, those that come closest to it are drawn as often as all others together.
HARD_SHARE, FEWEST_HARD = 1 / 12, 100

# Score from which recordings that come close to a phrase are told of.
LEAST_TOLD = 0.5

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class WakeTraining:
    """How to train a wake word.

    Raises:
        ValueError: a number is out of its range.
    """

    max_alarms_per_hour: float = 0.5
    """Acceptable false alarms per hour; sets the threshold."""
    hours: float = 8.0
    """Maximum hours of other sound."""
    rows: int = 600
    """Rows of 8 s that contain the phrase, among talk and noise."""
    steps: int = 600
    """Updates per head."""
    rounds: int = 3
    """Rounds of training; after each, the sound closest to a false alarm is mined."""
    batch_size: int = 24
    """Rows per update, half of them with the phrase."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    heads: int = 3
    """Heads trained from different random seeds; their mean decides."""
    head: int = 48
    """State size of each head."""
    head_dropout: float = 0.4
    """Dropout of the heads' inputs."""
    row_s: float = 8.0
    """Length of a row."""
    augment: AugmentSettings = field(
        default_factory=lambda: AugmentSettings(
            speed=(0.85, 1.18),
            room_share=0.4,
            noise_share=0.5,
            music_share=0.15,
            snr_db=(-2.0, 25.0),
            band_limit_share=0.15,
        )
    )
    seed: int = 0
    """Random seed."""

    def __post_init__(self):
        require_positive(self, "max_alarms_per_hour", "hours", "learning_rate", "row_s")
        if not 0 <= self.seed < SEEDS - self.heads:
            raise ValueError(f"seed is {self.seed}; it must be 0 or above, and below {SEEDS - self.heads:,}.")
        require_counts(self, "rows", "steps", "rounds", "heads", "head")
        if self.batch_size < 2:
            raise ValueError(
                f"batch_size is {self.batch_size}; it must be at least 2, as half of the rows have the word."
            )
        if self.steps < self.rounds:
            raise ValueError(f"steps is {self.steps} and rounds {self.rounds}; there must be a step for each round.")


@dataclass(frozen=True)
class Said:
    """Recordings of a phrase alone and of phrases that sound alike, to train and to validate with; and the sounds of
    the ways to say it, which the search looks for.
    """

    ways: Sequence[Sequence[str]]
    words: Sequence[np.ndarray]
    near: Sequence[np.ndarray]
    valid_words: Sequence[np.ndarray]
    valid_near: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class OtherSound:
    """Sound without the phrase.

    Attributes:
        talk, sounds: recordings of speech; of noise and music.
        augment: what rows with the phrase are varied with.
    """

    talk: Sounds
    sounds: Sounds
    augment: Augment

    @property
    def all(self) -> Sounds:
        """All of them, in the order in which they are heard."""
        return self.sounds + self.talk

    @classmethod
    def of(
        cls, found: Recordings, split: str, settings: WakeTraining, rate: int, phrases: Sequence[str]
    ) -> "OtherSound":
        """Of the recordings' clips of one split; those in whose transcript or label a phrase is are left out.

        Raises:
            ValueError: there is none.
        """
        rng = np.random.default_rng(settings.seed)
        clips = [clip for of in found.speech.values() for clip in of_split(of, split) if not clip_says(clip, phrases)]
        talk = sounds_of([clips[i] for i in rng.permutation(len(clips))], rate)
        noise, music = (sounds_of(of_split(of, split), rate) for of in (found.noise, found.music))
        if not talk and not noise and not music:
            raise ValueError(
                f"there is no sound of split {split} without {' or '.join(phrases)}. Pass --data with folders of "
                "speech, noise and music, the more different the better: a wake word is as good as what it was told "
                "apart from."
            )
        rooms = rooms_of(of_split(found.rooms, split), rate)
        varied = Augment(noise, music, rooms, talk, rate, settings.augment)
        return cls(talk, noise + music, varied)


def train_wake(
    listener: Phonemes,
    phrases: Mapping[str, Said],
    found: Recordings,
    settings: WakeTraining,
    progress: OnProgress = lambda what, done, total: None,
) -> Iterator[tuple[str, Wake, dict[str, Any]]]:
    """For each phrase a model that hears it, with its threshold, and what was measured on sound kept for validation.

    Other sound is heard once for all of them.

    Args:
        listener: the model of phonemes whose encoder it takes, unchanged.
        phrases: as they are typed, which are the labels of their events; and recordings at the listener's rate.
        found: recordings of other sound; those of split valid, and held-out voices, set the threshold.
        progress: called with what is done, how far, and of how much.

    Yields:
        The phrase; the model; and of validation: recordings of the phrase, words (how often these were laid among other
        sound), hours, threshold and curve (see DetectionPoint); and closest:
        the recordings of each split that come closest to the phrase, see closest().

    Raises:
        ValueError: there are no recordings of a phrase, or no other sound.
    """
    for phrase, said in phrases.items():
        if not len(said.words) or not len(said.valid_words):
            raise ValueError(
                f"there are {len(said.words)} recordings of {phrase!r} to train with and {len(said.valid_words)} to "
                "validate with; both are needed. Raise --clips, or add recordings."
            )
    built = {phrase: _settings_of(phrase, said, listener, settings) for phrase, said in phrases.items()}
    encoder, rate = Encoder(listener), listener.settings.sample_rate
    length = round(settings.row_s * rate / encoder.block_samples) * encoder.block_samples
    others, heard = {}, {}
    for split in ("train", "valid"):
        others[split] = other = OtherSound.of(found, split, settings, rate, tuple(phrases))
        rows = WakeRows([], [], other.talk, other.sounds, other.augment, length, rate)
        heard[split] = encoder.hear(_without(rows, other.all, settings, progress, f"other sound, split {split}"))
    for phrase, said in phrases.items():
        rng = np.random.default_rng([settings.seed, 1])
        parts: dict[str, tuple[Heard, Heard]] = {}
        for split in ("train", "valid"):
            words, near = (said.words, said.near) if split == "train" else (said.valid_words, said.valid_near)
            other = others[split]
            rows = WakeRows(words, near, other.talk, other.sounds, other.augment, length, rate)
            count = settings.rows if split == "train" else max(40, settings.rows // 8)
            told = partial(_tell, progress, f"{phrase!r} among other sound, split {split}", count)
            with_word = encoder.hear((rows.with_word(rng, number) for number in range(count)), told)
            alike = [rows.near_word(rng, number) for number in range(min(len(near), count // 4))]
            without = heard[split] if not alike else heard[split].and_those(encoder.hear(alike))
            parts[split] = encoder.search(with_word, built[phrase]), encoder.search(without, built[phrase])
        head = fit_heads(built[phrase], *parts["train"], settings, partial(progress, f"training for {phrase!r}"))
        scored = {split: scores(head, built[phrase], without) for split, (_, without) in parts.items()}
        figures = _judged(
            listener.frame_s,
            scores(head, built[phrase], parts["valid"][0]),
            parts["valid"][0].words,
            scored["valid"],
            settings,
        )
        figures = {"recordings": len(said.valid_words), **figures}
        figures["closest"] = {
            split: closest(of_split, parts[split][1], others[split].all.clips, rate, listener.frame_s, LEAST_TOLD)
            for split, of_split in scored.items()
        }
        decision = KeywordSettings(threshold=figures["threshold"], smoothing_ms=0.0)
        model = Wake(built[phrase], decision, rngs=nnx.Rngs(0))
        model.assemble(listener, head)
        model.eval()
        yield phrase, model, figures


def _tell(progress: OnProgress, what: str, total: int, done: int) -> None:
    progress(what, done, total)


def _without(
    rows: WakeRows, everything: Sounds, settings: WakeTraining, progress: OnProgress, what: str
) -> Iterator[Row]:
    """Rows without a phrase: talk varied, and everything as it was recorded."""
    most, rng = round(settings.hours * 3600 / settings.row_s), np.random.default_rng([settings.seed, 3])

    def composed() -> Iterator[Row]:
        for _ in range(most // 10 if len(rows.talk) else 0):
            yield rows.talked(rng)
        yield from rows.as_recorded(everything)

    for number, row in enumerate(composed(), start=1):
        progress(what, number, most)
        yield row
        if number == most:
            break


def _settings_of(phrase: str, said: Said, listener: Phonemes, settings: WakeTraining) -> WakeSettings:
    return WakeSettings(
        words=(phrase,),
        sounds=(sounds_of_ways(said.ways),),
        head=settings.heads * settings.head,
        head_dropout=settings.head_dropout,
        **vars(listener.settings),
    )


def fit_heads(
    built: WakeSettings,
    with_word: Heard,
    without: Heard,
    settings: WakeTraining,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Chain:
    """Heads that, with the search, tell rows with the word from rows without; as one that is their mean."""
    steps, heads = settings.steps, []
    for number in range(settings.heads):
        told = partial(lambda before, done, total: progress(before + done, settings.heads * total), number * steps)
        one = replace(built, head=settings.head)
        heads.append(_fit_head(one, with_word, without, replace(settings, seed=settings.seed + number), told))
    return joined(heads, built, nnx.Rngs(0))


def _fit_head(
    built: WakeSettings,
    with_word: Heard,
    without: Heard,
    settings: WakeTraining,
    progress: Callable[[int, int], None],
) -> Chain:
    """One head, in eval mode."""
    head, rng = wake_head(built, nnx.Rngs(settings.seed)), np.random.default_rng([settings.seed, 2])
    learner = Learner(
        head,
        partial(_loss, Together(built)),
        TrainingSettings(
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            warmup_steps=min(50, settings.steps // 4 + 1),
            weight_decay=0.01,
            ema_decay=0.99,
        ),
    )
    hard, learned, half = np.arange(len(without)), None, settings.batch_size // 2
    for step in range(settings.steps):
        if step and step % (settings.steps // settings.rounds) == 0:
            nnx.update(head, learner.devices.copy_here(learned.shipped))  # pyright: ignore[reportOptionalMemberAccess]
            closest = scores(head, built, without).max(axis=1)
            hard = np.argsort(-closest)[: max(FEWEST_HARD, round(HARD_SHARE * len(without)))]
        chosen = rng.integers(len(with_word), size=settings.batch_size - half)
        is_hard, anywhere = rng.random(half) < 0.5, rng.integers(len(without), size=half)
        others = np.where(is_hard, hard[rng.integers(len(hard), size=half)], anywhere)
        batch = {
            name: np.concatenate([getattr(with_word, name)[chosen], getattr(without, name)[others]])
            for name in ("frames", "found", "words", "elsewhere")
        }
        # False alarms count more and more, when the word is known.
        batch["hardness"] = np.full(settings.batch_size, 2 * min(1, 0.2 + step / settings.steps), np.float32)
        shared = learner.share(batch)
        learned = learner.begin(shared) if learned is None else learned
        learned, _ = learner.update(learned, shared, step)
        progress(step + 1, settings.steps)
    nnx.update(head, learner.devices.copy_here(learned.shipped))  # pyright: ignore[reportOptionalMemberAccess]
    head.eval()
    return head


def _loss(together: Together, head: Chain, batch: dict[str, Any]) -> Any:
    logits = decided(head, together, batch["frames"], batch["found"])
    return wake_loss(logits, batch["words"], batch["elsewhere"], batch["hardness"])


def _judged(
    frame_s: float, heard: np.ndarray, places: np.ndarray, without: np.ndarray, settings: WakeTraining
) -> dict[str, Any]:
    """Figures of the scores of rows with the word, float32[rows, frames], of its places in them, as in Heard, and of
    the scores of rows without it.
    """
    refractory = KeywordSettings().refractory_frames(frame_s)
    said = [float(row[word].max()) for row, words in zip(heard, places, strict=True) for word in words if word.any()]
    alarms = sorted((peak for row in without for peak in peak_scores(row, refractory)), reverse=True)
    hours = without.size * frame_s / 3600
    threshold = threshold_for(alarms, hours, settings.max_alarms_per_hour)
    thresholds = sorted({0.5, threshold, *(threshold_for(alarms, hours, rate) for rate in (0.2, 0.5, 1, 2, 5, 10))})
    curve = detection_curve(said, alarms, hours, thresholds)
    points = [
        {**vars(point), "false_alarms_per_hour": point.false_alarms_per_hour, "bound_per_hour": point.bound_per_hour}
        for point in curve
    ]
    return {"words": len(said), "hours": hours, "threshold": threshold, "curve": points}


def threshold_for(alarms: Sequence[float], hours: float, most_per_hour: float) -> float:
    """The lowest threshold, at least 0.5, at which no more than so many of the alarms (highest first) are raised."""
    allowed = int(most_per_hour * hours)
    highest = alarms[allowed] if allowed < len(alarms) else 0.0
    # Halfway to certainty in the odds: the next alarm of a longer time will be a little higher.
    return float(min(max(0.5, highest + 0.1 * (1 - highest)), 0.9999))


__all__ = [
    "OtherSound",
    "Said",
    "WakeTraining",
    "fit_heads",
    "threshold_for",
    "train_wake",
]
