"""Batches on Ray on this machine: workers and drivers that are killed lose nothing, and nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.batch import Plan, Threads, find_batch, run_batch
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import load, save
from streamrnn.runtime import run_file_events

ray = pytest.importorskip("ray")

RECORDINGS, SECONDS, RATE = 60, 5, 16_000
# Starting Ray takes some ten seconds, and minutes where others use the machine.
PATIENCE_S = 400
# Ray's own files, threads and child processes.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    model = VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=nnx.Rngs(0))
    save(model, path, task="vad")
    return path


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Path:
    """Sixty recordings of noise, and one that is none."""
    folder, rng = tmp_path_factory.mktemp("calls"), np.random.default_rng(0)
    for number in range(RECORDINGS):
        write_audio(folder / f"{number:02}.wav", rng.uniform(-0.3, 0.3, SECONDS * RATE).astype(np.float32), RATE)
    (folder / "broken.wav").write_bytes(b"no sound at all")
    return folder


@pytest.fixture(scope="module")
def plain(model_path, calls, tmp_path_factory) -> dict[str, bytes]:
    """What a batch without Ray writes."""
    out, model = tmp_path_factory.mktemp("plain") / "heard", load(model_path)
    plan = Plan(str(model_path), out, ("jsonl", "rttm"))
    list(run_batch(plan, model, find_batch([calls], out), Threads(model, 2)))
    return written(out)


def written(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and ".streamrnn" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def begun(model_path: Path, calls: Path, out: Path) -> subprocess.Popen:
    options = ("--formats", "rttm", "--ray", "local", "--jobs", "2")
    command = [sys.executable, "-m", "streamrnn", "batch", model_path, calls, "--out", out, *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def done_by(out: Path) -> dict[int, list[str]]:
    """Process -> names of the recordings that it has done, by the journals."""
    found: dict[int, list[str]] = {}
    for path in (out / ".streamrnn" / "done").glob("*.jsonl"):
        lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
        found.setdefault(int(path.name.partition("-")[0]), []).extend(json.loads(line)["name"] for line in lines)
    return found


def wait_for(condition) -> None:
    until, never = time.monotonic() + PATIENCE_S, threading.Event()
    while not condition():
        assert time.monotonic() < until, "it never happened"
        never.wait(0.01)


def require_whole(out: Path, plain: dict[str, bytes]) -> None:
    """All is there as without Ray, nothing was done twice, and nothing half is left."""
    assert written(out) == plain
    done = Counter(name for names in done_by(out).values() for name in names)
    assert len(done) == RECORDINGS and set(done.values()) == {1}
    assert not list((out / ".streamrnn").glob("parts*"))


def test_a_worker_that_is_killed_comes_back_and_nothing_is_lost_or_done_twice(model_path, calls, tmp_path, plain):
    out = tmp_path / "heard"
    with begun(model_path, calls, out) as batch:
        wait_for(lambda: any(done_by(out).values()))
        victim = next(process for process, names in done_by(out).items() if names)
        os.kill(victim, signal.SIGKILL)
        _, said = batch.communicate(timeout=PATIENCE_S)
    assert batch.returncode == 1, said
    assert "1 failed: see" in said and f"{RECORDINGS} recordings done" in said
    require_whole(out, plain)
    assert len(done_by(out)[victim]) < RECORDINGS


def test_a_batch_whose_driver_is_killed_is_finished_by_the_next(model_path, calls, tmp_path, plain):
    out = tmp_path / "heard"
    with begun(model_path, calls, out) as batch:
        wait_for(lambda: sum(map(len, done_by(out).values())) > 5)
        batch.kill()
        batch.communicate(timeout=PATIENCE_S)
    first = sum(map(len, done_by(out).values()))
    assert 5 < first < RECORDINGS
    with begun(model_path, calls, out) as again:
        _, said = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 1 and "done before and unchanged" in said, said
    require_whole(out, plain)


def test_a_dataset_gets_the_events_of_the_recordings_it_names(model_path, calls):
    from streamrnn.integrations.ray import transform

    data = pytest.importorskip("ray.data")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        rows = [{"path": str(calls / name), "call": name} for name in ("00.wav", "broken.wav")]
        heard, broken = sorted(transform(data.from_items(rows), str(model_path)).take_all(), key=lambda r: r["call"])
    finally:
        ray.shutdown()
    events = [event.to_dict() for event in run_file_events(load(model_path), calls / "00.wav")]
    assert [{k: e[k] for k in events[0]} for e in heard["events"]] == events
    assert (heard["duration_s"], heard["error"]) == (SECONDS, "")
    assert "broken.wav" in broken["error"] and len(broken["events"]) == 0


def test_a_cluster_that_is_not_there_is_named(model_path, calls, tmp_path):
    command = [sys.executable, "-m", "streamrnn", "batch", model_path, calls, "--out", tmp_path / "heard"]
    run = subprocess.run([*command, "--ray", "127.0.0.1:1"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 2 and "there is no Ray cluster at '127.0.0.1:1'" in run.stderr, run.stderr


def test_two_workers_of_ray_train_learn_what_one_process_learns(tmp_path):
    pytest.importorskip("ray.train.v2.jax", reason="this version of Ray has no JaxTrainer")
    example = Path(__file__).parents[2] / "examples" / "11_ray_train.py"
    losses = []
    for workers in (0, 2):
        command = [sys.executable, str(example), str(workers), str(tmp_path / str(workers))]
        environment = os.environ | {"PYTHONPATH": str(example.parents[1]), "JAX_PLATFORMS": "cpu"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S)
        assert ran.returncode == 0, ran.stderr
        losses.append([float(loss) for loss in ran.stdout.splitlines()[-1].removeprefix("losses: ").split(", ")])
    assert len(losses[0]) == 4 and losses[0] == pytest.approx(losses[1], abs=1e-4)
