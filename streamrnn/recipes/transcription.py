"""Training of transcription, with CTC or a transducer, on transcribed recordings and on strings of single words."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioWarning
from streamrnn.contract import aligned
from streamrnn.data import Augment, AugmentSettings, ClipStore, prefetch, read_clips
from streamrnn.data.clips import Clip, named
from streamrnn.data.live_scenes import KINDS, LiveScenes
from streamrnn.data.recordings import Sounds, backgrounds_of, counted, of_split, recordings_to_train_on, rooms_of
from streamrnn.data.spoken import Spoken, Strings, StringSettings, Whole, single_words, spoken_ids, spoken_text
from streamrnn.data.word_rows import RUNNING, running_sound, utterances_of
from streamrnn.decisions import transcript, word_error_rate
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, ctc_loss, transducer_loss
from streamrnn.models import CTC, CTCSettings, Transducer, TransducerSettings
from streamrnn.models import Model as AnyModel
from streamrnn.recipes.mining import Mining, mined_backgrounds, require_mined_share, to_deceive
from streamrnn.recipes.recipe import outputs, require_counts, require_positive, require_shares
from streamrnn.recipes.transcription_rows import SpokenRows

VALIDATION_RECORDINGS, VALIDATION_STRINGS, VALIDATION_OTHERS = 200, 48, 32
VALIDATION_ROWS = 16
# Rows of other sound: in half of them nobody speaks, and machines are heard more often, as on telephones.
OTHER_SOUND = replace(RUNNING, silent_share=0.45, kinds=KINDS | {"tones": 0.25, "melodies": 0.12})

# Probability of any symbol, from which on one is heard.
HEARD = 0.5

Batch = dict[str, Any]


@dataclass(frozen=True)
class CTCTraining:
    """Settings of `streamrnn train digits`.

    Raises:
        ValueError: a number or share is out of its range, or durations_s are not rising.
    """

    model: CTCSettings = field(default_factory=CTCSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=5000, warmup_steps=200, weight_decay=0.01, ema_decay=0.998, validate_every=250
        )
    )
    augment: AugmentSettings = field(
        default_factory=lambda: AugmentSettings(speed=(0.85, 1.15), snr_db=(3.0, 30.0), band_limit_share=0.2)
    )
    strings: StringSettings = field(default_factory=StringSettings)
    batch_s: float = 112.0
    """Seconds of sound per update."""
    durations_s: tuple[float, ...] = (3.5, 7.0, 14.0)
    """Lengths of rows, in ascending order; all rows of a batch have the same length. Longer recordings are left out."""
    whole_share: float = 0.5
    """Share of rows with a recording of several symbols, rather than a string of joined words, if there are both."""
    other_share: float = 0.15
    """Share of rows without a symbol: noise, music and tones that start and stop and, if symbols are words, talk of
    other words."""
    around_share: float = 0.4
    """Share of the remaining rows in which such sound, often louder than the speech, stops before it and starts after
    it. A model that never heard a noise stop is deaf for seconds after one. Not used if other_share is 0."""
    mined_share: float = 0.0
    """Share of hard negatives: recorded noise, music and talk of other words that are drawn by how long the model of
    --start hears symbols in them. For models that are already trained. See mining.py."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose batches."""

    def __post_init__(self):
        require_counts(self, "workers")
        require_counts(self.model, "sample_rate", "hop_samples")
        require_positive(self, "batch_s")
        require_shares(self, "whole_share", "other_share", "around_share")
        require_mined_share(self, self.training)
        if not self.durations_s or not self.durations_s[0] >= 0.1 or sorted({*self.durations_s}) != [*self.durations_s]:
            raise ValueError(f"durations_s is {self.durations_s}; it must be rising lengths of 0.1 s or more.")
        if self.batch_s < self.durations_s[-1]:
            raise ValueError(f"batch_s is {self.batch_s}; it must hold a row of {self.durations_s[-1]} s.")


@dataclass(frozen=True)
class TransducerTraining(CTCTraining):
    """Settings of `streamrnn train digits-transducer`.

    Raises:
        ValueError: a number or share is out of its range, or durations_s are not rising.
    """

    model: TransducerSettings = field(default_factory=TransducerSettings)


