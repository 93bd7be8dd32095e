"""Training on one device, on eight, and in two processes: the same losses, and checkpoints that move between them.

Run as a script, this file trains on its devices: LAST_STEP COORDINATOR NUM_PROCESSES PROCESS_ID FOLDER [FOLDER ...].
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.layers import Dense, Dropout
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.devices import Devices, from_main, join_processes

STEPS = 6
SETTINGS = TrainingSettings(
    steps=STEPS, learning_rate=0.3, warmup_steps=1, accumulate=2, ema_decay=0.9, validate_every=2, log_every=1
)


class Model(Layer):
    """Dense behind dropout: what is random must not depend on the devices either."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.dropout, self.dense = Dropout(0.1, rngs=rngs), Dense(3, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.dropout(x))[:, 0]


def batches_until(last: int):
    """Batches that are interrupted when those before step `last` were made."""

    def batches(start: int, stop: int) -> Iterator[dict[str, Any]]:
        for step in range(start, last):
            x = np.random.default_rng(step).standard_normal((16, 3)).astype(np.float32)
            yield {"x": x, "scale": 0.5, "reset": np.arange(16) % 3 == step % 3, "names": ["a.wav"] * 16}
        if last < stop:
            raise KeyboardInterrupt

    return batches


def loss(model: Any, batch: dict[str, jax.Array], carry: jax.Array) -> tuple[jax.Array, jax.Array]:
    """To be learned: the sum of the numbers and half of the carried sum."""
    error = model(batch["x"]) - jnp.sum(batch["x"], axis=1) - batch["scale"] * carry
    return jnp.mean(error**2), 0.5 * carry + jnp.sum(batch["x"], axis=1)


def validate(model: Any) -> float:
    print("validating", flush=True)
    return -float(jnp.mean(model(jnp.eye(3)) ** 2))


def train(out: Path, last: int = STEPS) -> float:
    return fit(
        Model(),
        loss,
        batches_until(last),
        validate,
        SETTINGS,
        out,
        {},
        initial_carry=lambda model, batch: jnp.zeros(len(batch["x"])),
        watch=lambda now: print("watching", flush=True),
    )


def start(*arguments: Any, devices: int) -> subprocess.Popen:
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process: subprocess.Popen) -> str:
    try:
        printed, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return printed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Runs:
    """Folders of whole runs by layout, and what the two processes printed."""

    folders: dict[str, Path]
    printed: list[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    """On one device; on eight; on one and then eight; in two processes and then on one device."""
    root = tmp_path_factory.mktemp("runs")
    folders = {name: root / name for name in ("one", "eight", "one to eight", "two to one")}
    address = f"127.0.0.1:{free_port()}"
    two = [start(3, address, 2, number, folders["two to one"], devices=1) for number in range(2)]
    train(folders["one"])
    with pytest.raises(KeyboardInterrupt):
        train(folders["one to eight"], 3)
    eight = start(STEPS, "", 1, 0, folders["eight"], folders["one to eight"], devices=8)
    printed = [output_of(process) for process in (*two, eight)]
    # Processes that are interrupted save nothing; the last checkpoint is that of the last validation.
    assert last_step(folders["two to one"]) == 2
    train(folders["two to one"])
    return Runs(folders, printed[:2])


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("layout", ["eight", "one to eight", "two to one"])
def test_losses_and_figures_are_those_of_one_device(runs, layout):
    lines, expected = lines_of(runs.folders[layout]), lines_of(runs.folders["one"])
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    for line, other in zip(lines, expected, strict=True):
        del line["steps_per_s"], other["steps_per_s"]
        assert line == pytest.approx(other, rel=1e-5)


def test_process_0_alone_validates_and_is_watched(runs):
    # The library that joins the processes prints a line of its own.
    first, second = ([line for line in text.splitlines() if "Gloo" not in line] for text in runs.printed)
    assert sorted(first) == ["validating"] + ["watching"] * 3
    assert second == []


def test_a_batch_that_the_devices_cannot_share_evenly_is_refused(monkeypatch):
    devices = Devices()
    monkeypatch.setattr(devices, "count", 8)
    with pytest.raises(ValueError, match=r"A batch has 30 rows; it needs a multiple of 16 \(devices: 8, .* 2\)\."):
        devices.share({"x": np.zeros((30, 2))}, parts=2)


def test_numbers_have_the_precision_of_the_weights():
    shared = Devices().share({"x": np.zeros(4), "label": np.arange(4), "scale": 0.5})
    assert {name: leaf.dtype for name, leaf in shared.items()} == {"x": "float32", "label": "int32", "scale": "float32"}


def test_a_figure_of_the_only_process_is_nothing_to_agree_on():
    assert from_main(lambda: 0.1) == 0.1


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"coordinator": "localhost:1"}, "--num-processes and --process-id missing"),
        ({"num_processes": 2, "process_id": 0}, "--coordinator missing"),
    ],
)
def test_processes_that_are_not_fully_named_are_refused(given, missing):
    with pytest.raises(ValueError, match=f"{missing}. Each process needs all of --coordinator HOST:PORT"):
        join_processes(**given)


def test_no_cluster_where_one_was_to_be_found_says_how_to_name_the_processes():
    code = "from streamrnn.learning.devices import join_processes; join_processes()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "ValueError: JAX found no cluster to join" in run.stderr
    assert "--coordinator HOST:PORT --num-processes N --process-id I" in run.stderr


if __name__ == "__main__":
    last, coordinator, num_processes, process_id = sys.argv[1:5]
    if coordinator:
        join_processes(coordinator, int(num_processes), int(process_id))
    for folder in sys.argv[5:]:
        with suppress(KeyboardInterrupt):
            train(Path(folder), int(last))
