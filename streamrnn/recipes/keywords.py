"""Training of keyword models on clips of single words, changed at every draw, alone and in running sound."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data import prefetch, read_clips
from streamrnn.data.augment import Augment, AugmentSettings
from streamrnn.data.clips import Clip, pick
from streamrnn.data.labels import warn_of_other_labels
from streamrnn.data.layouts import find_folders
from streamrnn.data.recordings import (
    Sounds,
    backgrounds_of,
    of_split,
    recordings_to_train_on,
    rooms_of,
)
from streamrnn.data.store import ClipStore
from streamrnn.data.word_rows import FIRST_WORD, TALK_SHARE, running_sound, utterances_of
from streamrnn.decisions import clip_class, peak_scores, smooth_posteriors
from streamrnn.learning import TrainingSettings
from streamrnn.losses import max_pooling_loss, spotting_loss
from streamrnn.models import Keywords, KeywordsSettings, Model
from streamrnn.recipes.echoes import check_echoes
from streamrnn.recipes.keyword_rows import ClipSource, RunningRows, SortedClips, clip_batch, labels_of, placed
from streamrnn.recipes.mining import Mining, mined_backgrounds, require_mined_share, to_deceive
from streamrnn.recipes.recipe import (
    OfLastWeights,
    outputs,
    refuse_babble,
    require_counts,
    require_not_negative,
    require_positive,
    require_shares,
)
from streamrnn.recipes.wake import threshold_for

VALIDATION_BATCH = 100
RUNNING_VALIDATION_ROWS, RUNNING_VALIDATION_S, RUNNING_TOGETHER = 90, 20.0, 15


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
    running_s: float = 4.0
    """Seconds of continuous sound in each row, after its clip: words, talk, pauses, and sounds that start and stop. 0
    trains on clips alone, and the model then raises many false alarms between words. Private training uses clips
    alone."""
    reset_share: float = 0.5
    """Share of rows that begin with a clip and a fresh state. The others are all continuous sound, and continue with
    the state of an earlier row."""
    talk_share: float = TALK_SHARE
    """Share of talk, rather than single words, among the utterances of continuous sound. A wake word needs more of it
    than commands, such as 0.5."""
    echoes: int = 1
    """Number of updates that use each row of continuous sound, some updates apart and with other masks each time:
    composing rows takes longer than learning from them. Must divide batch_size."""
    duration_s: float = 1.24
    """Length of clips. Of much longer recordings, the loudest part is used if they are words, else any part."""
    unknown_share: float = 0.1
    """Share of clips of unknown words, if there are any."""
    silence_share: float = 0.05
    """Share of clips with only noise or music."""
    cold_share: float = 0.5
    """Share of clips at the very start of a stream, rather than after some of its noise."""
    label_smoothing: float = 0.1
    """Label smoothing: share of each label that is spread over all classes."""
    detection_share: float = 0.2
    """Share of the loss that rewards high scores; the rest rewards choosing the right word."""
    max_alarms_per_hour: float = 10.0
    """False alarms per hour of continuous sound at which validation counts the words found. The model's threshold
    becomes the lowest one, from 0.5 up, that raises no more."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    mined_share: float = 0.0
    """Share of hard negatives: recorded noise and music, and other words and talk in continuous sound, that are drawn
    by how long the model of --start takes them for words. For models that are already trained. See mining.py."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose clips."""

    def __post_init__(self):
        require_counts(self, "batch_size", "workers")
        require_counts(self.model, "sample_rate", "hop_samples")
        require_positive(self, "duration_s", "max_alarms_per_hour")
        require_not_negative(self, "running_s")
        shares = ("unknown_share", "silence_share", "cold_share", "label_smoothing", "detection_share", "reset_share")
        require_shares(self, *shares, "talk_share")
        require_mined_share(self, self.training)
        if self.unknown_share + self.silence_share >= 1:
            raise ValueError("unknown_share + silence_share leave no share for words; together they must be below 1.")
        check_echoes(self.batch_size, self.echoes)
        if self.frames < 1:
            raise ValueError(f"duration_s is {self.duration_s}; a clip needs one frame or more.")

    @property
    def frames(self) -> int:
        """Input frames per clip, as many as make whole frames of outputs."""
        return self._whole_frames(self.duration_s)

    @property
    def running_frames(self) -> int:
        """Input frames of running sound per row, the same way; 0 in private training."""
        return self._whole_frames(0.0 if self.training.private else self.running_s)

    def _whole_frames(self, seconds: float) -> int:
        m = self.model
        return round(seconds * m.sample_rate / m.hop_samples / m.hops_per_frame) * m.hops_per_frame


