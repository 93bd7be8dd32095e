"""Cores by name: each makes a model as large as the GRU's, and sees as far as it says."""

import dataclasses
import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import aligned
from streamrnn.layers import Chain
from streamrnn.models import (
    CORES,
    CTC,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Keywords,
    KeywordsSettings,
    VoiceActivity,
    VoiceActivitySettings,
    matched,
)
from streamrnn.models.baselines import feedforward, recomputed_transformer, temporal_convolutions, transformer
from streamrnn.models.cores import CoreSettings, core_layers, parameter_count, recurrent_layer
from streamrnn.pretrained import load, save

TINY = {"mels": 8, "channels": 6, "hidden": 5, "heads": 2, "context_frames": 8}

run = nnx.jit(aligned)


FORTY_WORDS = KeywordsSettings(words=tuple(f"word {number}" for number in range(40)))


@cache
def large(name: str) -> tuple[type, CoreSettings]:
    return (VoiceActivity, load("vad").settings) if name == "vad" else (Keywords, FORTY_WORDS)


@pytest.mark.parametrize("name", ["vad", "keywords"])
@pytest.mark.parametrize("core", CORES)
def test_each_core_makes_a_model_of_as_many_parameters_as_that_of_a_gru(name, core):
    model, settings = large(name)
    wanted = parameter_count(model, settings)
    found = matched(model, settings, core)
    assert found.core == core
    assert parameter_count(model, found) == pytest.approx(wanted, rel=0.05)
    assert dataclasses.replace(found, core=settings.core, hidden=settings.hidden) == settings


def test_where_no_width_fits_the_error_says_how_near_it_comes():
    # A stack of so many frames takes more weights at a width of 1 than the whole GRU has.
    settings = VoiceActivitySettings(mels=8, channels=6, hidden=2, context_frames=1000)
    with pytest.raises(ValueError, match=r"No width gives a model with the core 'feedforward' .* 1 is closest"):
        matched(VoiceActivity, settings, "feedforward")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"core": "gruu"}, "core is 'gruu'; it must be one of elman, gru"),
        ({"layers": 0}, "layers is 0"),
        ({"context_frames": 0}, "context_frames is 0"),
    ],
)
def test_a_core_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        unchecked(VoiceActivitySettings, **settings)


def unchecked(settings_class, **settings):
    """As outside of tests, where nothing but the class itself looks at the types of what it gets."""
    made = object.__new__(settings_class)
    for field in dataclasses.fields(settings_class):
        object.__setattr__(made, field.name, settings.get(field.name, field.default))
    made.__post_init__()
    return made


@pytest.mark.parametrize("core", CORES)
def test_a_core_is_as_wide_as_the_head_needs_and_runs_frame_by_frame(core):
    settings = CoreSettings(core=core, hidden=5, heads=2, context_frames=8)
    chain = Chain(*core_layers(settings, 3, nnx.Rngs(0)))
    assert (chain.stride, chain.lookahead) == (1, 0)
    assert jax.eval_shape(chain.step, chain.init_state(2), jnp.zeros((2, 1, 3)))[1].shape == (2, 1, 5)


def test_a_saved_model_comes_back_with_its_core(tmp_path):
    model = VoiceActivity(VoiceActivitySettings(core="transformer-window", **TINY), rngs=nnx.Rngs(0))
    save(model, tmp_path / "model")
    assert json.loads((tmp_path / "model.json").read_text())["settings"]["core"] == "transformer-window"
    x = 0.1 * jax.random.normal(jax.random.key(1), (1, 12, 160))
    np.testing.assert_array_equal(run(load(tmp_path / "model"), x), run(model, x))


def test_a_model_that_was_saved_before_there_were_cores_has_a_gru(tmp_path):
    save(VoiceActivity(VoiceActivitySettings(mels=8, channels=6, hidden=5), rngs=nnx.Rngs(0)), tmp_path / "model")
    described = json.loads((tmp_path / "model.json").read_text())
    del described["settings"]["core"]
    (tmp_path / "model.json").write_text(json.dumps(described))
    model = load(tmp_path / "model")
    assert model.settings.core == "gru"
    assert any(isinstance(getattr(layer, "cell", None), GRU) for layer in model.network.layers[1].layers)


