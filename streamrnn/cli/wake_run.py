"""What `streamrnn train wake` is about to do, how long that takes, and whose folder it does it in."""

import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.cli.plan import table_of
from streamrnn.data import Clip
from streamrnn.data.contents import file_sums
from streamrnn.data.recordings import Recordings
from streamrnn.data.said import SHARES
from streamrnn.data.voices import Voices
from streamrnn.data.wake_rows import Row
from streamrnn.learning.checkpoints import claim_run
from streamrnn.models import Phonemes
from streamrnn.recipes.wake_encoder import ENCODED_TOGETHER, Encoder

if TYPE_CHECKING:
    from streamrnn.cli.train_wake import TrainWake


def claim_models(
    flags: "TrainWake", models: Mapping[str, Path], found: Recordings, own: Sequence[Clip], voices: Sequence[Voices]
) -> None:
    """Says of each phrase's model which run it is of. More --clips are of the same run: voices go on where they were.

    Raises:
        ValueError: one is of another run, or of none.
    """
    shared = {
        "encoder": flags.encoder,
        "near": flags.near,
        "voices": [voice.name for voice in voices] if flags.clips or flags.near else [],
        "settings": dataclasses.asdict(flags.training),
        "data": found.digest,
        "recordings": sorted(map(str, file_sums(clip.path for clip in own).values())),
    }
    for path in models.values():
        if path.exists() and not _claim_of(path).exists():
            raise ValueError(f"{path} exists and belongs to no known run. Choose another --out, or move it away.")
    for phrase, path in models.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        claim_run(_claim_of(path), {"task": "wake", "phrase": phrase, **shared})


def _claim_of(model: Path) -> Path:
    return model.with_suffix(".run.json")


def plan_of_wake(
    flags: "TrainWake", models: Mapping[str, Path], found: Recordings, own: Sequence[Clip], voices: Sequence[Voices]
) -> str:
    """Recordings by folder and split; what voices say; the updates; the files that get the models."""
    groups: dict[str, Sequence[Clip]] = {folder.name: clips for folder, clips in found.speech.items()}
    groups |= {name: clips for name in ("noise", "music", "rooms") if (clips := getattr(found, name))}
    if own:
        groups["the phrase"] = own
    training, speak = flags.training, ", ".join(voice.name for voice in voices)
    heads = f"{training.heads} head{'s' * (training.heads > 1)}"
    return (
        f"{table_of(groups)}\nOf {' and '.join(map(repr, models))} each: {flags.clips:,} times said by {speak}, "
        f"{flags.near:,} times what sounds like it; at most {training.hours:g} h of other sound per split, "
        f"{training.rows:,} rows of {training.row_s:g} s with the phrase; {heads}, "
        f"{training.steps:,} updates each.\n"
        f"Written at the end: {', '.join(map(str, models.values()))}"
    )


def minutes_of_wake(
    flags: "TrainWake", models: Mapping[str, Path], listener: Phonemes, voices: Sequence[Voices]
) -> str:
    """How long the whole takes, as one clip of each voice and a few rows took."""
    training, rate = flags.training, listener.settings.sample_rate
    said_s = []
    with tempfile.TemporaryDirectory() as folder:
        for voice in voices:
            began_s = time.perf_counter()
            said = voice.say(np.random.default_rng(0), next(iter(models)), rate)
            write_audio(Path(folder, "said.flac"), said.samples, rate)
            said_s.append(time.perf_counter() - began_s)
    clip_s = np.average(said_s, weights=[SHARES.get(voice.name, 1.0) for voice in voices])
    encoder = Encoder(listener)
    length = round(training.row_s * rate / encoder.block_samples) * encoder.block_samples
    rows = [Row(np.zeros(length, np.float32))] * ENCODED_TOGETHER
    # The first time it is compiled.
    encoder.hear(rows)
    began_s = time.perf_counter()
    encoder.hear(rows)
    row_s = (time.perf_counter() - began_s) / ENCODED_TOGETHER
    speaking = len(models) * (flags.clips + flags.near) * clip_s / 60
    hearing = (2 * training.hours * 3600 / training.row_s + len(models) * training.rows * 1.4) * row_s / 60
    return (
        f"time, at most: about {_minutes(speaking)} for voices to speak, {_minutes(hearing)} to hear rows, which are "
        "read and varied besides; then the updates of small heads, some seconds per hundred"
    )


def _minutes(minutes: float) -> str:
    return f"{max(1, round(minutes)):,} min"


__all__ = ["claim_models", "minutes_of_wake", "plan_of_wake"]
