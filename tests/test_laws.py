"""`check_contract` says which law a layer breaks, and passes those that keep all of them."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import Layer, Stateless
from streamrnn.features import PCEN
from streamrnn.laws import LAWS, ContractBroken, Held, check_contract, require
from streamrnn.layers import Chain, Dense, Dropout, Embedding, Lookahead, Recurrent, StackFrames
from streamrnn.models import Model
from streamrnn.signals import Series


class Sum(Layer):
    """The running sum of frames of three numbers: it keeps all laws. Those below break one each."""

    def init_state(self, batch_size):
        return jnp.zeros((batch_size, 3))

    def step(self, state, x):
        state = state + x[:, 0]
        return state, state[:, None]


class ScansOtherwise(Sum):
    def scan(self, state, x):
        state, y = super().scan(state, x)
        return state, 2 * y


class ForgetsBetweenScans(Sum):
    def scan(self, state, x):
        after, y = super().scan(self.init_state(len(x)), x)
        return after + state, y + (state[:, None] if x.shape[1] in (1, 7) else 0)


class HearsTheFuture(Stateless):
    def __call__(self, x):
        return x - x.mean(axis=1, keepdims=True)


class LosesOutputs(Sum):
    lookahead = 2

    def scan(self, state, x):
        return state, x[:, 1:]


class NormalisesTheBatch(Stateless):
    def __call__(self, x):
        return x - x.mean(axis=0)


class SpreadsNaN(Stateless):
    def __call__(self, x):
        return x + 0 * x.sum()


class ChangesItsState(Sum):
    def step(self, state, x):
        state, y = super().step(state, x)
        return state.astype(jnp.bfloat16), y


class SharesItsState(Sum):
    def init_state(self, batch_size):
        return jnp.zeros((1, 3))

    def step(self, state, x):
        state = state + x[:, 0].mean(axis=0)
        return state, x + 0 * state


class BeginsByItsNeighbours(Sum):
    def step(self, state, x):
        state = state + x[:, 0] + (jnp.abs(state) > 0).any()
        return state, state[:, None]


class RemembersByItself(Sum):
    def __init__(self):
        self.frames = nnx.Variable(jnp.zeros(()))

    def step(self, state, x):
        self.frames[...] += 1
        return state, x * self.frames[...]

    def scan(self, state, x):
        return state, x


class HasNoGradient(Stateless):
    def __call__(self, x):
        return jnp.sqrt(x - x)


class LooksAtNumbers(Sum):
    def step(self, state, x):
        return super().step(state, -x if x.sum() < 0 else x)


class Broken(Sum):
    def step(self, state, x):
        return state, x / (1 // 0)


BROKEN = {
    "state keeps its form": ChangesItsState,
    "steps equal scan": ScansOtherwise,
    "chunks equal whole": ForgetsBetweenScans,
    "the future cannot change the past": HearsTheFuture,
    "outputs are aligned": LosesOutputs,
    "streams are independent": NormalisesTheBatch,
    "a nan stays in its stream": SpreadsNaN,
    "a reset row is fresh": BeginsByItsNeighbours,
    "a state goes on elsewhere": RemembersByItself,
    "gradients are finite and the same": HasNoGradient,
    "step compiles once": LooksAtNumbers,
}


@pytest.mark.parametrize(
    "layer",
    [
        Sum(),
        Recurrent(GRU(3, 4, rngs=nnx.Rngs(0))),
        Chain(Lookahead(2), StackFrames(2), Dense(6, 2, rngs=nnx.Rngs(0))),
    ],
)
def test_a_layer_that_keeps_the_laws_passes(layer):
    check_contract(layer, 3)


def test_a_program_that_jax_forgot_meanwhile_counts_once():
    held = Held(Sum(), 3, jax.random.normal, 1e-5)
    law = "step compiles once"
    require(held, law, LAWS[law])
    jax.clear_caches()
    require(held, law, LAWS[law])


def test_an_error_in_the_layer_is_told_as_such():
    with pytest.raises(ContractBroken, match=r"^Broken raised ZeroDivisionError"):
        check_contract(Broken(), 3)


def test_a_model_knows_what_it_takes():
    rngs = nnx.Rngs(0)
    check_contract(Model.of(Dense(8, 2, rngs=rngs), sample_rate=8000, hop_samples=8))
    ids = Chain(Embedding(9, 3, rngs=rngs), Recurrent(GRU(3, 2, rngs=rngs)))
    check_contract(Model.of(ids, signal=Series(1, 10.0, "int32", ids=9)))


def test_inputs_can_be_drawn_otherwise():
    check_contract(PCEN(3, 8000, 80), 3, draw=lambda key, shape: 0.1 + jnp.abs(jnp.ones(shape)))


@pytest.mark.parametrize("law", LAWS)
def test_each_law_finds_who_breaks_it_and_says_so(law):
    layer = BROKEN[law]()
    with pytest.raises(ContractBroken, match=f"^{type(layer).__name__} breaks the law “{law}”: .+\\. .+"):
        require(Held(layer, 3, jax.random.normal, 1e-5), law, LAWS[law])


@pytest.mark.parametrize("kind", [*BROKEN.values(), SharesItsState])
def test_no_way_to_break_the_contract_passes(kind):
    with pytest.raises(ContractBroken, match=f"^{kind.__name__} breaks the law"):
        check_contract(kind(), 3)


def test_the_layer_is_left_as_it_was():
    layer = Dropout(0.5, rngs=nnx.Rngs(0))
    layer.train()
    check_contract(layer, 3)
    assert not layer.deterministic


def test_what_cannot_be_checked_is_refused():
    for no_layer, came in ((GRU(3, 4, rngs=nnx.Rngs(0)), "a GRU"), (Sum, "the class Sum")):
        with pytest.raises(TypeError, match=rf"got {came}; it needs a streamrnn\.Layer"):
            check_contract(no_layer, 3)
    with pytest.raises(TypeError, match="features=40"):
        check_contract(Sum())
    for wrong in ({"features": 0}, {"features": 2.0}, {"features": 3, "tolerance": 0.0}):
        with pytest.raises(ValueError, match="check_contract got features="):
            check_contract(Sum(), **wrong)
    with pytest.raises(ValueError, match=r"draw\(key, \(3, 7, 3\)\) returned the shape \(3,\)"):
        check_contract(Sum(), 3, draw=lambda key, shape: jnp.zeros(3))