@pytest.mark.parametrize(
    "model",
    [
        lambda: CTC(CTCSettings(core="mingru", mels=8, channels=6, hidden=5), rngs=nnx.Rngs(0)),
        lambda: Denoising(DenoisingSettings(core="rglru", bands=8, hidden=5), rngs=nnx.Rngs(0)),
    ],
)
def test_networks_of_other_tasks_run_with_a_linear_core_block_by_block(model):
    model = model()
    model.eval()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6 * model.stride, model.hop_samples)), jnp.float32)
    _, expected = nnx.jit(lambda model, x: model.scan(model.init_state(1), x))(model, x)
    state, step, found = model.init_state(1), nnx.jit(lambda model, state, x: model.step(state, x)), []
    for start in range(0, x.shape[1], model.stride):
        state, y = step(model, state, x[:, start : start + model.stride])
        found.append(y)
    np.testing.assert_allclose(
        jnp.concatenate(found, axis=1), expected, atol=1e-5 * max(1.0, float(abs(expected).max()))
    )


def test_a_network_that_is_recurrent_in_any_case_names_its_cells():
    with pytest.raises(ValueError, match="core is 'transformer'; it must be one of elman, gru, lstm, mingru"):
        recurrent_layer("transformer", 3, 4, "float32", nnx.Rngs(0))


def test_keywords_drop_outputs_of_every_layer_of_any_core():
    settings = KeywordsSettings(words=("a",), mels=8, channels=(6, 6), hidden=5, heads=2, core="transformer", layers=3)
    core = nnx.eval_shape(lambda: Keywords(settings, rngs=nnx.Rngs(0))).network.layers[1]
    assert [type(layer).__name__ for layer in core.layers[5:]] == ["Chain", "Dropout"] * 3


def test_a_transformer_streams_in_three_ways_with_the_same_numbers():
    x, sizes = jax.random.normal(jax.random.key(0), (2, 9, 3)), {"layers": 2, "heads": 2}
    networks = [
        build(3, 5, **sizes, capacity=capacity, rngs=nnx.Rngs(0))
        for build, capacity in ((transformer, 20), (transformer, 9), (recomputed_transformer, 20))
    ]
    full, window, recomputed = (by_steps(Chain(*layers), x) for layers in networks)
    np.testing.assert_allclose(window, full, atol=1e-5)
    np.testing.assert_allclose(recomputed, full, atol=1e-5)


def by_steps(layer, x):
    step, state, outputs = jax.jit(lambda state, x: layer.step(state, x)), layer.init_state(len(x)), []
    for t in range(x.shape[1]):
        state, y = step(state, x[:, t : t + 1])
        outputs.append(y)
    return jnp.concatenate(outputs, axis=1)


@pytest.mark.parametrize("window", [1, 2, 5, 6, 13])
def test_temporal_convolutions_see_at_least_the_window_and_less_than_three_times_as_far(window):
    reach = seen(Chain(*temporal_convolutions(3, 4, window=window, rngs=nnx.Rngs(0))))
    assert max(window, 5) <= reach < max(6, 3 * window)


@pytest.mark.parametrize("window", [1, 7])
def test_a_feedforward_network_sees_its_window_and_nothing_else(window):
    assert seen(Chain(*feedforward(3, 8, layers=2, window=window, rngs=nnx.Rngs(0)))) == window


def seen(layer, time: int = 40) -> int:
    """How many of the last frames the last output depends on, the one in hand included."""
    x = jax.random.normal(jax.random.key(0), (1, time, 3))
    last = lambda x: jnp.sum(aligned(layer, x)[:, -1] ** 2)  # noqa: E731
    depends = np.asarray(jnp.any(jax.jit(jax.grad(last))(x)[0] != 0, axis=-1))
    return time - int(depends.argmax())
