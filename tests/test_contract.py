"""The laws of the contract, one test each, over every layer and every model: see LAYERS in contract_cases.py."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import streamrnn.cells
import streamrnn.features
import streamrnn.layers
import streamrnn.models
from streamrnn.cells import Cell, GatedCell, LinearCell
from streamrnn.contract import Layer
from streamrnn.laws import LAWS, finite, require
from tests.contract_cases import BLOCKS, LAYERS, assert_close, built, held, inputs, kinds, long_input

# Every length is compiled anew; two of them, in any order, are enough to find what depends on the cuts.
CHUNKINGS = [
    lengths
    for count in range(1, BLOCKS + 1)
    for lengths in itertools.product((1, 3), repeat=count)
    if sum(lengths) == BLOCKS
]
LONG_BLOCKS = 300

# In scope of the module, so that pytest takes layer by layer and a worker compiles only its own.
every_layer = pytest.mark.parametrize("name", LAYERS, scope="module")


def test_no_layer_and_no_cell_is_missing_here():
    # What was loaded is built already, of classes that are here by themselves.
    layers = [nnx.eval_shape(case.build, nnx.Rngs(7)) for name, case in LAYERS.items() if "as shipped" not in name]
    tested = {type(module) for layer in layers for _, module in nnx.iter_modules(layer)}
    rooms = (streamrnn.cells, streamrnn.features, streamrnn.layers, streamrnn.models)
    public = {value for room in rooms for value in vars(room).values() if isinstance(value, type)}
    written = {value for value in public if issubclass(value, Layer | Cell)}
    assert written - tested == {Cell, GatedCell, LinearCell}


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_of_no_streams_gives_as_many_outputs(name):
    layer, x = built(name), inputs(name)[:0]
    state = layer.init_state(0)
    for way, frames in ((type(layer).step, x[:, : layer.stride]), (type(layer).scan, x)):
        after, y = nnx.eval_shape(way, layer, state, frames)
        assert y.shape[:2] == (0, frames.shape[1] // layer.stride)
        assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, state)


NARROW = {"float32", "bfloat16", "complex64", "int32"}


@pytest.mark.parametrize("name", [name for name in LAYERS if "as shipped" not in name])
def test_numbers_have_32_bits_also_where_jax_is_set_to_64(name):
    case = LAYERS[name]
    x = case.draw(jax.random.key(0), (2, BLOCKS * built(name).stride, case.width))
    with jax.enable_x64(True):
        layer = nnx.eval_shape(case.build, nnx.Rngs(7))
        layer.eval()
        state = jax.eval_shape(lambda: layer.init_state(2))
        kept = nnx.state(layer, nnx.Not(nnx.RngState))
        for way, frames in ((type(layer).step, x[:, : layer.stride]), (type(layer).scan, x)):
            after, y = nnx.eval_shape(way, layer, state, frames)
            assert {leaf.dtype.name for leaf in jax.tree.leaves((kept, state, y))} <= NARROW
            assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)


# These two are held against inputs of all kinds, and chunks against all cuts.
OTHER_LAWS = [law for law in LAWS if law.partition(" ")[0] not in ("steps", "gradients", "chunks")]


@every_layer
@pytest.mark.parametrize("law", OTHER_LAWS)
def test_it_keeps_the_law(name, law):
    require(held(name), law, LAWS[law])


@every_layer
def test_steps_equal_scan(name):
    layer = held(name)
    for kind in kinds(name):
        x = inputs(name, kind=kind)
        assert_close(name, layer.steps(layer.fresh, x), layer.scan(layer.fresh, x), kind)


@every_layer
def test_any_chunking_equals_scan(name):
    layer, x = held(name), inputs(name)
    whole = layer.scan(layer.fresh, x)
    for lengths in CHUNKINGS:
        state, outputs, start = layer.fresh, [], 0
        for stop in itertools.accumulate(lengths):
            state, y = layer.scan(state, x[:, start * built(name).stride : stop * built(name).stride])
            outputs.append(y)
            start = stop
        assert_close(name, (state, np.concatenate(outputs, axis=1)), whole)


@every_layer
def test_gradients_through_steps_equal_gradients_through_scan(name):
    for kind in kinds(name):
        x = inputs(name, blocks=2, kind=kind)
        by_scan, _ = held(name).gradients(x, False)
        assert finite(by_scan), kind
        assert_close(name, held(name).gradients(x, True)[0], by_scan, kind)


# Cores are made of layers that are here by themselves.
@pytest.mark.parametrize("name", [name for name in LAYERS if "the core" not in name], scope="module")
def test_a_long_recording_is_that_of_its_steps_and_has_gradients(name):
    x = long_input(name, LONG_BLOCKS)
    found, (_, y) = held(name).gradients(x, False)
    assert finite(found)
    assert_close(name, held(name).steps(built(name).init_state(1), x)[1], y, "long")


@every_layer
def test_no_frames_in_are_no_frames_out_and_change_nothing(name):
    found, (state, y) = held(name).gradients(inputs(name)[:, :0], False)
    assert y.shape[:2] == (3, 0)
    jax.tree.map(np.testing.assert_array_equal, state, held(name).fresh)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", ["CausalConv, strided", "StackFrames", "Chain that subsamples"])
def test_scan_refuses_part_of_a_block(name):
    layer = built(name)
    with pytest.raises(ValueError, match=f"Pass a multiple of {layer.stride}"):
        layer.scan(layer.init_state(3), jnp.asarray(inputs(name)[:, :-1]))
