"""Training of voice activity models on sound as it reaches a live detector: see data/live_scenes.py."""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioWarning
from streamrnn.data import Clip, prefetch, read_clips
from streamrnn.data.clips import named
from streamrnn.data.live_scenes import (
    CRIES,
    KINDS,
    NOISE,
    SPEECH,
    UNKNOWN,
    LiveScene,
    LiveScenes,
    LiveSettings,
    Spoken,
    trimmed,
)
from streamrnn.data.recordings import (
    FOLDER_BALANCE,
    Recordings,
    of_split,
    recordings_to_train_on,
    rooms_of,
    sounds_of,
)
from streamrnn.data.speech_labels import TABLE, SpeechLabels, labelled_clips, read_speech_labels, warn_of_labels
from streamrnn.decisions import SpeechSettings, roc_auc
from streamrnn.learning import TrainingSettings
from streamrnn.losses import frame_binary_cross_entropy
from streamrnn.models import Model, VoiceActivity, VoiceActivitySettings
from streamrnn.recipes.echoes import check_echoes, echoed
from streamrnn.recipes.mining import Mining, mined_backgrounds, require_mined_share, to_deceive
from streamrnn.recipes.recipe import outputs, require_counts, require_positive, require_shares

# How often utterances are drawn by the quality of their labels, beside each other in one folder.
QUALITIES = {"A": 1.0, "B": 0.4}
# What sounds where nobody speaks is louder, and a throat's more often, than LiveSettings has it: false alarms come from
# both.
LIVE = LiveSettings(alone_db=(0.0, 10.0), kinds={**KINDS, "cries": 0.1})
VALIDATION_SCENES = 60
VALIDATION_DURATION_S = 20.0


@dataclass(frozen=True)
class VoiceActivityTraining:
    """Settings of `streamrnn train vad`.

    Raises:
        ValueError: no scenes, no parts, no threads, parts shorter than a frame, or a share or weight beyond its range.
    """

    model: VoiceActivitySettings = field(default_factory=lambda: VoiceActivitySettings(memory_s=0.0))
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(steps=4500))
    batch_size: int = 32
    """Rows of scenes per update."""
    duration_s: float = 8.0
    """Length of a part of a scene; one update uses one part."""
    parts: int = 3
    """Parts of a scene, one per update. State carries over from part to part; gradients stop at the boundaries
    (truncated backpropagation through time)."""
    reset_share: float = 0.4
    """Share of scenes that start with a fresh state. The others continue from the final state of an earlier scene, as
    on a line that stays open."""
    echoes: int = 1
    """How often each scene is used, some updates apart and in other batches. On processors, composing scenes takes most
    of the training time."""
    speech_weight: float = 0.35
    """Loss weight of a speech frame, relative to 1 for others. Below 1, false alarms cost more than missed frames, so
    the network learns most from its false alarms."""
    mined_share: float = 0.0
    """Share of hard negatives: recorded noise and music that are drawn by how long the model of --start takes them for
    speech. For models that are already trained. See mining.py."""
    labels: Path | None = field(default=None, metadata={"identity": False})
    """Folder of labels, as written by scripts/label_speech.py: for each folder of recordings, a folder of the same name
    with vad_segments.csv. Default: the labels beside the recordings. Their contents identify a run, not their
    location."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose scenes."""

    def __post_init__(self):
        require_counts(self, "batch_size", "parts", "workers")
        require_counts(self.model, "sample_rate", "hop_samples")
        check_echoes(self.batch_size, self.echoes)
        frame_s = self.model.hop_samples / self.model.sample_rate
        if not self.duration_s >= frame_s:
            raise ValueError(f"duration_s is {self.duration_s}; a scene needs a frame, {frame_s} s, or more.")
        require_positive(self, "duration_s", "speech_weight")
        require_shares(self, "reset_share")
        require_mined_share(self, self.training)


