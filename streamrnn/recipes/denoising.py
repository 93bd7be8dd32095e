"""Training of noise suppression: clean speech and noise, mixed on the fly at many levels and in rooms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from streamrnn.contract import aligned
from streamrnn.data import prefetch, read_clips
from streamrnn.data.clips import Clip, pool_shares
from streamrnn.data.noisy_speech import Noisy, NoisySettings, NoisySpeech, Voice
from streamrnn.data.recordings import (
    Recordings,
    balanced_sounds_of,
    find_recordings,
    of_split,
    recordings_to_train_on,
    rooms_of,
    sounds_of,
)
from streamrnn.data.speech_labels import TABLE, read_speech_labels
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, Resolution, compressed_spectrum_loss, disturbance_loss, si_sdr_loss
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.recipes.recipe import outputs, require_counts, require_not_negative, require_positive, require_shares
from streamrnn.shapes import Frames

VALIDATION_BATCHES, VALIDATION_BATCH, VALIDATION_DURATION_S = 6, 10, 5.0
DB_PER_POINT = 10.0

# Speech counts as clean if its soft frames are this far below its loud ones; unlabelled speech needs more.
LABELLED_RANGE_DB, UNLABELLED_RANGE_DB = 30.0, 40.0
LEVEL_FRAME_S = 0.02
# Below the range of voices there is only rumble, which a model would otherwise learn to keep as speech.
RUMBLE_HZ = 60.0
LABELLED_SHARE, UNLABELLED_SHARE = 0.65, 0.35

TRAINING_MIXES = NoisySettings(
    snr_db=(-5.0, 20.0),
    level_db=(-50.0, -12.0),
    speed=(0.8, 1.25),
    speed_share=0.5,
    music_share=0.25,
    babble_share=0.08,
    synthetic_share=0.08,
    second_noise_share=0.25,
    click_share=0.08,
    colour_share=0.9,
    room_share=0.2,
    telephone_share=0.05,
)

# Windows of the loss: half overlap takes half the computation of the default.
SPECTRA = Resolution(512, 256, 512)


@dataclass(frozen=True)
class DenoisingTraining:
    """Settings of `streamrnn train denoise`.

    Raises:
        ValueError: no mixes, no threads, mixes shorter than the latency, a negative weight, or a share not in [0, 1].
    """

    model: DenoisingSettings = field(default_factory=DenoisingSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=13_000, learning_rate=2e-3, warmup_steps=100, ema_decay=0.998, validate_every=500
        )
    )
    batch_size: int = 16
    """Mixes per update."""
    duration_s: float = 3.0
    """Length of a mix."""
    sdr_weight: float = 0.05
    """Weight of the SI-SDR, per dB, relative to the distance of compressed spectra."""
    disturbance_weight: float = 0.5
    """Weight of the audible disturbance, per point of PESQ. With 0, training is a seventh faster."""
    carried_share: float = 0.5
    """Share of mixes that start from the final state of another mix instead of a fresh state, so that the model learns
    to forget sound from minutes ago. 0 trains on fresh streams only."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose mixes."""

    def __post_init__(self):
        require_counts(self, "batch_size", "workers")
        require_counts(self.model, "sample_rate", "hop_samples")
        require_not_negative(self, "sdr_weight", "disturbance_weight")
        require_shares(self, "carried_share")
        m = self.model
        least_s = (m.window_samples + m.lookahead_frames * m.hop_samples) / m.sample_rate
        if not self.duration_s >= least_s:
            raise ValueError(f"duration_s is {self.duration_s}; a mix must last as long as the latency, {least_s} s.")
        require_positive(self, "duration_s")


