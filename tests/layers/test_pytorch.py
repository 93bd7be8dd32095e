"""Conversion of PyTorch's state dicts: what is taken, what is refused, and what comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from streamrnn.cells import GRU, LSTM, Elman
from streamrnn.contract import aligned
from streamrnn.layers import Chain, Dropout, Recurrent, from_torch, to_torch

GATES = {Elman: 1, GRU: 3, LSTM: 4}
KINDS = list(GATES)


def state_dict(cell=GRU, in_features=3, hidden=6, layers=2, projection=None, bias=True, seed=0):
    """Random weights under PyTorch's names and in its layout, as its documentation gives them."""
    draw = np.random.default_rng(seed).standard_normal
    rows, out = GATES[cell] * hidden, projection or hidden
    arrays = {}
    for n in range(layers):
        arrays |= {f"weight_ih_l{n}": draw((rows, out if n else in_features)), f"weight_hh_l{n}": draw((rows, out))}
        arrays |= {f"bias_ih_l{n}": draw(rows), f"bias_hh_l{n}": draw(rows)} if bias else {}
        arrays |= {f"weight_hr_l{n}": draw((projection, hidden))} if projection else {}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name, strict=True)


def layers_of(*cells):
    return Chain(*map(Recurrent, cells))


class Tensor:
    """As much of a PyTorch tensor on a GPU, with a gradient, as NumPy stumbles over."""

    def __init__(self, array, steps=("detach", "cpu", "float", "numpy")):
        self.array, self.steps = array, steps

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        assert name == self.steps[0], f"{name} before {self.steps[0]}"
        return lambda: Tensor(self.array, self.steps[1:]) if self.steps[1:] else self.array


@given(
    cell=st.sampled_from(KINDS),
    in_features=st.integers(1, 5),
    hidden=st.integers(2, 6),
    layers=st.integers(1, 3),
)
def test_any_state_dict_comes_back_exactly(cell, in_features, hidden, layers):
    given = state_dict(cell, in_features, hidden, layers)
    assert_same(to_torch(from_torch(given)), given)


def test_layer_10_comes_after_layer_9():
    given = dict(sorted(state_dict(Elman, layers=11).items()))
    assert_same(to_torch(from_torch(given)), given)


def test_a_projected_lstm_comes_back_exactly():
    given = state_dict(LSTM, projection=4)
    assert_same(to_torch(from_torch(given)), given)


@pytest.mark.parametrize(
    "make",
    [
        lambda in_features, rngs: Elman(in_features, 4, activation=jax.nn.relu, rngs=rngs),
        lambda in_features, rngs: GRU(in_features, 4, rngs=rngs),
        lambda in_features, rngs: LSTM(in_features, 4, rngs=rngs),
        lambda in_features, rngs: LSTM(in_features, 6, projection=4, rngs=rngs),
    ],
    ids=["Elman", "GRU", "LSTM", "LSTM with projection"],
)
def test_our_layers_come_back_exactly(make):
    rngs = nnx.Rngs(0)
    layer = layers_of(make(3, rngs), make(4, rngs))
    returned = from_torch(to_torch(layer), activation=jax.nn.relu)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(returned, nnx.Param), nnx.state(layer, nnx.Param))
    assert [each.cell.out_features for each in returned.layers] == [4, 4]