class VoiceActivityRecipe:
    """Voice activity: frame-wise binary cross-entropy on live scenes; validated by ROC-AUC on scenes.

    Args:
        data: folders of recordings, or folders of such folders. Those that have labels (vad_segments.csv: path, start,
            end in samples; kind speech or unknown; quality A or B) are speech; those named noise*, music* and rir* are
            noise, music and room responses; others are left out, with an AudioWarning. Recordings of the splits train
            and valid are used; they are read when they are first needed.
        settings: see VoiceActivityTraining.

    Raises:
        FileNotFoundError: there is no folder of speech, of noise or of music, or settings.labels holds no table of any.
        ValueError: a split has no speech, noise or music, or a table is malformed.
    """

    Settings = VoiceActivityTraining
    # By situations of split valid: where it finds a little more speech than Silero VAD does at its own threshold.
    decision = SpeechSettings(threshold=0.8, padding_ms=100.0)

    def __init__(self, data: Sequence[Path], settings: VoiceActivityTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data, settings.exclude)
        self._tables = tables_of(self.recordings, settings.labels)
        if settings.labels is not None:
            self.recordings = replace(self.recordings, tables=self._tables)
            _require_labels(self._tables, settings.labels, self.recordings)
        # The first validation comes late, so missing data for it are reported before the first update.
        for split in ("train", "valid"):
            require_recordings(self.recordings, self._speech(split), split, QUALITIES)
        self._mining: Mining | None = None
        _warn_of_what_is_not_used(self.recordings, self._tables)

    def model(self, rngs: nnx.Rngs) -> VoiceActivity:
        """A fresh model of settings.model."""
        return VoiceActivity(self.settings.model, self.decision, rngs=rngs)

    def begin_with(self, start: Model | None) -> None:
        """Mines the false alarms of the model that training begins with, see mined_share.

        Raises:
            ValueError: mined_share is above 0, and `start` is no model of voice activity at the recipe's rate.
        """
        if share := self.settings.mined_share:
            deceived = to_deceive(start, VoiceActivity, ("speech",), self.settings.model.sample_rate)
            self._mining = Mining(deceived, share, deceived.decision.resolved_off_threshold)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Parts of scenes: samples float32[batch, frames, hop]; targets float32[batch, frames], 1 for speech;
        weights float32[batch, frames], 0 where the truth is unknown, speech_weight for speech and 1 elsewhere;
        reset bool[batch]; names of clips.

        Targets are delayed like the model's outputs, and frames before a scene have weight 0.
        """
        s = self.settings
        # Consecutive parts each need the whole scene. The cache alone would let two threads compose it.
        groups = echoed(partial(self._drawn, self._scenes("train")), s.echoes)
        whole, lock = lru_cache(maxsize=3)(lambda number: _together(groups(number))), Lock()

        def make(step: int) -> dict[str, Any]:
            with lock:
                scene = whole(step // s.parts)
            return _part(scene, step % s.parts, s)

        return prefetch(make, start, stop, s.workers)

    @property
    def initial_carry(self) -> Callable[[VoiceActivity, dict[str, jax.Array]], Any]:
        """The state of fresh streams."""
        return lambda model, batch: model.init_state(len(batch["samples"]))

    def loss(self, model: VoiceActivity, batch: dict[str, jax.Array], carry: Any) -> Any:
        """(binary cross-entropy in nats per frame, state)."""
        carry, logits = model.scan(carry, batch["samples"])
        return frame_binary_cross_entropy(logits[..., 0], batch["targets"], batch["weights"]), carry

    def validate(self, model: VoiceActivity) -> float:
        """ROC-AUC over the known frames of the validation scenes: 60 of 20 s, always the same."""
        logits = np.asarray(outputs(model, jnp.asarray(self._validation["samples"])))[..., 0]
        known = self._validation["weights"] > 0
        return roc_auc(logits[known], self._validation["targets"][known] > 0)

    @property
    def _part_frames(self) -> int:
        model = self.settings.model
        return round(self.settings.duration_s * model.sample_rate / model.hop_samples)

    @cached_property
    def _validation(self) -> dict[str, Any]:
        model, rng = self.settings.model, np.random.default_rng(1)
        frames = round(VALIDATION_DURATION_S * model.sample_rate / model.hop_samples)
        scenes = self._scenes("valid")
        return self._batch([scenes.draw(rng, frames) for _ in range(VALIDATION_SCENES)])

    def _drawn(self, scenes: LiveScenes, number: int) -> dict[str, Any]:
        """A group of scenes, whole."""
        s, rng = self.settings, np.random.default_rng([self.training.seed, number])
        count = s.batch_size // s.echoes
        made = self._batch([scenes.draw(rng, self._part_frames * s.parts) for _ in range(count)])
        return made | {"reset": rng.random(count) < s.reset_share}

    def _batch(self, scenes: list[LiveScene]) -> dict[str, Any]:
        samples, cells = np.stack([scene.samples for scene in scenes]), np.stack([scene.cells for scene in scenes])
        weights = np.zeros(3, np.float32)
        weights[NOISE], weights[SPEECH], weights[UNKNOWN] = 1, self.settings.speech_weight, 0
        return {
            "samples": samples.reshape(*cells.shape, self.settings.model.hop_samples),
            "targets": (cells == SPEECH).astype(np.float32),
            "weights": weights[cells],
            "names": [scene.names for scene in scenes],
        }

    def _scenes(self, split: str) -> LiveScenes:
        found, model = self.recordings, self.settings.model
        noise, music = mined_backgrounds(found, split, model.sample_rate, self._mining)
        cries = [clip for clip in of_split(found.noise, split) if clip.label in CRIES]
        return LiveScenes(
            speech=self._pools(split),
            noise=noise,
            music=music,
            rooms=[room.astype(np.float32) / 32768 for room in rooms_of(rooms_for(found, split), model.sample_rate)],
            sample_rate=model.sample_rate,
            cell_samples=model.hop_samples,
            settings=LIVE,
            cries=sounds_of(cries, model.sample_rate),
        )

    def _pools(self, split: str) -> list[tuple[float, list[Spoken]]]:
        model, pools = self.settings.model, []
        for of_folder in self._speech(split):
            labels = dict(of_folder)
            spoken: dict[str, list[Spoken]] = {quality: [] for quality in QUALITIES}
            for clip, samples in read_clips(list(labels), model.sample_rate):
                here = labels[clip].of(clip, len(samples), model.sample_rate)
                cells = here.cells(len(samples), model.hop_samples)
                if (cells == SPEECH).any():
                    spoken[here.quality].append(trimmed(Spoken(samples, cells, str(clip.path)), model.hop_samples))
            pools += [
                (QUALITIES[quality] * _speech_cells(pool) ** FOLDER_BALANCE, pool)
                for quality, pool in spoken.items()
                if pool
            ]
        if not pools:
            raise ValueError(
                f"In no recording of split {split!r} does anybody speak: the segments of {TABLE} lie elsewhere. Starts "
                "and ends are samples at a recording's own rate."
            )
        return pools

    def _speech(self, split: str) -> list[list[tuple[Clip, SpeechLabels]]]:
        """The labelled clips of each folder of speech."""
        found = self.recordings.speech
        labels = ((folder, read_speech_labels(table, folder)) for folder, table in self._tables.items())
        return [labelled_clips(of_split(found[folder], split), of, QUALITIES) for folder, of in labels]


def _together(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Groups of scenes as one."""
    arrays = groups[0].keys() - {"names"}
    whole: dict[str, Any] = {key: np.concatenate([of_group[key] for of_group in groups]) for key in arrays}
    return whole | {"names": [name for of_group in groups for name in of_group["names"]]}


