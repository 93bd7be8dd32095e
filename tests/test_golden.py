"""Our recurrent layers against PyTorch's: outputs, states and gradients that scripts/make_golden.py has written."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.layers import Chain, from_torch, to_torch

GOLDEN = Path(__file__).parent / "golden"
ACTIVATIONS = {"rnn_relu": jax.nn.relu}
WAYS = {"by scan": Chain.scan, "by steps": Layer.scan}

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=["rnn_tanh", "rnn_relu", "gru", "lstm", "lstm_proj"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def golden(name) -> Arrays:
    with np.load(GOLDEN / f"torch_{name}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def layer(name, golden) -> Chain:
    return from_torch(below("state_dict/", golden), activation=ACTIVATIONS.get(name, jnp.tanh))


@pytest.fixture(scope="module", params=WAYS)
def ours(request, layer, golden) -> Arrays:
    """What our layer computes, named as in the file."""
    return computed(layer, WAYS[request.param], our_state(**below("initial/", golden)), jnp.asarray(golden["x"]))


def computed(layer: Chain, scan: Callable, initial: tuple, x: jax.Array) -> Arrays:
    structure, weights = nnx.split(layer)

    def loss(weights, initial, x):
        state, y = scan(nnx.merge(structure, weights), initial, x)
        final = torch_state(state)
        return sum(jnp.mean(jnp.square(array)) for array in (y, *final.values())), above("final/", final) | {"y": y}

    gradients, outputs = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(weights, initial, x)
    by_weights, by_initial, by_x = gradients
    outputs |= above("gradient/state_dict/", to_torch(nnx.merge(structure, by_weights)))
    outputs |= above("gradient/initial/", torch_state(by_initial)) | {"gradient/x": by_x}
    return {name: np.asarray(array) for name, array in outputs.items()}


def our_state(h, c=None) -> tuple:
    """PyTorch's h and c, each [layers, batch, numbers] -> one state per layer, an LSTM's being (c, h)."""
    return (
        tuple(map(jnp.asarray, h)) if c is None else tuple(zip(map(jnp.asarray, c), map(jnp.asarray, h), strict=True))
    )


def torch_state(state: tuple) -> dict[str, jax.Array]:
    if not isinstance(state[0], tuple):
        return {"h": jnp.stack(state)}
    return {"h": jnp.stack([h for _, h in state]), "c": jnp.stack([c for c, _ in state])}


def below(folder: str, arrays: dict) -> dict:
    return {name.removeprefix(folder): array for name, array in arrays.items() if name.startswith(folder)}


def above(folder: str, arrays: dict) -> dict:
    return {folder + name: array for name, array in arrays.items()}


def assert_close(ours: Arrays, theirs: Arrays) -> None:
    """Equal to 1e-5 of each array's largest number."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_outputs_equal_those_of_pytorch(ours, golden):
    assert_close({"y": ours["y"]}, {"y": golden["y"]})


def test_final_states_equal_those_of_pytorch(ours, golden):
    assert_close(below("final/", ours), below("final/", golden))


def test_gradients_equal_those_of_pytorch(ours, golden):
    assert_close(below("gradient/", ours), below("gradient/", golden))


def test_a_state_dict_comes_back_exactly(layer, golden):
    returned, given = to_torch(layer), below("state_dict/", golden)
    assert returned.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(returned[name], array, err_msg=name, strict=True)
