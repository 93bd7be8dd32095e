"""GPUs and TPUs can be given what trains and what runs live; machines without them find that out, too."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn import models
from streamrnn.audio import write_audio
from streamrnn.contract import aligned
from streamrnn.layers import Chain, Dense, Dropout
from streamrnn.learning import TrainingSettings
from streamrnn.learning.batches import without_names
from streamrnn.learning.learner import Figures, Learner
from streamrnn.models import Model, VoiceActivity, VoiceActivitySettings
from streamrnn.recipes.voice_activity import VoiceActivityRecipe, VoiceActivityTraining
from streamrnn.runtime import compiled_step

# What a program may call besides XLA's own operations. Anything else, Python above all, is not on these devices.
CALLS = {"cuda": {"cu_threefry2x32_ffi"}, "tpu": set()}
# A LayerModel is of the layers that a caller brings; it has none of its own.
MODELS = [name for name in models.__all__ if hasattr(getattr(models, name), "Settings") and name != "LayerModel"]
# What a model's settings need to be whole.
NEEDED = {
    "Keywords": {"words": ("yes", "no")},
    "Classifier": {"labels": ("yes", "no")},
    "NextItem": {"symbols": ("a", "b")},
    "Speller": {"letters": ("a", "b"), "phonemes": ("A", "B")},
    "Forecast": {"columns": ("load",), "mean": (0.0,), "scale": (1.0,)},
}
RATE = 2000


def blank(model_class: Any, settings: Any) -> Model:
    """A model with zeros for weights and filterbanks, which is built much faster."""
    model = nnx.eval_shape(lambda: model_class(settings, rngs=nnx.Rngs(0)))
    nnx.update(model, jax.tree.map(zeros, nnx.state(model)))
    return model


def zeros(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if is_key else jnp.zeros(leaf.shape, leaf.dtype)


def assert_is_for(platform: str, exported: jax.export.Exported, given: Any, result: Any) -> None:
    """The program is for that platform, has arguments and results like these, and calls nothing that is not there."""
    assert exported.platforms == (platform,)
    assert exported.disabled_safety_checks == ()
    assert shapes(exported.in_avals) == shapes(given)
    assert shapes(exported.out_avals) == shapes(result)
    assert set(re.findall(r"custom_call @(\w+)", exported.mlir_module())) <= CALLS[platform]


def shapes(tree: Any) -> list[tuple[tuple[int, ...], Any]]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(jax.eval_shape(lambda tree: tree, tree))]


@pytest.mark.parametrize("name", MODELS)
def test_the_live_step_of_every_model_is_one_for_gpus_and_tpus(name):
    model_class = getattr(models, name)
    model = blank(model_class, model_class.Settings(**NEEDED.get(name, {})))
    step = compiled_step(model, 2)
    block = np.zeros((2, model.stride, model.signal.features), model.signal.dtype)
    given = (step.weights, step.fresh_state, block)
    result = (step.fresh_state, jax.ShapeDtypeStruct((2, 1, model.out_features), jnp.float32))
    for platform in CALLS:
        exported = jax.export.export(step.program, platforms=[platform])(*given)
        assert_is_for(platform, exported, given, result)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Speech, noise and music of two seconds each, for training and for validation."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for kind in ("speech", "noise", "music"):
        (data / kind).mkdir()
        for name in ("a.wav", "b.wav"):
            # No copies of each other: training warns of those.
            samples = rng.uniform(-0.1, 0.1, 2 * RATE)
            write_audio(data / kind / name, samples, RATE)
        (data / kind / "manifest.csv").write_text("path,split\na.wav,train\nb.wav,valid\n")
    (data / "speech" / "vad_segments.csv").write_text("path,start,end\na.wav,1000,3000\nb.wav,1000,3000\n")
    return data


def assert_update_is_for_gpus_and_tpus(learner: Learner, batch: Any) -> None:
    shared = learner.share(batch)
    learned = learner.begin(shared)
    given = (learned, learner.keys, learner.rest, shared, 0)
    result = (learned, Figures(loss=jnp.float32(0), gradient_norm=jnp.float32(0)))
    for platform in CALLS:
        assert_is_for(platform, learner.export(learned, shared, [platform]), given, result)


@pytest.mark.parametrize(("core", "parts"), [("gru", 1), ("lstm", 2), ("mingru", 1)])
def test_the_training_update_is_one_for_gpus_and_tpus(core, parts, data):
    tiny = {"sample_rate": RATE, "hop_samples": 100, "window_samples": 200, "mels": 8, "channels": 4, "hidden": 4}
    settings = VoiceActivityTraining(
        VoiceActivitySettings(core=core, **tiny),
        TrainingSettings(accumulate=2, ema_decay=0.9),
        batch_size=4,
        duration_s=1.0,
        parts=parts,
        workers=1,
    )
    recipe = VoiceActivityRecipe([data], settings)
    batch, _ = without_names(next(recipe.batches(0, 1)))
    model = blank(VoiceActivity, settings.model)
    learner = Learner(model, recipe.loss, settings.training, recipe.initial_carry)
    assert_update_is_for_gpus_and_tpus(learner, batch)


def test_an_update_that_draws_random_numbers_is_one_for_gpus_and_tpus():
    rngs = nnx.Rngs(0)
    network = Chain(Dense(2, 2, rngs=rngs), Dropout(0.5, rngs=rngs))
    learner = Learner(network, lambda model, batch: jnp.mean(aligned(model, batch["x"])), TrainingSettings())
    assert_update_is_for_gpus_and_tpus(learner, {"x": np.zeros((4, 3, 2), np.float32)})


@pytest.mark.parametrize("platform", CALLS)
def test_a_loss_that_calls_back_to_python_is_found_out(platform):
    def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
        weight = jax.pure_callback(np.asarray, jax.ShapeDtypeStruct((), jnp.float32), batch["x"][0, 0])
        return weight * jnp.mean(model(batch["x"]))

    learner = Learner(Dense(2, 1, rngs=nnx.Rngs(0)), loss, TrainingSettings())
    shared = learner.share({"x": np.zeros((4, 2), np.float32)})
    with pytest.raises(ValueError, match=f"backend cpu is different from the lowering platform {platform}"):
        learner.export(learner.begin(shared), shared, [platform])


def test_an_operation_that_a_platform_lacks_is_found_out():
    def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean(model(batch["x"])) + jnp.linalg.eigvals(batch["x"]).real.sum()

    learner = Learner(Dense(2, 1, rngs=nnx.Rngs(0)), loss, TrainingSettings())
    shared = learner.share({"x": np.zeros((2, 2), np.float32)})
    with pytest.raises(NotImplementedError, match="'eig' not found for platform tpu"):
        learner.export(learner.begin(shared), shared, ["tpu"])