def _part(whole: dict[str, Any], part: int, settings: VoiceActivityTraining) -> dict[str, Any]:
    """One part of scenes, with targets delayed like the model's outputs."""
    frames = whole["targets"].shape[1]
    late = settings.model.lookahead_frames
    targets, weights = (np.pad(whole[name], ((0, 0), (late, 0)))[:, :frames] for name in ("targets", "weights"))
    length = frames // settings.parts
    here = slice(part * length, (part + 1) * length)
    cut = {"samples": whole["samples"], "targets": targets, "weights": weights}
    parts = {name: array[:, here] for name, array in cut.items()}
    return parts | {"reset": whole["reset"] & (part == 0), "names": whole["names"]}


def _speech_cells(pool: Sequence[Spoken]) -> int:
    return sum(int((spoken.cells == SPEECH).sum()) for spoken in pool)


def rooms_for(found: Recordings, split: str) -> list[Clip]:
    """Impulse responses of a split; where it has none, those of the valid split."""
    return of_split(found.rooms, split) or of_split(found.rooms, "valid")


def tables_of(found: Recordings, labels: Path | None = None) -> dict[Path, Path]:
    """The table of labels of each folder of speech that has one: beside the recordings, or in a folder of labels."""
    tables = {folder: (labels / folder.name if labels else folder) / TABLE for folder in found.speech}
    return {folder: table for folder, table in tables.items() if table.is_file()}


def _require_labels(tables: Mapping[Path, Path], labels: Path, found: Recordings) -> None:
    if found.speech and not tables:
        wanted = named([str(Path(folder.name) / TABLE) for folder in found.speech])
        raise FileNotFoundError(
            f"{labels} holds no labels of these recordings: {wanted}. scripts/label_speech.py writes them; leave "
            "--labels out to take those beside the recordings."
        )


def _warn_of_what_is_not_used(found: Recordings, tables: dict[Path, Path]) -> None:
    if unlabelled := [str(folder) for folder in found.speech if folder not in tables]:
        warnings.warn(f"Not used, because there is no {TABLE}: {named(unlabelled)}.", AudioWarning, stacklevel=3)
    for folder, table in tables.items():
        warn_of_labels(table, folder)


def require_recordings(found: Recordings, speech: Sequence[Sequence], split: str, qualities: Collection[str]) -> None:
    """Raises FileNotFoundError or ValueError, with advice, where scenes of a split lack speech, noise or music.

    Args:
        speech: the labelled clips of each folder of speech.
        qualities: of the labels that count.
    """
    places = ", ".join(map(str, found.places))
    kinds = {f"speech (with {TABLE})": speech, "noise*": found.noise, "music*": found.music}
    if missing := [kind for kind, there in kinds.items() if not there]:
        raise FileNotFoundError(
            f"{places} has no folder of {', of '.join(missing)}. Speech, noise and music are needed; "
            "rir* (rooms) is optional."
        )
    there = {"speech": any(speech), "noise": of_split(found.noise, split), "music": of_split(found.music, split)}
    if lacking := [name for name, clips in there.items() if not clips]:
        raise ValueError(
            f"{places} has no {' and no '.join(lacking)} in split {split!r}; scenes need speech with labels of "
            f"quality {' or '.join(qualities)}, noise and music. Add recordings, or correct the manifests' splits and "
            f"the paths and qualities in {TABLE}."
        )


__all__ = ["VoiceActivityRecipe", "VoiceActivityTraining", "require_recordings", "rooms_for", "tables_of"]
