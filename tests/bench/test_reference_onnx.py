import numpy as np
import pytest
from flax import nnx

from streamrnn.bench.reference_onnx import BoundOnnxStream, OnnxStream, RecurrentPart
from streamrnn.cells import GRU, LSTM
from streamrnn.layers import Chain, Recurrent
from streamrnn.models import VoiceActivity
from streamrnn.runtime import compiled_scan


@pytest.fixture
def features(model: VoiceActivity) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(50, model.settings.channels)).astype(np.float32)


either_way = pytest.mark.parametrize("onnx_stream", [OnnxStream, BoundOnnxStream])


@either_way
def test_onnx_runtime_gives_the_same_numbers_as_our_cells(onnx_stream, model: VoiceActivity, features: np.ndarray):
    scan = compiled_scan(part := RecurrentPart(model))
    _, ours = scan(scan.fresh_state, features[None])
    stream = onnx_stream(part)
    theirs = np.stack([stream(frame) for frame in features])
    assert theirs.std() > 0.01
    np.testing.assert_allclose(theirs, np.asarray(ours)[0], atol=1e-5)


@either_way
def test_two_onnx_streams_are_independent(onnx_stream, model: VoiceActivity, features: np.ndarray):
    first, second = onnx_stream(part := RecurrentPart(model)), onnx_stream(part)
    first(features[0])
    np.testing.assert_array_equal(second(features[1]), onnx_stream(part)(features[1]))


def test_the_recurrent_part_is_that_of_the_model(model: VoiceActivity):
    part = RecurrentPart(model)
    assert [(gru.in_features, gru.out_features) for gru in part.grus] == [(96, 128), (128, 128)]
    cells = [module for _, module in nnx.iter_modules(model) if isinstance(module, GRU)]
    assert list(part.grus) == cells
    assert part.head is model.network.layers[2]


def test_a_model_without_gru_layers_is_refused():
    other = nnx.eval_shape(lambda: VoiceActivity(rngs=nnx.Rngs(0)))
    front_end, _, head = other.network.layers
    lstm = Recurrent(LSTM(40, 128, rngs=nnx.Rngs(0)))
    other.network = Chain(front_end, Chain(lstm), head)
    with pytest.raises(ValueError, match=r"VoiceActivity has 0 GRU layers .* Leave ONNX Runtime out"):
        RecurrentPart(other)
