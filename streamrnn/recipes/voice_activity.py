"""Training of voice activity models: scenes composed on the fly from clean speech, noise, music and rooms."""

import math
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioError, AudioFile, AudioWarning
from streamrnn.contract import aligned
from streamrnn.decisions import cell_truth, roc_auc
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.recipes.recipe import outputs
from streamrnn.recipes.recordings import (
    Recordings,
    find_recordings,
    of_split,
    recordings_to_train_on,
    rooms_of,
    sounds_of,
)
from streamrnn.training import Clip, TrainingSettings, prefetch, read_clips, read_table
from streamrnn.training.data import named, read_span
from streamrnn.training.losses import frame_binary_cross_entropy
from streamrnn.training.mixtures import Scene, Scenes, SceneSettings, Utterance

# Share of utterances by quality of their labels. Figures are taken on A alone: B's truth is too rough to judge by.
TRAINING_QUALITY = {"A": 0.7, "B": 0.3}
CLEAN_QUALITY = {"A": 1.0}

VALIDATION_SCENES = 60
VALIDATION_DURATION_S = 20.0

TRAINING_SCENES = SceneSettings(
    snr_db=(-8.0, 25.0),
    level_db=(-60.0, -12.0),
    speed=(0.85, 1.2),
    speed_share=0.5,
    second_noise_share=0.25,
    synthetic_noise_share=0.1,
    telephone_share=0.25,
)


