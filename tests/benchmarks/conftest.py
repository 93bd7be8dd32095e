"""A small untrained model, saved and loaded once. What it decides is random, which is all that these tests need."""

import pytest
from flax import nnx

import streamrnn
from streamrnn.models import Model, VoiceActivity, VoiceActivitySettings


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "small"
    streamrnn.save(VoiceActivity(VoiceActivitySettings(channels=8, hidden=8), rngs=nnx.Rngs(0)), path)
    return str(path)


@pytest.fixture(scope="session")
def model(model_path) -> Model:
    return streamrnn.load(model_path)