class TranscriptionRecipe:
    """The common part of both recipes: rows of speech with the ids of their symbols.

    A recording of several symbols is used unchanged. Those of one symbol (single words) are joined into strings, with
    occasional words outside of the alphabet in between. So with an alphabet of characters, all recordings are used
    unchanged.

    Args:
        data: folders of recordings, or folders of such folders, in any layout of data.layouts. Those named noise*,
            music* and rir* are noise, music and room responses, all optional. From the other folders, clips with
            transcripts or labels are used; AudioWarnings count clips with words or characters other than the model's
            symbols, and name these.
        settings: see CTCTraining.

    Raises:
        FileNotFoundError, ValueError: see find_recordings; no clip of split train, or none of split valid, can be used.
    """

    Model: type[CTC] | type[Transducer]

    def __init__(self, data: Sequence[Path], settings: CTCTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data, settings.exclude)
        self._mining: Mining | None = None
        # The first validation comes late, so missing data for it are reported before the first update.
        self._clips = {split: self._transcribed(split) for split in ("train", "valid")}
        self._warn_of_other_words()

    def model(self, rngs: nnx.Rngs) -> Any:
        """A fresh model of settings.model."""
        build: Any = self.Model
        return build(self.settings.model, rngs=rngs)

    def begin_with(self, start: AnyModel | None) -> None:
        """Mines the false alarms of the model that training begins with, see mined_share.

        Raises:
            ValueError: mined_share is above 0, and `start` does not write the recipe's symbols at its rate.
        """
        if share := self.settings.mined_share:
            m = self.settings.model
            self._mining = Mining(to_deceive(start, self.Model, ("", *m.symbols), m.sample_rate), share, HEARD)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """samples float32[batch, frames, hop] in [-1, 1]; labels int32[batch, labels] from 1 on, then 0;
        label_lengths int32[batch]; names of the recordings. Rows have no padding: pauses may contain noise.
        """
        source = self._training_source

        def make(step: int) -> Batch:
            rng = np.random.default_rng([self.training.seed, step])
            duration_s = rng.choice(source.durations_s)
            rows = int(self.settings.batch_s / duration_s)
            return source.batch([source.draw(rng, duration_s) for _ in range(rows)], duration_s)

        return prefetch(make, start, stop, self.settings.workers)

    def validate(self, model: Any) -> float:
        """1 - word error rate over 200 recordings of split valid, 48 strings of its words, and, with `other_share`, 32
        rows without a symbol, always the same.
        """
        pairs = [pair for batch in self._validation for pair in _transcribed(model, batch)]
        return 1 - word_error_rate(pairs).rate

    def _transcribed(self, split: str) -> dict[Path, list[tuple[Clip, tuple[int, ...]]]]:
        alphabet = self.settings.model.alphabet
        speech = self.recordings.speech.items()
        found = {folder: _of_words(spoken_ids(of_split(clips, split), alphabet)) for folder, clips in speech}
        if not any(ids for clips in found.values() for _, ids in clips):
            raise ValueError(
                f"no clip of split {split} has a transcript in the model's {len(alphabet.symbols)} symbols "
                f"({', '.join(map(repr, alphabet.symbols[:5]))}, ...). Add recordings, or choose other --symbols."
            )
        return found

    def _warn_of_other_words(self) -> None:
        spoken = [spoken for folders in self._clips.values() for clips in folders.values() for spoken in clips]
        others = Counter(spoken_text(clip) for clip, ids in spoken if not ids)
        if others:
            told = f"{others.total():,} clip{'s' * (others.total() > 1)}"
            warnings.warn(
                f"Words that are no symbols teach the model to write nothing, in {told}: "
                f"{counted(dict(others.most_common()))}.",
                AudioWarning,
                stacklevel=3,
            )

    @cached_property
    def _training_source(self) -> SpokenRows:
        rate, found = self.settings.model.sample_rate, self.recordings
        noise, music = self._backgrounds
        rooms = rooms_of(of_split(found.rooms, "train"), rate)
        # Speed changes the length, so it is applied before a recording is placed in its row, and the rest after.
        augment = Augment(noise, music, rooms, [], rate, replace(self.settings.augment, speed=(1.0, 1.0)))
        return self._source("train", augment, self.settings.strings)

    @cached_property
    def _validation(self) -> list[Batch]:
        as_recorded = replace(self.settings.strings, word_tempo=(1.0, 1.0), word_colour_share=0.0)
        source, duration_s = self._source("valid", None, as_recorded), self.settings.durations_s[-1]
        rng = np.random.default_rng(1)
        places = [
            (clips, i) for _, whole in sorted(source.fitting.items()) for clips in whole for i in range(len(clips))
        ]
        if len(places) > VALIDATION_RECORDINGS:
            places = [places[i] for i in rng.choice(len(places), VALIDATION_RECORDINGS, replace=False)]
        rows = [clips[i] for clips, i in places]
        if source.strings.words:
            longest = source.samples(duration_s)
            rows += [source.strings.draw(rng, longest) for _ in range(VALIDATION_STRINGS)]
        rows = [source.placed(rng, row, duration_s) for row in rows]
        if source.other:
            rows += [source.without_symbols(rng, duration_s) for _ in range(VALIDATION_OTHERS)]
        parts = [rows[i : i + VALIDATION_ROWS] for i in range(0, len(rows), VALIDATION_ROWS)]
        return [source.batch(part, duration_s) for part in parts]

    def _source(self, split: str, augment: Augment | None, strings: StringSettings) -> SpokenRows:
        rate, whole, words = self.settings.model.sample_rate, [], {}
        for folder, clips in self._clips[split].items():
            several = {clip: ids for clip, ids in clips if len(ids) > 1}
            if several:
                whole.append(self._with_room(Whole(ClipStore(list(several), rate), several)))
            single = {clip: ids for clip, ids in clips if len(ids) < 2}
            if any(single.values()):
                read = read_clips(list(single), rate)
                spoken = [Spoken(s, single[clip], clip.speaker, names=(str(clip.path),)) for clip, s in read]
                words[folder] = single_words(spoken, rate)
        other = self._other_sound(split) if self.settings.other_share else None
        source = SpokenRows(whole, Strings(words, rate, strings), self.settings, augment, self._block_samples, other)
        source.require_rows()
        return source

    def _other_sound(self, split: str) -> LiveScenes:
        m, found = self.settings.model, self.recordings
        of_symbols = {clip for clips in self._clips[split].values() for clip, ids in clips if ids}
        others = [[c for c in of_split(clips, split) if c not in of_symbols] for clips in found.speech.values()]
        folders = others if m.alphabet.is_words else []
        store = ClipStore([clip for clips in folders for clip in clips], m.sample_rate)
        talk = utterances_of(folders, store, m.symbols, m.hop_samples, m.sample_rate)
        noise, music = self._backgrounds if split == "train" else backgrounds_of(found, split, m.sample_rate)
        if split == "train" and self._mining:
            talk = [(share, said.mined(self._mining.clips)) for share, said in talk]
        rooms = rooms_of(of_split(found.rooms, split), m.sample_rate)
        # Nobody counts the recordings that babble is made of.
        hidden = {"babble": 0.0} if split == "train" and self.training.private else {}
        settings = replace(OTHER_SOUND, kinds={**OTHER_SOUND.kinds, **hidden})
        return running_sound(talk, noise, music, rooms, m.sample_rate, m.hop_samples, settings)

    @cached_property
    def _backgrounds(self) -> tuple[Sounds, Sounds]:
        """Noise and music of split train."""
        return mined_backgrounds(self.recordings, "train", self.settings.model.sample_rate, self._mining)

    @cached_property
    def _block_samples(self) -> int:
        """Samples per output frame of the model."""
        return nnx.eval_shape(lambda: self.model(nnx.Rngs(0))).block_samples

    def _with_room(self, whole: Whole) -> Whole:
        frame_s = self._block_samples / self.settings.model.sample_rate
        kept, others = whole.split_by_room(self.settings.durations_s, frame_s)
        if others:
            warnings.warn(
                f"{len(others)} recordings are too short for their transcripts, a symbol every {1000 * frame_s:.0f} ms "
                f"at most, and are left out: {named(str(clip.path) for clip in others)}. Correct the transcripts.",
                AudioWarning,
                stacklevel=3,
            )
        return kept