Segments = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class VoiceActivityTraining:
    """Settings of `streamrnn train vad`.

    Raises:
        ValueError: no scenes, no threads, or scenes shorter than a frame.
    """

    model: VoiceActivitySettings = field(default_factory=VoiceActivitySettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    batch_size: int = 32
    """Scenes per update."""
    duration_s: float = 15.0
    """Length of a scene, or of a part of one."""
    parts: int = 1
    """Above 1: scenes are so many times as long and come part by part, one per update, the state carried from each part
    to the next and the gradients ending at the borders (truncated backpropagation through time)."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    workers: int = field(default=2, metadata={"identity": False})
    """Threads that compose scenes."""

    def __post_init__(self):
        for name in ("batch_size", "parts", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        frame_s = self.model.hop_samples / self.model.sample_rate
        if not self.duration_s >= frame_s:
            raise ValueError(f"duration_s is {self.duration_s}; a scene needs a frame, {frame_s} s, or more.")


class VoiceActivityRecipe:
    """Frame-wise binary cross-entropy on scenes; validated by ROC-AUC on scenes of the valid split.

    Args:
        data: folders of recordings, or folders of such folders. Those that have vad_segments.csv (path, start, end in
            samples, quality A or B) are speech; those named noise*, music* and rir* are noise, music and room
            responses; others are left out, with an AudioWarning. Recordings of the splits train and valid are used;
            they are read when they are first needed.
        settings: see VoiceActivityTraining.

    Raises:
        FileNotFoundError: there is no folder of speech, of noise or of music.
        ValueError: a split has no speech, noise or music, or a table is malformed.
    """

    Settings = VoiceActivityTraining

    def __init__(self, data: Sequence[Path], settings: VoiceActivityTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data, settings.exclude)
        # The first validation comes late: what it will lack is said before the first update.
        for split, qualities in (("train", TRAINING_QUALITY), ("valid", CLEAN_QUALITY)):
            _recordings_of(self.recordings, split, qualities)
        _warn_of_what_is_not_used(self.recordings)

    def model(self, rngs: nnx.Rngs) -> VoiceActivity:
        """A fresh model of settings.model."""
        return VoiceActivity(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """samples float32[batch, frames, hop]; targets float32[batch, frames], 1 where somebody speaks; names of clips.

        Parts of scenes also have reset, bool[batch], true in the first part, and weights, float32[batch, frames]: their
        targets are as late as the model's answers, and what would lie before the scene has weight 0.
        """
        s, rate = self.settings, self.settings.model.sample_rate
        scenes = _scenes(self.recordings, "train", rate, TRAINING_SCENES, TRAINING_QUALITY)

        def drawn(number: int) -> dict[str, Any]:
            rng = np.random.default_rng([self.training.seed, number])
            return self._batch([scenes.draw(rng, s.duration_s * s.parts) for _ in range(s.batch_size)])

        # Parts of a scene follow each other and each needs the whole. The cache alone would let two threads make it.
        whole, lock = lru_cache(maxsize=2)(drawn), Lock()

        def make(step: int) -> dict[str, Any]:
            if s.parts == 1:
                return drawn(step)
            with lock:
                scene = whole(step // s.parts)
            return _part(scene, step % s.parts, s)

        return prefetch(make, start, stop, s.workers)

    @property
    def initial_carry(self) -> Callable[[VoiceActivity, dict[str, jax.Array]], Any] | None:
        """The state of fresh streams, where scenes come in parts; else None."""
        return None if self.settings.parts == 1 else lambda model, batch: model.init_state(len(batch["samples"]))

    def loss(self, model: VoiceActivity, batch: dict[str, jax.Array], carry: Any = None) -> Any:
        """Binary cross-entropy, in nats per frame; for parts of scenes (loss, state)."""
        if carry is None:
            logits = aligned(model, batch["samples"])[..., 0]
            return frame_binary_cross_entropy(logits, batch["targets"], jnp.ones_like(logits))
        carry, logits = model.scan(carry, batch["samples"])
        return frame_binary_cross_entropy(logits[..., 0], batch["targets"], batch["weights"]), carry

    def validate(self, model: VoiceActivity) -> float:
        """ROC-AUC over all frames of the validation scenes: 60 of 20 s, always the same, drawn by SceneSettings()."""
        logits = outputs(model, jnp.asarray(self._validation["samples"]))
        return roc_auc(np.asarray(logits).ravel(), self._validation["targets"].ravel() > 0)

    @cached_property
    def _validation(self) -> dict[str, Any]:
        scenes = _scenes(self.recordings, "valid", self.settings.model.sample_rate, SceneSettings())
        rng = np.random.default_rng(1)
        return self._batch([scenes.draw(rng, VALIDATION_DURATION_S) for _ in range(VALIDATION_SCENES)])

    def _batch(self, scenes: list[Scene]) -> dict[str, Any]:
        hop, rate = self.settings.model.hop_samples, self.settings.model.sample_rate
        frames = len(scenes[0].samples) // hop
        samples = np.stack([scene.samples[: frames * hop].reshape(frames, hop) for scene in scenes])
        truth = [
            cell_truth([(a / rate, b / rate) for a, b in scene.segments], n_cells=frames, cell_s=hop / rate)
            for scene in scenes
        ]
        names = [", ".join(scene.names) or "a scene without speech" for scene in scenes]
        return {"samples": samples, "targets": np.stack(truth).astype(np.float32), "names": names}


def _part(whole: dict[str, Any], part: int, settings: VoiceActivityTraining) -> dict[str, Any]:
    """One of the parts of scenes, with targets as late as the model's answers."""
    batch, frames = whole["targets"].shape
    late = settings.model.lookahead_frames
    weights = np.pad(np.ones((batch, frames - late), np.float32), ((0, 0), (late, 0)))
    targets = np.pad(whole["targets"], ((0, 0), (late, 0)))[:, :frames]
    length = frames // settings.parts
    here = slice(part * length, (part + 1) * length)
    cut = {"samples": whole["samples"], "targets": targets, "weights": weights}
    parts = {name: array[:, here] for name, array in cut.items()}
    return parts | {"reset": np.full(batch, part == 0), "names": whole["names"]}


def read_scenes(
    data: Sequence[Path],
    split: str,
    sample_rate: int,
    settings: SceneSettings,
    quality_shares: dict[str, float] = CLEAN_QUALITY,
) -> Scenes:
    """The recordings of one split of all folders in `data`, resampled where needed; speech is read into memory.

    Args:
        data, split: see VoiceActivityRecipe. A folder of rooms without that split gives those of its valid split.
        sample_rate: of the scenes, in Hz.
        settings: how scenes are drawn.
        quality_shares: qualities of labels to use, each with its share of the utterances.

    Raises:
        FileNotFoundError, ValueError: see VoiceActivityRecipe.
        AudioError: no recording of a kind could be read.
    """
    return _scenes(find_recordings(data), split, sample_rate, settings, quality_shares)


def _scenes(
    recordings: Recordings,
    split: str,
    sample_rate: int,
    settings: SceneSettings,
    quality_shares: dict[str, float] = CLEAN_QUALITY,
) -> Scenes:
    found = _recordings_of(recordings, split, quality_shares)
    speech = _utterances(found.speech, sample_rate, quality_shares)
    if not any(utterance.segments for _, pool in speech for utterance in pool):
        raise ValueError(
            f"In no recording of split {split!r} does anybody speak: the segments of vad_segments.csv lie elsewhere. "
            "Starts and ends are samples at a recording's own rate."
        )
    return Scenes(
        speech=speech,
        noise=sounds_of(found.noise, sample_rate),
        music=sounds_of(found.music, sample_rate),
        rooms=[room.astype(np.float32) / 32768 for room in rooms_of(found.rooms, sample_rate)],
        sample_rate=sample_rate,
        settings=settings,
    )


@dataclass(frozen=True)
class _Recordings:
    """What scenes of one split are made of. Speech has its segments and the quality of these labels."""

    speech: list[tuple[Clip, Segments, str]]
    noise: list[Clip]
    music: list[Clip]
    rooms: list[Clip]


def _recordings_of(found: Recordings, split: str, qualities: Collection[str]) -> _Recordings:
    speech = [folder for folder in found.speech if (folder / "vad_segments.csv").is_file()]
    places = ", ".join(map(str, found.places))
    kinds = {"speech (with vad_segments.csv)": speech, "noise*": found.noise, "music*": found.music}
    if missing := [kind for kind, there in kinds.items() if not there]:
        raise FileNotFoundError(
            f"{places} has no folder of {', of '.join(missing)}. Speech, noise and music are needed; "
            "rir* (rooms) is optional."
        )
    recordings = _Recordings(
        speech=[labelled for folder in speech for labelled in _labelled_clips(folder, found, split, qualities)],
        noise=of_split(found.noise, split),
        music=of_split(found.music, split),
        rooms=of_split(found.rooms, split) or of_split(found.rooms, "valid"),
    )
    if lacking := [name for name in ("speech", "noise", "music") if not getattr(recordings, name)]:
        raise ValueError(
            f"{places} has no {' and no '.join(lacking)} in split {split!r}; scenes need speech with labels of "
            f"quality {' or '.join(qualities)}, noise and music. Add recordings, or correct the manifests' splits and "
            "the paths and qualities in vad_segments.csv."
        )
    return recordings


def _warn_of_what_is_not_used(found: Recordings) -> None:
    unlabelled = [str(folder) for folder in found.speech if not (folder / "vad_segments.csv").is_file()]
    if unlabelled:
        told = f"Not used, because there is no vad_segments.csv: {named(unlabelled)}."
        warnings.warn(told, AudioWarning, stacklevel=3)
    for folder in found.speech:
        if str(folder) not in unlabelled:
            warn_of_labels(folder / "vad_segments.csv")


def warn_of_labels(table: Path) -> None:
    """AudioWarnings of segments in a vad_segments.csv whose recordings are not there, or end before."""
    missing, shorter = [], []
    for path, segments in read_segments(table)[0].items():
        if not path.is_file():
            missing.append(str(path))
        elif max(end for _, end in segments) > _frames_of(path):
            shorter.append(str(path))
    if missing:
        told = f"{table} has segments of {len(missing)} recordings that are not there: {named(missing)}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    if shorter:
        warnings.warn(
            f"{table} has segments that end behind their recordings, {len(shorter)} in all: {named(shorter)}. Starts "
            "and ends are samples at a recording's own rate.",
            AudioWarning,
            stacklevel=2,
        )


def _frames_of(path: Path) -> float:
    try:
        with AudioFile(path) as file:
            return file.frames
    except AudioError:
        # Whoever reads the recording says what is wrong with it.
        return math.inf


def _labelled_clips(
    folder: Path, found: Recordings, split: str, qualities: Collection[str]
) -> list[tuple[Clip, Segments, str]]:
    segments, quality = read_segments(folder / "vad_segments.csv")
    wanted = [clip for clip in of_split(found.speech[folder], split) if quality.get(clip.path) in qualities]
    return [(clip, tuple(segments[clip.path]), quality[clip.path]) for clip in wanted]


def _utterances(
    labelled: list[tuple[Clip, Segments, str]], sample_rate: int, quality_shares: dict[str, float]
) -> list[tuple[float, list[Utterance]]]:
    labels = {clip: (segments, quality) for clip, segments, quality in labelled}
    pools: dict[str, list[Utterance]] = {name: [] for name in quality_shares}
    for clip, samples in read_clips([clip for clip, _, _ in labelled], sample_rate):
        segments, quality = labels[clip]
        cut = _within(segments, clip, len(samples), sample_rate)
        pools[quality].append(Utterance(samples, cut, str(clip.path)))
    return [(quality_shares[name], pool) for name, pool in pools.items() if pool]


def _within(segments: Segments, clip: Clip, length_samples: int, sample_rate: int) -> Segments:
    """Segments of the whole recording, in samples at its own rate -> those of the clip, in samples at `sample_rate`."""
    with AudioFile(clip.path) as file:
        scale = sample_rate / file.sample_rate
    moved = [(round((start - clip.start) * scale), round((end - clip.start) * scale)) for start, end in segments]
    cut = [(max(start, 0), min(end, length_samples)) for start, end in moved]
    return tuple((start, end) for start, end in cut if start < end)


def read_segments(path: Path) -> tuple[dict[Path, list[tuple[int, int]]], dict[Path, str]]:
    """vad_segments.csv -> speech (start, end) in samples, and the label quality (default: A), by clip path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, there are no rows, or not 0 <= start <= end in whole numbers.
    """
    segments: dict[Path, list[tuple[int, int]]] = {}
    quality: dict[Path, str] = {}
    for line, row in enumerate(read_table(path, ("path", "start", "end")), start=2):
        clip = path.parent / row["path"]
        segments.setdefault(clip, []).append(read_span(row, f"{path}, line {line}"))
        quality[clip] = row.get("quality") or "A"
    return segments, quality


__all__ = ["VoiceActivityRecipe", "VoiceActivityTraining", "read_scenes", "read_segments", "warn_of_labels"]
