"""Scenes written to disk: a fixed, labelled test set for any voice activity detector."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.data import read_clips
from streamrnn.data.mixtures import Scene, Scenes, SceneSettings, Utterance
from streamrnn.data.recordings import find_recordings, of_split, rooms_of, sounds_of
from streamrnn.data.speech_labels import labelled_clips, read_speech_labels
from streamrnn.recipes.test_sets.composed import MANIFEST, Rows, require_new, require_sizes, write_numbered
from streamrnn.recipes.voice_activity import require_recordings, rooms_for, tables_of

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
# Truth of lower quality is too rough to judge by.
QUALITIES = ("A",)
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
    labels: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Composes scenes of speech and background from one split of `data`, as a folder for `streamrnn evaluate vad`.

    The scenes are those of SceneSettings' defaults, with speech of quality A only. `out`
    gets scene_0000.flac, ... (16 bit mono), manifest.csv (label: the kind of background; snr_db: empty without
    speech) and vad_segments.csv (start, end of speech in samples; a scene without speech has no row). The same
    arguments give the same samples; scene k depends only on the seed and k, so a larger set contains the smaller ones.

    Args:
        data: a folder of folders of recordings, as VoiceActivityRecipe reads them.
        out: created if missing; must not have a manifest.csv yet.
        clips: number of scenes, at least 1.
        duration_s: length of each scene, above 0.
        split: train, valid or test.
        seed: random seed.
        sample_rate: of the scenes, in Hz.
        labels: folder of labels, as written by scripts/label_speech.py; default: those beside the recordings.
        progress: called with (scenes written, clips) after each scene.

    Raises:
        FileExistsError: `out` holds a manifest.csv.
        FileNotFoundError: `data` lacks speech, noise or music.
        ValueError: clips is below 1, or a scene would have no sample; `split` lacks speech, noise or music.
    """
    require_sizes(clips, sample_rate, duration_s)
    require_new(out, "scenes")
    scenes = read_scenes([data], split, sample_rate, SceneSettings(), labels)

    def write(number: int, rng: np.random.Generator) -> Rows:
        scene, name = scenes.draw(rng, duration_s), f"scene_{number:04}.flac"
        write_audio(out / name, scene.samples, sample_rate)
        segments = [(name, start, end, "A") for start, end in scene.segments]
        return {SEGMENTS: segments, MANIFEST: [_clip_row(name, scene, sample_rate, split)]}

    write_numbered(out, {SEGMENTS: SEGMENT_COLUMNS, MANIFEST: MANIFEST_COLUMNS}, clips, write, seed, progress)


def read_scenes(
    data: Sequence[Path], split: str, sample_rate: int, settings: SceneSettings, labels: Path | None = None
) -> Scenes:
    """The recordings of one split of all folders in `data`, resampled where needed; speech is read into memory.

    Args:
        data, split: see VoiceActivityRecipe. A folder of rooms without that split gives those of its valid split.
        sample_rate: of the scenes, in Hz.
        settings: how scenes are drawn.
        labels: folder of labels, see VoiceActivityTraining; default: those beside the recordings.

    Raises:
        FileNotFoundError, ValueError: see VoiceActivityRecipe.
        AudioError: no recording of a kind could be read.
    """
    found = find_recordings(data)
    tables = {folder: read_speech_labels(table, folder) for folder, table in tables_of(found, labels).items()}
    speech = [labelled_clips(of_split(found.speech[folder], split), of, QUALITIES) for folder, of in tables.items()]
    require_recordings(found, speech, split, QUALITIES)
    labelled = dict(pair for of_folder in speech for pair in of_folder)
    utterances = [
        Utterance(samples, labelled[clip].of(clip, len(samples), sample_rate).speech, str(clip.path))
        for clip, samples in read_clips(list(labelled), sample_rate)
    ]
    if not any(utterance.segments for utterance in utterances):
        raise ValueError(
            f"In no recording of split {split!r} does anybody speak: the segments of {SEGMENTS} lie elsewhere. "
            "Starts and ends are samples at a recording's own rate."
        )
    return Scenes(
        speech=[(1.0, utterances)],
        noise=sounds_of(of_split(found.noise, split), sample_rate),
        music=sounds_of(of_split(found.music, split), sample_rate),
        rooms=[room.astype(np.float32) / 32768 for room in rooms_of(rooms_for(found, split), sample_rate)],
        sample_rate=sample_rate,
        settings=settings,
    )


def _clip_row(name: str, scene: Scene, sample_rate: int, split: str) -> tuple:
    snr_db = f"{scene.snr_db:.2f}" if scene.segments else ""
    return name, 0, len(scene.samples), sample_rate, "", scene.description, "", "composed", split, snr_db


__all__ = ["read_scenes", "write_scenes"]
