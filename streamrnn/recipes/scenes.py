"""Scenes written to disk: a fixed, labelled test set on which any voice activity detector can be judged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.recipes.composed_sets import MANIFEST, Rows, require_new, write_numbered
from streamrnn.recipes.voice_activity import read_scenes
from streamrnn.training.mixtures import Scene, SceneSettings

MANIFEST_COLUMNS = [
    "path",
    "start",
    "end",
    "sample_rate",
    "speaker",
    "label",
    "transcript",
    "source",
    "split",
    "snr_db",
]
SEGMENTS = "vad_segments.csv"
SEGMENT_COLUMNS = ["path", "start", "end", "quality"]


def write_scenes(
    data: Path,
    out: Path,
    *,
    clips: int = 120,
    duration_s: float = 30.0,
    split: str = "test",
    seed: int = 0,
    sample_rate: int = 16_000,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draws scenes from one split of the recordings in `data` and writes them as a folder that evaluation reads.

    The scenes are those of SceneSettings' defaults, their speech from recordings with labels of quality A alone. `out`
    gets scene_0000.flac, ... (16 bit mono), manifest.csv (label: what the background is; snr_db: empty where nobody
    speaks) and vad_segments.csv (start, end of speech in samples; a scene without speech has no row). The same
    arguments give the same samples; scene k depends on the seed and k alone, so more clips only add to fewer.

    Args:
        data: a folder of folders of recordings, as VoiceActivityRecipe reads them.
        out: made where missing; must not hold a manifest.csv yet.
        clips: how many scenes, at least 1.
        duration_s: length of each, above 0.
        split: train, valid or test.
        seed: chooses the scenes.
        sample_rate: of the scenes, in Hz.
        progress: called with (scenes written, clips) after each scene.

    Raises:
        FileExistsError: `out` holds a manifest.csv.
        FileNotFoundError: `data` lacks speech, noise or music.
        ValueError: no scene, or one without a sample, was asked for; `split` lacks speech, noise or music.
    """
    if clips < 1 or round(duration_s * sample_rate) < 1:
        raise ValueError(f"write_scenes got {clips} clips of {duration_s} s; it needs 1 clip or more, longer than 0 s.")
    require_new(out, "scenes")
    scenes = read_scenes([data], split, sample_rate, SceneSettings())

    def write(number: int, rng: np.random.Generator) -> Rows:
        scene, name = scenes.draw(rng, duration_s), f"scene_{number:04}.flac"
        write_audio(out / name, scene.samples, sample_rate)
        segments = [(name, start, end, "A") for start, end in scene.segments]
        return {SEGMENTS: segments, MANIFEST: [_clip_row(name, scene, sample_rate, split)]}

    write_numbered(out, {SEGMENTS: SEGMENT_COLUMNS, MANIFEST: MANIFEST_COLUMNS}, clips, write, seed, progress)


def _clip_row(name: str, scene: Scene, sample_rate: int, split: str) -> tuple:
    snr_db = f"{scene.snr_db:.2f}" if scene.segments else ""
    return name, 0, len(scene.samples), sample_rate, "", scene.description, "", "composed", split, snr_db


__all__ = ["write_scenes"]