class KeywordsRecipe:
    """Keywords: max-pooling loss on words, in clips and in continuous sound; validated by the mean of clip accuracy and
    of the share of words found in continuous sound at a given false alarm rate.

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
        words = settings.model.words or labels_of(self.recordings, find_folders(data[:1]))
        model = dataclasses.replace(settings.model, words=words)
        self.settings, self.training = dataclasses.replace(settings, model=model), settings.training
        self._store: ClipStore | None = None
        self._mining: Mining | None = None
        self._clips = SortedClips.sorted_by(words, self.recordings.speech)
        self._require_words()
        warn_of_other_labels([*self._clips.near, *(clip for clip in self._clips.far if clip.label)], words, "train")

    def model(self, rngs: nnx.Rngs) -> Keywords:
        """A fresh model of settings.model."""
        return Keywords(self.settings.model, rngs=rngs)

    def begin_with(self, start: Model | None) -> None:
        """Mines the false alarms of the model that training begins with, see mined_share.

        Raises:
            ValueError: mined_share is above 0, and `start` does not listen for the recipe's words at its rate.
        """
        if share := self.settings.mined_share:
            m = self.settings.model
            deceived = to_deceive(start, Keywords, m.labels, m.sample_rate)
            # An alarm is a mean over some frames, of which one may be lower.
            self._mining = Mining(deceived, share, deceived.decision.threshold / 2)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Rows: samples float32[batch, hops, hop]; labels int32[batch, words], places bool[batch, words, frames],
        weights float32[batch, frames] and quiet bool[batch, frames], see spotting_loss; reset bool[batch]; names. Truth
        is as late as the model's outputs.

        Without running sound: samples; labels int32[batch]; weights; names.
        """
        source, s = self._source, self.settings
        if s.running_frames:
            return prefetch(self._running("train", source).batches(self.training.seed), start, stop, s.workers)

        def make(step: int) -> dict[str, Any]:
            rng = np.random.default_rng([self.training.seed, step])
            drawn = [source.draw(rng) for _ in range(s.batch_size)]
            return clip_batch([(clip, label) for clip, label, _ in drawn], s) | {
                "names": [names for *_, names in drawn]
            }

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
        refuse_babble(s.augment.babble_share)
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
            return clip_batch([*made, *padding], s) | {"drawn": np.arange(rows) < len(made)}

        return prefetch(make, start, stop, s.workers)

    @property
    def initial_carry(self) -> Callable[[Keywords, dict[str, jax.Array]], Any] | None:
        """The state of fresh streams; None without running sound: clips carry nothing."""
        if not self.settings.running_frames:
            return None
        return lambda model, batch: model.init_state(len(batch["samples"]))

    def loss(self, model: Keywords, batch: dict[str, jax.Array], carry: Any = None) -> Any:
        """(spotting_loss, state); of clips alone max_pooling_loss, in nats per clip."""
        s, smoothing = self.settings, model.decision.smoothing_frames(model.frame_s)
        shares = s.label_smoothing, s.detection_share
        if "places" not in batch:
            logits = aligned(model, batch["samples"])
            return max_pooling_loss(logits, batch["labels"], batch["weights"], smoothing, *shares)
        carry, logits = model.scan(carry, batch["samples"])
        said = batch["labels"], batch["places"]
        return spotting_loss(logits, *said, batch["weights"], batch["quiet"], smoothing, *shares), carry

    def validate(self, model: Keywords) -> float:
        """The mean of two shares: clips named right, and words of running sound found at `max_alarms_per_hour`; without
        running sound, the former. Clips are those of words and, if the same folders have any, of unknown words.
        """
        smoothing = model.decision.smoothing_frames(model.frame_s)
        right = []
        for batch in self._validation:
            posteriors = np.asarray(jax.nn.softmax(outputs(model, jnp.asarray(batch["samples"]))))
            for y, label, weights in zip(posteriors, batch["labels"], batch["weights"], strict=True):
                heard = y[: int(weights.sum())]
                right.append(clip_class(heard, smoothing)[0] == label)
        if not self.settings.running_frames:
            return float(np.mean(right))
        said, alarms, hours = self._heard_running(model)
        threshold = threshold_for(alarms, hours, self.settings.max_alarms_per_hour)
        found = np.mean(np.array(said) >= threshold) if said else 0.0
        return float(np.mean(right) + found) / 2

    def finish(self, model: Keywords) -> None:
        """Sets the threshold: see max_alarms_per_hour."""
        if self.settings.running_frames:
            _, alarms, hours = self._heard_running(model)
            threshold = threshold_for(alarms, hours, self.settings.max_alarms_per_hour)
            model.decision = dataclasses.replace(model.decision, threshold=round(threshold, 3))

    @cached_property
    def _heard_running(self) -> OfLastWeights[tuple[list[float], list[float], float]]:
        return OfLastWeights(self._hear_running)

    def _hear_running(self, model: Keywords) -> tuple[list[float], list[float], float]:
        """Of the running sound of split valid: scores of the words said, of false alarms, highest first, and hours."""
        decision, frame_s = model.decision, model.frame_s
        smoothing, refractory = decision.smoothing_frames(frame_s), decision.refractory_frames(frame_s)
        said: list[float] = []
        alarms: list[float] = []
        for batch in self._running_validation:
            posteriors = np.asarray(jax.nn.softmax(outputs(model, jnp.asarray(batch["samples"]))))
            for row, y in enumerate(posteriors):
                scores = smooth_posteriors(y, smoothing)
                for label, place in zip(batch["labels"][row], batch["places"][row], strict=True):
                    if label >= FIRST_WORD:
                        said.append(float(scores[place, label].max()))
                elsewhere = np.where(batch["weights"][row] == 1, scores[:, FIRST_WORD:].max(axis=1), 0)
                alarms += peak_scores(elsewhere, refractory)
        # Where nobody wrote down what is said, what is heard may be true.
        hours = sum(np.sum(batch["weights"] == 1) for batch in self._running_validation) * frame_s / 3600
        return said, sorted(alarms, reverse=True), hours

    @cached_property
    def _running_validation(self) -> list[dict[str, Any]]:
        """Running sound of split valid, always the same: 90 rows of 20 s."""
        m, rng = self.settings.model, np.random.default_rng(1)
        rows = self._running("valid", None)
        hops = round(RUNNING_VALIDATION_S * m.sample_rate / m.hop_samples / m.hops_per_frame) * m.hops_per_frame
        drawn = [rows.row(rng, hops, ends_open=False) for _ in range(RUNNING_VALIDATION_ROWS)]
        parts = [drawn[i : i + RUNNING_TOGETHER] for i in range(0, len(drawn), RUNNING_TOGETHER)]
        return [placed(part, late_frames=0, hop_samples=m.hop_samples) for part in parts]

    def _running(self, split: str, clips: ClipSource | None) -> RunningRows:
        m, found = self.settings.model, self.recordings
        folders = [of_split(clips, split) for clips in (self._clips.words, self._clips.near)]
        folders = [[*folders[0], *folders[1]]] + [
            of_split(clips, split) for clips in found.speech.values() if not any(c.label in m.words for c in clips)
        ]
        share = self.settings.talk_share
        speech = utterances_of(folders, self._speech(split), m.words, m.hop_samples, m.sample_rate, share)
        noise, music = self._backgrounds if split == "train" else backgrounds_of(found, split, m.sample_rate)
        if split == "train" and self._mining:
            speech = [(part, said.mined(self._mining.clips)) for part, said in speech]
        rooms = rooms_of(of_split(found.rooms, split), m.sample_rate)
        scenes = running_sound(speech, noise, music, rooms, m.sample_rate, m.hop_samples)
        return RunningRows(scenes, clips, self.settings)

    @cached_property
    def _backgrounds(self) -> tuple[Sounds, Sounds]:
        """Noise and music of split train."""
        return mined_backgrounds(self.recordings, "train", self.settings.model.sample_rate, self._mining)

    def _speech(self, split: str) -> ClipStore:
        """All speech of a split; train's is kept."""
        if split == "train" and self._store is not None:
            return self._store
        clips = [*self._clips.words, *self._clips.near, *self._clips.far]
        store = ClipStore(of_split(clips, split), self.settings.model.sample_rate)
        self._store = store if split == "train" else self._store
        return store

    @cached_property
    def _source(self) -> ClipSource:
        rate, found = self.settings.model.sample_rate, self.recordings
        noise, music = self._backgrounds
        rooms = rooms_of(of_split(found.rooms, "train"), rate)
        store, words = self._speech("train"), self.settings.model.words
        said = of_split(self._clips.words, "train")
        unknown = [store.of(c for c in clips if c.label not in words) for clips in found.speech.values()]
        voices = Sounds(tuple((store, place) for clips in unknown for place in clips.places))
        return ClipSource(
            words=[store.of(clip for clip in said if clip.label == word) for word in words],
            unknown=[clips for clips in unknown if clips],
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
        frames = seconds * m.sample_rate // m.hop_samples // m.hops_per_frame * m.hops_per_frame
        # In training, a clip labelled "silence" is an unknown word, and so it is here.
        index = {word: m.labels.index(word) for word in m.words}
        clips = [(s.astype(np.float32) / 32768, index.get(clip.label, 1)) for clip, s in part]
        return clip_batch(clips, dataclasses.replace(self.settings, duration_s=frames * m.hop_samples / m.sample_rate))

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


__all__ = ["KeywordsRecipe", "KeywordsTraining"]
