"""A small untrained model, and a folder of short recordings, two of which are none."""

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.batch import Plan, Threads, find_batch, run_batch
from streamrnn.models import VoiceActivity, VoiceActivitySettings

RATE = 16_000


@pytest.fixture(scope="session")
def model():
    settings = VoiceActivitySettings(mels=20, channels=8, hidden=8)
    return VoiceActivity(settings, rngs=nnx.Rngs(0))


@pytest.fixture
def calls(tmp_path) -> Path:
    """Three recordings in two folders, and two files that only look like some."""
    folder, rng = tmp_path / "calls", np.random.default_rng(0)
    (folder / "june").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "june/a.wav"):
        write_audio(folder / name, rng.uniform(-0.3, 0.3, RATE).astype(np.float32), RATE)
    (folder / "broken.wav").write_bytes(b"no sound at all")
    (folder / "june" / "empty.wav").write_bytes(b"")
    (folder / "notes.txt").write_text("not a recording")
    return folder


@pytest.fixture
def batch(model, tmp_path):
    """batch(*inputs, out=..., **plan) -> the report of a whole batch."""

    def run(*inputs, out=tmp_path / "heard", table=None, workers=None, formats=("jsonl",), **options):
        plan = Plan("small", out, formats, **{"retries": 0, **options})
        recordings = find_batch(inputs, out, plan.shard)
        steps = run_batch(plan, model, recordings, workers or Threads(model, 2), table)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    return run


@pytest.fixture(scope="session")
def written():
    """folder -> name of each file that a batch wrote there -> its bytes."""

    def read(out: Path) -> dict[str, bytes]:
        files = (path for path in out.rglob("*") if path.is_file() and ".streamrnn" not in path.parts)
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}

    return read
