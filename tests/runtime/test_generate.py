"""Generation: what is drawn is fed back, and drawn as it was asked for."""

from itertools import islice

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn import Model, Stream, generate
from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Embedding, Lookahead, Recurrent
from streamrnn.models import Music, MusicSettings
from streamrnn.runtime import draw
from streamrnn.signals import Series

IDS = 6
SIGNAL = Series(1, 10.0, "int32", ids=IDS)


def next_item(*layers, out=IDS, signal=SIGNAL) -> Model:
    rngs = nnx.Rngs(0)
    network = Chain(Embedding(IDS, 3, rngs=rngs), *layers, Recurrent(GRU(3, 8, rngs=rngs)), Dense(8, out, rngs=rngs))
    return Model.of(network, signal=signal, readout="softmax")


@pytest.fixture(scope="module")
def model():
    return next_item()


@pytest.fixture(scope="module")
def counting():
    """After id i comes i + 1, for sure."""
    network = Chain(Embedding(IDS, IDS, rngs=nnx.Rngs(0)), Dense(IDS, IDS, rngs=nnx.Rngs(0)))
    network.layers[0].vectors[...] = 50 * jnp.roll(jnp.eye(IDS), 1, axis=1)
    network.layers[1].kernel[...] = jnp.eye(IDS)
    return Model.of(network, signal=SIGNAL, readout="softmax")


def test_what_is_drawn_is_fed_back(counting):
    assert list(generate(counting, [2], 8)) == [3, 4, 5, 0, 1, 2, 3, 4]


def test_equal_seeds_draw_equal_items_and_others_do_not(model):
    drawn = [list(generate(model, [1, 2], 40, seed=seed)) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 40 and set(drawn[0]) <= set(range(IDS))


def test_a_temperature_of_zero_takes_the_likeliest(model):
    stream = Stream(model)
    likeliest = int(np.argmax(stream.process(np.array([1, 2], np.int32))[-1]))
    assert next(generate(model, [1, 2], 1, temperature=0, seed=9)) == likeliest
    assert next(generate(model, [1, 2], 1, temperature=1e-320, seed=9)) == likeliest
    assert next(generate(model, [1, 2], 1, top_k=1, seed=9)) == likeliest


def test_a_seed_is_0_or_above(model):
    with pytest.raises(ValueError, match="seed=-1; it must be 0 or above"):
        next(generate(model, [1, 2], 1, seed=-1))


@pytest.mark.parametrize("temperature", [-1.0, np.nan, np.inf])
def test_a_temperature_is_a_finite_number_from_0_on(model, temperature):
    with pytest.raises(ValueError, match="0 or more and finite"):
        generate(model, [1, 2], 1, temperature=temperature)


def test_a_stream_goes_on_from_what_it_was_fed(counting):
    stream = Stream(counting)
    first = list(islice(generate(stream, [0], 5), 3))
    assert first == [1, 2, 3]
    assert list(generate(stream, [5], 2)) == [0, 1]


def test_items_are_drawn_by_their_probabilities_and_temperature():
    p, rng = np.array([0.1, 0.2, 0.7]), np.random.default_rng(0)
    drawn = np.bincount([draw(p, rng=rng) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(drawn, p, atol=0.03)
    cooler = np.bincount([draw(p, 0.5, rng=rng) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(cooler, p**2 / np.sum(p**2), atol=0.03)
    assert {draw(p, top_k=2, rng=rng) for _ in range(200)} == {1, 2}


def test_what_is_impossible_is_drawn_at_no_temperature():
    rng = np.random.default_rng(0)
    assert {draw(np.array([0.0, 0.5, 0.5, 0.0]), 1000.0, rng=rng) for _ in range(200)} == {1, 2}


def test_nothing_to_begin_from_is_refused_before_anything_is_drawn(model):
    with pytest.raises(ValueError, match="empty prompt: there is nothing to start from"):
        generate(model, [])
    with pytest.raises(ValueError, match="ids range from 6 to 6; this model knows 0 to 5"):
        generate(model, [6])
    with pytest.raises(TypeError, match="frames are float64; this model takes whole numbers"):
        generate(model, [1.5])


@pytest.mark.parametrize("wrong", [{"items": -1}, {"temperature": -0.1}, {"top_k": 0}])
def test_arguments_out_of_range_are_refused(model, wrong):
    with pytest.raises(ValueError, match="top_k is 1 or more"):
        generate(model, [0], **wrong)


def test_models_that_give_no_next_item_are_refused(model):
    floats = Model.of(Dense(1, 3, rngs=nnx.Rngs(0)), signal=Series(1, 10.0), readout="softmax")
    with pytest.raises(TypeError, match="needs a model of a Series of one id per frame"):
        generate(floats, [0])
    for other in (next_item(out=4), next_item(Lookahead(1))):
        with pytest.raises(TypeError, match="needs the probabilities of the next id"):
            generate(other, [0])


def test_a_model_that_draws_its_frames_goes_on_by_itself():
    model, given = Music(MusicSettings(keys=5, hidden=4, head=4), rngs=nnx.Rngs(0)), np.eye(5, dtype=np.float32)[:2]
    drawn = [np.array(list(generate(model, given, 6, seed=seed))) for seed in (3, 3, 4)]
    assert drawn[0].shape == (6, 5) and set(np.unique(drawn[0])) == {0, 1}
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    # What was drawn was fed back: a stream that is fed the same draws the same.
    stream = Stream(model)
    [first] = generate(stream, given, 1, seed=3)
    np.testing.assert_array_equal(first, drawn[0][0])
    # The likeliest is no less likely than others that are drawn.
    output = Stream(model).process(given)[-1]
    likeliest = model.draw(output, np.random.default_rng(0), 0)
    others = np.array([model.draw(output, np.random.default_rng(n)) for n in range(5)])
    told = np.tile(output, (6, 1))
    assert model.log_probability(told, np.array([likeliest, *others])).argmax() == 0
    with pytest.raises(ValueError, match="top_k"):
        generate(model, given, 1, top_k=2)
