"""Devices that run out of memory: what training says, what it keeps, and how the command line ends."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cli import main
from streamrnn.layers import Dense
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.learner import Learned, Learner

ON_A_GPU = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123456789 bytes."
# What devices and compilers say, and what is to be read of it.
SAID = {
    ON_A_GPU: "Out of memory while trying to allocate 123456789 bytes (117.74 MiB).",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 2097152 bytes.\nBufferAssignment OOM Debugging.\n":
        "Out of memory while trying to allocate 2097152 bytes (2.00 MiB).",
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 21.95G of 15.48G "
    "hbm. Exceeded hbm capacity by 6.47G.\n\nTotal hbm usage >= 22.47G:":
        "Ran out of memory in memory space hbm. Used 21.95G of 15.48G hbm. Exceeded hbm capacity by 6.47G.",
    "UNKNOWN: Failed to determine best cudnn convolution algorithm for:\n%conv = (f32[1,64])\n\n"
    "Original error: RESOURCE_EXHAUSTED: Failed to allocate request for 176.00MiB (184549376B) on device ordinal 0":
        "Failed to allocate request for 176.00MiB (184549376B) on device ordinal 0.",
    "INTERNAL: Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory":
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory.",
}  # fmt: skip


def learner_that(fails: str, **settings: Any) -> Learner:
    """A learner whose update ends with this error of the device."""

    def loss(model: Any, batch: Any) -> jax.Array:
        raise jax.errors.JaxRuntimeError(fails)

    return Learner(Dense(3, 1, rngs=nnx.Rngs(0)), loss, TrainingSettings(**settings))


def batch_of(*shape: int) -> dict[str, np.ndarray]:
    return {"targets": np.zeros(shape[:1], np.float32), "x": np.ones(shape, np.float32)}


@pytest.mark.parametrize("said", SAID)
def test_what_a_device_says_is_told_with_what_came_and_what_needs_less(said):
    learner = learner_that(said, accumulate=2)
    shared = learner.share(batch_of(4, 5, 3))
    with pytest.raises(MemoryError) as raised:
        learner.update(learner.begin(shared), shared, 0)
    told = str(raised.value)
    assert "updates with batches of 4 rows of 5 frames (devices: 1, parts to accumulate: 2): " in told
    assert SAID[said] in told
    for flag in ("--batch-size", "--accumulate", "--duration-s", "--remat-frames", "--dtype bfloat16", "more devices"):
        assert flag in told
    assert raised.value.__cause__ is not None and str(raised.value.__cause__) == said


def test_a_program_that_does_not_compile_for_want_of_memory_is_told_alike():
    learner = learner_that(ON_A_GPU)
    shared = learner.share(batch_of(4, 3))
    with pytest.raises(MemoryError, match=r"batches of 4 rows \(devices: 1, .* 123456789 bytes \(117\.74 MiB\)"):
        learner.compile(learner.begin(shared), shared)


def test_other_errors_of_a_device_stay_what_they_are():
    learner = learner_that("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS")
    shared = learner.share(batch_of(4, 3))
    with pytest.raises(jax.errors.JaxRuntimeError, match="ILLEGAL_ADDRESS"):
        learner.update(learner.begin(shared), shared, 0)


def test_memory_that_runs_out_while_the_device_computes_is_told_too():
    """Really: no process can address as many bytes."""

    def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
        wide = jnp.broadcast_to(model(batch["x"])[0], 2**23)
        # Sorted, so that XLA can't do without the whole.
        return jnp.sort(wide[:, None] * wide, axis=0)[0].sum()

    learner = Learner(Dense(3, 1, rngs=nnx.Rngs(0)), loss, TrainingSettings())
    shared = learner.share(batch_of(4, 3))
    with pytest.raises(MemoryError, match=r"batches of 4 rows .* Out of memory allocating \d{15,} bytes"):
        learner.update(learner.begin(shared), shared, 0)


def product(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(model.kernel[...]) * jnp.mean(batch["x"])


def train(out: Path, steps: int) -> None:
    fit(
        Dense(3, 1, rngs=nnx.Rngs(0)),
        product,
        lambda start, stop: (batch_of(2, 3) for _ in range(start, stop)),
        lambda model: 0.5,
        TrainingSettings(steps=steps, validate_every=1),
        out,
        {},
    )


@pytest.fixture
def exhausted_after(monkeypatch):
    """exhausted_after(updates): from that update on, devices have no memory left."""
    update = Learner.update

    def limit(updates: int) -> None:
        def limited(self: Learner, learned: Learned, batch: Any, step: int) -> Any:
            failing = learner_that(ON_A_GPU)
            return update(self if step < updates else failing, learned, batch, step)

        monkeypatch.setattr(Learner, "update", limited)

    return limit


def test_the_last_checkpoint_is_kept_and_training_goes_on_from_there(tmp_path, exhausted_after):
    exhausted_after(2)
    with pytest.raises(MemoryError, match=r"more devices\. .* after 2 updates; the checkpoint of step 2 is kept\."):
        train(tmp_path, steps=4)
    assert last_step(tmp_path) == 2
    exhausted_after(4)
    train(tmp_path, steps=4)
    assert last_step(tmp_path) == 4


def test_without_memory_for_the_first_update_no_checkpoint_is_there(tmp_path, exhausted_after):
    exhausted_after(0)
    with pytest.raises(MemoryError, match=r"after 0 updates; no checkpoint was written yet\. .* another --out\."):
        train(tmp_path, steps=4)
    assert last_step(tmp_path) is None


@pytest.mark.parametrize(("error", "told"), [("Too little.", "Too little."), ("", "there is not enough memory.")])
def test_the_command_line_ends_with_a_sentence_and_no_traceback(error, told, monkeypatch, capsys):
    def exhausted(args: list[str]) -> None:
        raise MemoryError(error)

    monkeypatch.setattr("streamrnn.cli.train.main", exhausted)
    assert main(["train", "vad"]) == 2
    assert capsys.readouterr().err == f"streamrnn: {told}\n"