class DenoisingRecipe:
    """Denoising: SI-SDR, disturbance and compressed spectra on noisy speech; validated by the first two.

    Args:
        data: folders of recordings, or folders of such folders, in any layout of data.layouts. Those named noise*,
            music* and rir* are noise, music and room responses (rooms are optional); all other folders are speech.
            Speech with quality A in vad_segments.csv is used in all splits; other speech is used in training, and in a
            split where none is labelled so.

            Only clean speech is used: the 95th percentile of its frames' levels has to be 30 dB above the 8th, or 40 dB
            if it is not labelled A. It is high-passed at 60 Hz.
        settings: see DenoisingTraining.

    Raises:
        FileNotFoundError: there is no folder of noise or of music.
        ValueError: a split has no speech, noise or music, or a table is malformed.
    """

    Settings = DenoisingTraining

    def __init__(self, data: Sequence[Path], settings: DenoisingTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data, settings.exclude)
        # The first validation comes late, so missing data for it are reported before the first update.
        for split in ("train", "valid"):
            _found(self.recordings, split)

    def model(self, rngs: nnx.Rngs) -> Denoising:
        """A fresh model of settings.model."""
        return Denoising(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """noisy and clean, float32[batch, frames, hop] in [-1, 1]; names of the recordings of speech; with carried
        states also reset, bool[batch]: the rows that start as fresh streams. Private training hears no babble.
        """
        s, seed = self.settings, self.training.seed
        # Nobody counts the recordings that babble is made of.
        drawn = replace(TRAINING_MIXES, babble_share=0.0) if self.training.private else TRAINING_MIXES
        mixes = _noisy_speech(self.recordings, "train", s.model.sample_rate, drawn, unlabelled=True)

        def make(step: int) -> dict[str, Any]:
            rng = np.random.default_rng([seed, step])
            batch = self._batch([mixes.draw(rng, s.duration_s) for _ in range(s.batch_size)])
            return batch | ({"reset": rng.random(s.batch_size) >= s.carried_share} if s.carried_share else {})

        return prefetch(make, start, stop, s.workers)

    @property
    def initial_carry(self) -> Callable[[Denoising, dict[str, jax.Array]], Any] | None:
        """The state of fresh streams with carried states; else None."""
        return (lambda model, batch: model.init_state(len(batch["noisy"]))) if self.settings.carried_share else None

    def loss(self, model: Denoising, batch: dict[str, jax.Array], carry: Any = None) -> Any:
        """Distance of compressed spectra, minus the SI-SDR in dB, plus the disturbance, each times its weight; with
        carried states (loss, state).
        """
        if carry is None:
            return self._loss(aligned(model, batch["noisy"]), batch["clean"])
        carry, late = model.scan(carry, batch["noisy"])
        frames = late.shape[1] - model.lookahead
        return self._loss(late[:, model.lookahead :], batch["clean"][:, :frames]), carry

    def _loss(self, estimate: Frames, clean: Frames) -> Mean:
        s = self.settings
        estimate, clean = (x.reshape(len(x), -1) for x in (estimate, clean))
        loss = compressed_spectrum_loss(estimate, clean, resolution=SPECTRA)
        loss += s.sdr_weight * si_sdr_loss(estimate, clean)
        if s.disturbance_weight:
            loss += s.disturbance_weight * disturbance_loss(estimate, clean, sample_rate=s.model.sample_rate)
        return loss

    def validate(self, model: Denoising) -> float:
        """The mean of `_score_db` over 60 mixes of 5 s, always the same, drawn by NoisySettings()."""
        scores = []
        for batch in self._validation:
            estimate, clean = outputs(model, jnp.asarray(batch["noisy"])), jnp.asarray(batch["clean"])
            scores.append(_score_db(estimate, clean, self.settings.model.sample_rate))
        return float(np.mean(scores))

    @cached_property
    def _validation(self) -> list[dict[str, Any]]:
        mixes = _noisy_speech(self.recordings, "valid", self.settings.model.sample_rate, NoisySettings())
        rng = np.random.default_rng(1)
        drawn = [
            [mixes.draw(rng, VALIDATION_DURATION_S) for _ in range(VALIDATION_BATCH)] for _ in range(VALIDATION_BATCHES)
        ]
        return [self._batch(of_batch) for of_batch in drawn]

    def _batch(self, mixes: list[Noisy]) -> dict[str, Any]:
        hop = self.settings.model.hop_samples
        frames = len(mixes[0].samples) // hop

        def framed(recordings: list[np.ndarray]) -> np.ndarray:
            return np.stack(recordings)[:, : frames * hop].reshape(-1, frames, hop)

        return {
            "noisy": framed([mix.samples for mix in mixes]),
            "clean": framed([mix.clean for mix in mixes]),
            "names": [mix.names for mix in mixes],
        }


@partial(jax.jit, static_argnames="sample_rate")
def _score_db(estimate: Frames, clean: Frames, sample_rate: int) -> Float[jax.Array, ""]:
    """SI-SDR in dB minus 10 for each point of disturbance, the default weights of the loss."""
    estimate, clean = (x.reshape(len(x), -1) for x in (estimate, clean))
    loss = si_sdr_loss(estimate, clean) + DB_PER_POINT * disturbance_loss(estimate, clean, sample_rate=sample_rate)
    return -loss.value


def read_noisy_speech(
    data: Sequence[Path], split: str, sample_rate: int, settings: NoisySettings, *, unlabelled: bool = False
) -> NoisySpeech:
    """The recordings of one split of all folders in `data`, resampled where needed; speech is read into memory.

    Args:
        data, split: see DenoisingRecipe. For rooms without that split, split valid is taken.
        sample_rate: of the mixes, in Hz.
        settings: of the mixes.
        unlabelled: whether to use speech without labels of quality A if it measures as clean.

    Raises:
        FileNotFoundError, ValueError: see DenoisingRecipe.
        AudioError: no recording of a kind could be read.
    """
    return _noisy_speech(find_recordings(data), split, sample_rate, settings, unlabelled=unlabelled)


def _noisy_speech(
    recordings: Recordings, split: str, sample_rate: int, settings: NoisySettings, *, unlabelled: bool = False
) -> NoisySpeech:
    found = _found(recordings, split)
    clean = _clean(found.clean, sample_rate, LABELLED_RANGE_DB)
    speech = [(LABELLED_SHARE, clean)] if clean else []
    if unlabelled or not found.clean:
        measured = [_clean(clips, sample_rate, UNLABELLED_RANGE_DB) for clips in found.other]
        pools = [pool for pool in measured if pool]
        speech += zip(UNLABELLED_SHARE * pool_shares(pools), pools, strict=True)
    if not speech:
        raise ValueError(
            f"No speech of split {split!r} is clean: all of it lies less than {LABELLED_RANGE_DB:.0f} dB above its "
            f"background ({UNLABELLED_RANGE_DB:.0f} dB without labels of quality A). Add recordings from quiet rooms."
        )
    sounds = balanced_sounds_of if split == "train" else sounds_of
    return NoisySpeech(
        speech=speech,
        noise=sounds(found.noise, sample_rate),
        music=sounds(found.music, sample_rate),
        rooms=rooms_of(found.rooms, sample_rate),
        sample_rate=sample_rate,
        settings=settings,
    )


@dataclass(frozen=True)
class _Found:
    """Clips of one split. clean: speech labelled as clean; other: all other speech, by folder."""

    clean: list[Clip]
    other: list[list[Clip]]
    noise: list[Clip]
    music: list[Clip]
    rooms: list[Clip]


def _found(recordings: Recordings, split: str) -> _Found:
    clean, other = _by_quality(recordings, split)
    found = _Found(
        clean,
        other,
        noise=of_split(recordings.noise, split),
        music=of_split(recordings.music, split),
        rooms=of_split(recordings.rooms, split) or of_split(recordings.rooms, "valid"),
    )
    kinds = {"speech": found.clean or found.other, "noise": found.noise, "music": found.music}
    if lacking := [kind for kind, clips in kinds.items() if not clips]:
        raise ValueError(
            f"{', '.join(map(str, recordings.places))} has no {' and no '.join(lacking)} in split {split!r}; noisy "
            "speech needs all three. Noise and music are folders whose names begin so. Add recordings, or correct the "
            "manifests' splits."
        )
    return found


def _by_quality(recordings: Recordings, split: str) -> tuple[list[Clip], list[list[Clip]]]:
    clean, other = [], []
    for folder, clips in recordings.speech.items():
        table = folder / TABLE
        labels = read_speech_labels(table) if table.is_file() else {}
        quality = {path: of.quality for path, of in labels.items()}
        there = of_split(clips, split)
        clean += [clip for clip in there if quality.get(clip.path) == "A"]
        other.append([clip for clip in there if quality.get(clip.path) != "A"])
    return clean, [clips for clips in other if clips]


def _clean(clips: list[Clip], sample_rate: int, range_db: float) -> list[Voice]:
    """The clips with at most that much background, without rumble."""
    read = read_clips(clips, sample_rate)
    voices = [Voice(_without_rumble(samples, sample_rate), str(clip.path)) for clip, samples in read]
    return [voice for voice in voices if _range_db(voice.samples, sample_rate) >= range_db]


def _without_rumble(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    high_pass = butter(4, RUMBLE_HZ, "highpass", fs=sample_rate, output="sos")
    return np.round(sosfilt(high_pass, samples)).clip(-32768, 32767).astype(np.int16)


def _range_db(samples: np.ndarray, sample_rate: int) -> float:
    """The distance between the levels of a recording's soft and loud frames."""
    frame = round(LEVEL_FRAME_S * sample_rate)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    if len(frames) < 2:
        return 0.0
    levels_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1)
    soft, loud = np.percentile(levels_db, [8, 95])
    return float(loud - soft)


__all__ = ["DenoisingRecipe", "DenoisingTraining", "read_noisy_speech"]
