"""States as few arrays: nothing is lost, nothing is mixed up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.runtime.packing import pack, unpack

STATE = {
    "counter": jnp.array([1, 2**31 - 1], jnp.int32),
    "frames": jnp.arange(2 * 3 * 4.0).reshape(2, 3, 4),
    "hidden": (jnp.full((2, 5), jnp.nan), jnp.full((2, 1), 1e-45)),
    "none": jnp.zeros((2, 0, 7)),
    "stateless": (),
}


@pytest.mark.parametrize("state", [STATE, (), jnp.ones((1, 3), jnp.bfloat16)])
def test_what_was_packed_comes_back_bit_for_bit(state):
    back = unpack(pack(state), like=jax.eval_shape(lambda: state))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for after, before in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        assert np.asarray(after).tobytes() == np.asarray(before).tobytes()


def test_there_is_one_array_per_dtype_with_the_stream_as_axis_0():
    packed = pack(STATE)
    assert {name: leaf.shape for name, leaf in packed.items()} == {"float32": (2, 18), "int32": (2, 1)}


def test_a_stream_lies_in_its_own_row():
    changed = jax.tree.map(lambda leaf: leaf.at[1].set(7), STATE)
    for before, after in zip(pack(STATE).values(), pack(changed).values(), strict=True):
        np.testing.assert_array_equal(before[0], after[0])
        assert (np.asarray(after[1]) == 7).all()