class CTCRecipe(TranscriptionRecipe):
    """Transcription by CTC: CTC loss on transcribed recordings; validated by word error rate."""

    Settings, Model = CTCTraining, CTC

    def loss(self, model: CTC, batch: Batch) -> Mean:
        """CTC loss, in nats per symbol."""
        logits = aligned(model, batch["samples"])
        return ctc_loss(logits, batch["labels"], _all_frames(logits), batch["label_lengths"])


class TransducerRecipe(TranscriptionRecipe):
    """Transcription by a transducer: transducer loss on transcribed recordings; validated by word error rate."""

    Settings, Model = TransducerTraining, Transducer
    settings: TransducerTraining

    def loss(self, model: Transducer, batch: Batch) -> Mean:
        """Transducer loss, in nats per symbol of the batch."""
        labels, lengths = batch["labels"], batch["label_lengths"]
        logits = model.joint_logits(batch["samples"], labels)
        losses = transducer_loss(logits, labels, _all_frames(logits), lengths)
        # Per symbol of the batch, not of each row: otherwise long rows with few symbols would mainly teach silence.
        return Mean((jnp.sum(losses),), (jnp.sum(lengths).astype(jnp.float32),))


def _of_words(spoken: list[tuple[Clip, tuple[int, ...]]]) -> list[tuple[Clip, tuple[int, ...]]]:
    """Without the clips whose label is no word but a language, say, as no label of their folder is a symbol."""
    return spoken if any(ids for _, ids in spoken) else [one for one in spoken if one[0].transcript]


def _all_frames(logits: jax.Array) -> jax.Array:
    return jnp.full(logits.shape[0], logits.shape[1], jnp.int32)


def _transcribed(model: Any, batch: Batch) -> list[tuple[str, str]]:
    """(reference, hypothesis) of each row."""
    alphabet = model.settings.alphabet
    heard = np.asarray(model.readout(outputs(model, jnp.asarray(batch["samples"]))))
    pairs = []
    for row, labels, length in zip(heard, batch["labels"], batch["label_lengths"], strict=True):
        decoder = model.decoder()
        events = decoder.push(row) + decoder.finish(len(row) * model.frame_s)
        pairs.append((alphabet.decode(labels[:length].tolist()), transcript(events)))
    return pairs


__all__ = ["CTCRecipe", "CTCTraining", "TranscriptionRecipe", "TransducerRecipe", "TransducerTraining"]
