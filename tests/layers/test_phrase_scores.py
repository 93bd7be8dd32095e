"""The search for fixed phrases: that of the decoder of typed phrases, as a layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.decisions.phrase_grammar import typed
from streamrnn.decisions.phrase_graph import graph_of
from streamrnn.decisions.phrase_search import Search, costs
from streamrnn.layers import PhraseScores, RecentMax
from streamrnn.models import Wake, WakeSettings
from streamrnn.models.phonemes import PhonemesSettings
from streamrnn.phonetics import PHONEMES
from streamrnn.phonetics.pronunciations import ways_of, words_of

LABELS = ("", *PHONEMES)
LOWEST = -50.0


def log_p(frames: int, seed: int = 0, sharp: float = 4.0) -> np.ndarray:
    logits = sharp * np.random.default_rng(seed).standard_normal((2, frames, len(LABELS)))
    return np.asarray(jax.nn.log_softmax(logits.astype(np.float32)))


def scores_of(phrases: list[str], x: np.ndarray, **settings: float) -> np.ndarray:
    ways = [[[LABELS.index(sound) for sound in way] for way in ways_of(words_of(phrase))] for phrase in phrases]
    return np.asarray(aligned(PhraseScores(ways, len(LABELS), lowest=LOWEST, **settings), jnp.asarray(x)))


def test_it_is_the_search_of_typed_phrases():
    """No two equal sounds follow each other in these, so that all their sounds count in both."""
    phrases, x = ["computer", "hey jarvis", "tomato"], log_p(80)
    graph = graph_of([typed(phrase) for phrase in phrases], None, LABELS)
    search, expected = Search.fresh(len(x), graph), []
    for frame in range(x.shape[1]):
        search.advance(graph, costs(x[:, frame]), np.full(len(x), frame))
        expected.append(search.reached.means(graph.ends)[0])
    found = scores_of(phrases, x)
    assert found.max() > -4
    np.testing.assert_allclose(found, np.maximum(np.stack(expected, 1), LOWEST), atol=2e-4)


def test_a_phrase_that_was_said_scores_nothing_and_another_one_less():
    said = [LABELS.index(sound) for sound in ("K", "AE", "T")]
    x = np.full((1, 12, len(LABELS)), -20.0, np.float32)
    x[0, :, 0] = 0
    for at, symbol in zip((2, 4, 5), said, strict=True):
        x[0, at, [0, symbol]] = -20, 0
    found = scores_of(["cat", "cap", "kit"], x, waiting=0.0)[0]
    assert found[:5].max() < -1 and found[5, 0] == pytest.approx(0, abs=1e-6)
    # One sound of three was another: at most `dearest` nats of it count.
    np.testing.assert_allclose(found[5, 1:], -8 / 3, atol=1e-5)
    # A word ends where it ended; one that goes on in silence is no worse.
    assert found[-1, 0] == pytest.approx(0, abs=1e-6)


def test_two_equal_sounds_are_said_twice_or_run_together():
    x = np.full((1, 6, 3), -20.0, np.float32)
    x[0, :, 0] = 0
    x[0, [1, 2], 0], x[0, [1, 2], 1] = -20, 0
    apart = x.copy()
    apart[0, :, :] = x[0, [0, 1, 0, 2, 0, 0]]
    layer = PhraseScores([[[1, 1]]], 3, waiting=0.0)
    together, twice = (float(np.asarray(aligned(layer, jnp.asarray(each))).max()) for each in (x, apart))
    assert twice == pytest.approx(0, abs=1e-6) and together == pytest.approx(-(2.5 + 0.5) / 2, abs=1e-6)


def test_the_last_frames_have_a_maximum_of_their_own():
    x = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    expected = np.stack([x[:, max(0, t - 3) : t + 1].max(axis=1) for t in range(9)], axis=1)
    np.testing.assert_array_equal(aligned(RecentMax(4, 3), jnp.asarray(x)), expected)


def test_phrases_and_sounds_that_are_none_are_refused():
    for ways in ([], [[]], [[[]]]):
        with pytest.raises(ValueError, match="each phrase needs at least one"):
            PhraseScores(ways, 3)
    with pytest.raises(ValueError, match=r"symbols from 1 to 3; they must be 1 to 2"):
        PhraseScores([[[1, 3]]], 3)
    with pytest.raises(ValueError, match=r"sounds has 2 entries for 1 words"):
        WakeSettings(words=("a",), sounds=("AH", "B IY"))
    with pytest.raises(ValueError, match=r"sounds has 'QQ', which is unknown. There are: AA"):
        WakeSettings(words=("a",), sounds=("AH QQ",))
    with pytest.raises(ValueError, match=r"search_weight is 0"):
        WakeSettings(words=("a",), sounds=("AH",), search_weight=0)


def test_a_word_is_heard_where_search_and_head_both_hear_it():
    """A head that is always sure leaves the search to decide, and one that never is lets nothing through."""
    small = {"mels": 8, "channels": 4, "hidden": 5, "layers": 1, "lookahead_frames": 1}
    settings = WakeSettings(words=("cat",), sounds=("K AE T",), head=3, **small)
    decide = Wake(settings, rngs=nnx.Rngs(0)).network.layers[1]
    decide.eval()
    frames = np.random.default_rng(0).standard_normal((1, 30, 5)).astype(np.float32)
    found = np.asarray(aligned(decide, jnp.asarray(frames)))
    assert found.shape == (1, 30, 2) and (found[..., 0] == 0).all()
    last = decide.head.layers[-1]
    last.bias[...] = last.bias[...] + np.array([0, 30], np.float32)
    np.testing.assert_allclose(np.asarray(aligned(decide, jnp.asarray(frames)))[..., 1], found[..., 1] + 30, atol=1e-4)
    assert PhonemesSettings().symbols == settings.symbols
