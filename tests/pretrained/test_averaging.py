"""The mean of several trainings."""

import dataclasses
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.decisions import SpeechSettings
from streamrnn.layers import Chain, Dense
from streamrnn.models import Keywords, KeywordsSettings, Model, VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import average, describe, load, save

SETTINGS = VoiceActivitySettings(hidden=8, channels=8, mels=8, lookahead_frames=2)


def trained(seed: int, settings: VoiceActivitySettings = SETTINGS) -> VoiceActivity:
    model = VoiceActivity(settings, SpeechSettings(threshold=0.5 + seed / 10), rngs=nnx.Rngs(seed))
    model.eval()
    return model


def weights(model: VoiceActivity | Keywords) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))])


def test_weights_are_the_mean_by_shares_and_the_models_stay_as_they_are():
    first, second = trained(0), trained(1)
    before = weights(first)
    mean = average([first, second], [1, 3])
    np.testing.assert_allclose(weights(mean), 0.25 * weights(first) + 0.75 * weights(second), atol=1e-6)
    np.testing.assert_array_equal(weights(first), before)
    assert (mean.settings, mean.decision) == (first.settings, first.decision)


def test_trainings_with_other_dropout_have_a_mean():
    settings = [KeywordsSettings(words=("yes",), hidden=8, mels=8, dropout=dropout) for dropout in (0.1, 0.3)]
    first, second = (Keywords(each, rngs=nnx.Rngs(seed)) for seed, each in enumerate(settings))
    mean = average([first, second])
    np.testing.assert_allclose(weights(mean), (weights(first) + weights(second)) / 2, atol=1e-6)
    assert mean.settings == first.settings


def test_the_mean_of_a_model_with_itself_hears_what_it_hears():
    model = trained(0)
    frames = jax.random.normal(jax.random.key(0), (1, 30, model.hop_samples)) / 10
    np.testing.assert_allclose(aligned(average([model, model]), frames), aligned(model, frames), atol=1e-6)


@pytest.mark.parametrize("shares", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(ValueError, match="for each a finite share above 0"):
        average([trained(0), trained(1)], shares)


def test_no_models_and_different_ones_are_refused():
    with pytest.raises(ValueError, match="one or more models"):
        average([])
    with pytest.raises(ValueError, match=r"hidden=8.*hidden=9.*trainings of one model"):
        average([trained(0), trained(0, dataclasses.replace(SETTINGS, hidden=9))])


@pytest.mark.parametrize("widths", [(8, 8), (8, 4, 8)])
def test_layers_that_were_put_together_otherwise_have_no_mean(widths):
    def of(*widths: int) -> Model:
        layers = [Dense(*pair, rngs=nnx.Rngs(0)) for pair in pairwise(widths)]
        return Model.of(Chain(*layers), sample_rate=800, hop_samples=8)

    with pytest.raises(ValueError, match=r"models of different layers: LayerModel.* Pass trainings of one model"):
        average([of(8, 1), of(*widths)])


def test_the_script_writes_a_model_of_the_same_task(tmp_path):
    for seed in (0, 1):
        save(trained(seed), tmp_path / f"{seed}", task="vad")
    script = Path(__file__).parents[2] / "scripts/average_weights.py"
    paths = [str(tmp_path / f"{name}.safetensors") for name in ("mean", 0, 1)]
    subprocess.run([sys.executable, str(script), *paths, "--shares", "1", "1"], check=True, timeout=120)
    assert describe(tmp_path / "mean.safetensors")["task"] == "vad"
    np.testing.assert_allclose(weights(load(paths[0])), weights(average([trained(0), trained(1)])), atol=1e-6)