@pytest.mark.parametrize("cell", KINDS)
def test_weights_go_through_a_safetensors_file_and_back(cell, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(state_dict(cell), path)
    save_file(to_torch(from_torch(load_file(path))), path)
    assert_same(load_file(path), state_dict(cell))


def test_one_layer_alone_converts_like_a_chain_of_one():
    layer = Recurrent(GRU(3, 4, rngs=nnx.Rngs(0)))
    assert_same(to_torch(layer), to_torch(Chain(layer)))


def test_arrays_for_pytorch_are_contiguous_and_writable_copies():
    layer = from_torch(state_dict())
    for array in to_torch(layer).values():
        assert array.flags.c_contiguous and array.flags.writeable
        array[...] = 0.0
    assert_same(to_torch(layer), state_dict())


@pytest.mark.parametrize("cell", KINDS)
def test_the_number_of_gates_tells_the_cell(cell):
    layer = from_torch(state_dict(cell, in_features=6, hidden=6, layers=3))
    assert [type(recurrent.cell) for recurrent in layer.layers] == [cell] * 3


def test_the_activation_of_an_elman_network_is_as_asked():
    x = jnp.full((1, 4, 3), 9.0)
    rectified = aligned(from_torch(state_dict(Elman), activation=jax.nn.relu), x)
    assert float(rectified.max()) > 1.0 >= float(jnp.abs(aligned(from_torch(state_dict(Elman)), x)).max())


def test_without_biases_they_are_zeros():
    given = state_dict(LSTM, bias=False)
    returned = to_torch(from_torch(given))
    assert not any(returned[f"{name}_l{n}"].any() for name in ("bias_ih", "bias_hh") for n in (0, 1))
    assert_same({name: array for name, array in returned.items() if name in given}, given)


def test_a_prefix_selects_one_module_of_a_larger_model():
    gru, lstm = state_dict(GRU), state_dict(LSTM)
    larger = {f"encoder.gru.{name}": array for name, array in gru.items()}
    larger |= {f"decoder.{name}": array for name, array in lstm.items()} | {"head.weight": np.ones(3, np.float32)}
    assert_same(to_torch(from_torch(larger, prefix="encoder.gru.")), gru)
    assert_same(to_torch(from_torch(larger, prefix="decoder.")), lstm)


def test_tensors_are_detached_brought_to_the_cpu_and_made_float32():
    given = state_dict()
    assert_same(to_torch(from_torch({name: Tensor(array) for name, array in given.items()})), given)


def test_parameters_stay_float32_whatever_the_compute_dtype():
    layer = from_torch(state_dict(), dtype=jnp.bfloat16)
    assert_same(to_torch(layer), state_dict())
    assert aligned(layer, jnp.ones((1, 2, 3))).dtype == jnp.bfloat16


def without(*names):
    return {name: array for name, array in state_dict().items() if name not in names}


def renamed(layer, number):
    return {name.replace(f"_l{layer}", f"_l{number}"): array for name, array in state_dict().items()}


REFUSED = {
    "bidirectional": (state_dict() | {"weight_ih_l0_reverse": np.ones((18, 3))}, "bidirectional.*weight_ih_l0_reverse"),
    "an unknown name": (state_dict() | {"head.weight": np.ones((2, 6))}, "head.weight, unknown to"),
    "weight normalisation": (state_dict() | {"weight_hh_l0_g": np.ones((18, 1))}, "weight_hh_l0_g, unknown to"),
    "a prefix left out": ({f"rnn.{k}": v for k, v in state_dict().items()}, "as prefix: 'rnn.'"),
    "nothing": ({}, "no name with ''"),
    "a missing weight": (without("weight_hh_l1"), r"; weight_hh_l1 is missing"),
    "a missing input weight": (without("weight_ih_l0", "weight_ih_l1"), r"; weight_ih_l0, weight_ih_l1 is missing"),
    "half of the biases": (without("bias_hh_l0", "bias_hh_l1"), r"; bias_hh_l0, bias_hh_l1 is missing"),
    "biases in one layer only": (without("bias_ih_l1", "bias_hh_l1"), r"; bias_hh_l1, bias_ih_l1 is missing"),
    "a gap between the layers": (renamed(1, 2), r"; .*weight_hh_l1, weight_ih_l1 is missing"),
    "no layer 0": (renamed(0, 7), r"; .*weight_hh_l0, weight_ih_l0 is missing"),
    "a vector for a matrix": (state_dict() | {"weight_hh_l0": np.ones(6)}, r"Layer 0 .*\(6,\).*matrices"),
    "an empty matrix": (state_dict() | {"weight_hh_l0": np.ones((18, 0))}, r"Layer 0 .*\(18, 0\).*matrices"),
    "two gates": (state_dict() | {"weight_ih_l0": np.ones((12, 3))}, r"hidden size of 6.* 6 rows.*18.*24"),
    "a projected GRU": (
        state_dict() | {f"weight_hr_l{n}": np.ones((6, 6)) for n in (0, 1)},
        "only nn.LSTM has weight_hr",
    ),
    "a transposed weight": (
        state_dict() | {"weight_hh_l1": np.ones((6, 18))},
        r"weight_hh_l1 .*\(6, 18\).*must have \(18, 18\)",
    ),
    "a wide recurrent weight": (
        state_dict() | {"weight_hh_l0": np.ones((9, 6))},
        r"weight_hh_l0 .*\(9, 6\).*\(18, 6\)",
    ),
    "a short bias": (state_dict() | {"bias_ih_l1": np.ones(6)}, r"bias_ih_l1 has shape \(6,\).* must have \(18,\)"),
    "layers that do not fit": (state_dict() | {"weight_ih_l1": np.ones((18, 5))}, r"GRU 3 -> 6, GRU 5 -> 6"),
    "two kinds": (
        state_dict() | {k: v for k, v in state_dict(LSTM).items() if k.endswith("l1")},
        r"GRU 3 -> 6, LSTM 6 -> 6",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_recurrent_module_of_one_direction_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        from_torch(arrays)


def test_a_refusal_names_the_first_few_of_many_names():
    arrays = {f"block{n:03}.weight": np.ones(1) for n in range(200)}
    with pytest.raises(ValueError, match=r"got block000\.weight, .*block004\.weight and 195 more, unknown to"):
        from_torch(arrays)


def test_a_prefix_that_no_name_has_is_refused_with_those_that_there_are():
    arrays = {f"encoder.gru.{name}": array for name, array in state_dict().items()}
    with pytest.raises(ValueError, match=r"no name with 'decoder\.'.*'encoder\.gru\.'"):
        from_torch(arrays, prefix="decoder.")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda rngs: layers_of(GRU(3, 6, rngs=rngs), LSTM(6, 6, rngs=rngs)), "GRU 3 -> 6, LSTM 6 -> 6"),
        (lambda rngs: layers_of(GRU(3, 6, rngs=rngs), GRU(6, 5, rngs=rngs)), "GRU 3 -> 6, GRU 6 -> 5"),
        (lambda rngs: layers_of(GRU(3, 6, rngs=rngs), GRU(5, 6, rngs=rngs)), "GRU 3 -> 6, GRU 5 -> 6"),
        (
            lambda rngs: layers_of(Elman(3, 6, rngs=rngs), Elman(6, 6, activation=jax.nn.relu, rngs=rngs)),
            "one activation",
        ),
        (
            lambda rngs: layers_of(LSTM(3, 6, projection=4, rngs=rngs), LSTM(4, 8, projection=4, rngs=rngs)),
            "one hidden size",
        ),
        (lambda rngs: Chain(Recurrent(GRU(3, 6, rngs=rngs)), Dropout(0.1, rngs=rngs)), "GRU, Dropout; it converts"),
        (lambda rngs: Chain(), "not a single PyTorch module"),
    ],
    ids=["two kinds", "two sizes", "no fit", "two activations", "two memories", "a dropout", "nothing"],
)
def test_what_no_pytorch_module_computes_is_not_converted(build, message):
    with pytest.raises(ValueError, match=message):
        to_torch(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
