"""Transcription models: the transducer's search finds what its training scores, and outputs become words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.decisions import transcript
from streamrnn.models import CTC, CTCSettings, Transducer, TransducerSettings
from streamrnn.models.transcription import GreedySearch
from streamrnn.pretrained import load, save

TINY = {
    "symbols": ("yes", "no"),
    "mels": 8,
    "memory_s": 4.0,
    "channels": 6,
    "hidden": 8,
    "layers": 1,
    "lookahead_frames": 1,
}
BATCH, FRAMES, FEATURES, SYMBOLS, MOST = 2, 12, 4, 2, 2


@pytest.fixture(scope="module")
def search() -> GreedySearch:
    search = GreedySearch(FEATURES, SYMBOLS, joint=8, context=2, symbols_per_frame=MOST, rngs=nnx.Rngs(0))
    # Untrained, a joint network likes one symbol throughout; with larger weights it chooses now this, now that.
    for weights in (search.heard.kernel, search.out.kernel, *(embed.embedding for embed in search.said)):
        weights[...] *= 4
    return search


@pytest.fixture(scope="module")
def frames() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (BATCH, FRAMES, FEATURES))


@pytest.fixture(scope="module")
def found(search, frames) -> tuple[np.ndarray, np.ndarray]:
    """Symbol ids and their scores, [batch, frames, symbols per frame] each."""
    y = np.asarray(search.scan(search.init_state(BATCH), frames)[1])
    return y[..., :MOST].astype(int), y[..., MOST:]


def test_the_search_takes_the_likeliest_way_through_the_joint_network_that_training_sees(search, frames, found):
    ids, scores = found
    assert {*ids.ravel()} == {0, 1, 2}
    said = [[i for i in row.ravel() if i] for row in ids]
    labels = np.array([row + [0] * (ids[0].size - len(row)) for row in said], np.int32)
    p = np.asarray(jax.nn.softmax(search.joint_logits(frames, jnp.asarray(labels))))
    assert p.shape == (BATCH, FRAMES, ids[0].size + 1, SYMBOLS + 1)
    for row in range(BATCH):
        so_far = 0
        for frame in range(FRAMES):
            for place in range(MOST):
                best = int(p[row, frame, so_far].argmax())
                assert ids[row, frame, place] == best
                assert scores[row, frame, place] == pytest.approx(p[row, frame, so_far, best] if best else 0, abs=1e-5)
                if not best:
                    break
                so_far += 1


def test_behind_the_last_symbol_of_a_frame_there_is_none(found):
    ids, scores = found
    assert not np.any((ids[..., 0] == 0) & (ids[..., 1] > 0))
    assert np.all((scores > 0) == (ids > 0))


def test_the_joint_network_of_a_node_knows_nothing_of_later_labels(search, frames):
    one, other = (search.joint_logits(frames, jnp.array([labels] * BATCH)) for labels in ([1, 2, 2], [1, 2, 1]))
    np.testing.assert_array_equal(one[:, :, :3], other[:, :, :3])
    assert np.any(one[:, :, 3] != other[:, :, 3])


def test_a_penalty_on_blank_brings_more_symbols_and_leaves_their_scores(search, frames, found):
    eager = GreedySearch(FEATURES, SYMBOLS, 8, 2, MOST, blank_penalty=100.0, rngs=nnx.Rngs(0))
    nnx.update(eager, nnx.state(search))
    y = np.asarray(eager.scan(eager.init_state(BATCH), frames)[1])
    assert np.all(y[..., :MOST] > 0)
    # Up to the first blank of the patient search, both go the same way.
    for row in range(BATCH):
        said = [bool(i) for i in found[0][row].ravel()]
        first_blank = said.index(False)
        np.testing.assert_allclose(
            y[row, :, MOST:].ravel()[:first_blank], found[1][row].ravel()[:first_blank], rtol=1e-5
        )
    assert 0 < y[..., MOST:].min() < 0.5


@pytest.fixture(scope="module")
def sound() -> jax.Array:
    return 0.1 * jax.random.normal(jax.random.key(0), (1, 16, 160))


def test_outputs_of_both_models_become_words_of_their_symbols():
    ctc, transducer = (
        CTC(CTCSettings(**TINY), rngs=nnx.Rngs(0)),
        Transducer(TransducerSettings(**TINY), rngs=nnx.Rngs(0)),
    )
    posteriors = np.eye(3)[[0, 2, 2, 0, 1, 0]]
    tokens = np.array([[0, 0, 0, 0], [2, 1, 0.9, 0.8]])
    for model, outputs in ((ctc, posteriors), (transducer, tokens)):
        decoder = model.decoder(endpoint_ms=200)
        events = decoder.push(outputs) + decoder.finish(1.0)
        assert transcript(events) == "no yes"
        assert decoder.settings.endpoint_ms == 200


def test_the_posteriors_of_ctc_are_those_of_blank_and_every_symbol(sound):
    model = CTC(CTCSettings(**TINY), rngs=nnx.Rngs(0))
    y = model.readout(nnx.jit(aligned)(model, sound))
    assert y.shape == (1, 4, 3) and model.out_features == 3
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def test_a_saved_transducer_comes_back_with_its_alphabet_and_its_joint_network(sound, tmp_path):
    model = Transducer(TransducerSettings(joint=6, **TINY), rngs=nnx.Rngs(0))
    model.eval()
    save(model, tmp_path / "small")
    loaded = load(tmp_path / "small")
    assert loaded.settings == model.settings
    assert loaded.settings.alphabet.encode("no yes") == [2, 1]
    joint = nnx.jit(Transducer.joint_logits)
    labels = jnp.array([[1, 2]])
    np.testing.assert_array_equal(joint(loaded, sound, labels), joint(model, sound, labels))


@pytest.mark.parametrize(
    ("settings", "wrong"), [({"symbols": ("a", "a")}, "symbols"), ({"joint": 0}, "joint"), ({"context": 0}, "context")]
)
def test_settings_that_make_no_model_are_named(settings, wrong):
    with pytest.raises(ValueError, match=wrong):
        TransducerSettings(**settings)


def test_a_transducer_begins_as_the_greedy_search_of_the_ctc_model_that_it_starts_from():
    ctc = CTC(CTCSettings(**TINY), rngs=nnx.Rngs(0))
    ctc.network.layers[1].kernel[...] *= 8
    transducer = Transducer(TransducerSettings(**TINY, joint=8, symbols_per_frame=1), rngs=nnx.Rngs(1))
    transducer.initialise_from(ctc)
    for embed in transducer.network.layers[1].said:
        embed.embedding[...] *= 0
    for model in (ctc, transducer):
        model.eval()
    x = jax.random.normal(jax.random.key(0), (2, 400, ctc.hop_samples)) / 10
    wanted = np.argmax(np.asarray(aligned(ctc, x)), axis=-1)
    assert len(np.unique(wanted)) > 1
    found = np.argmax(np.asarray(transducer.joint_logits(x, jnp.zeros((2, 0), jnp.int32)))[:, :, 0], axis=-1)
    assert np.mean(found == wanted) > 0.95


def test_a_transducer_of_another_width_takes_the_encoder_alone():
    ctc = CTC(CTCSettings(**TINY), rngs=nnx.Rngs(0))
    wide, fresh = (Transducer(TransducerSettings(**TINY, joint=9), rngs=nnx.Rngs(1)) for _ in range(2))
    wide.initialise_from(ctc)
    encoders = [jax.tree.leaves(nnx.state(model.network.layers[0], nnx.Param)) for model in (ctc, wide)]
    for given, taken in zip(*encoders, strict=True):
        np.testing.assert_array_equal(given, taken)
    np.testing.assert_array_equal(wide.network.layers[1].heard.kernel[...], fresh.network.layers[1].heard.kernel[...])
