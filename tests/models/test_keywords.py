"""Keyword models that listen through the encoder of a model of phonemes."""

import dataclasses

import pytest
from flax import nnx

from streamrnn.models import Keywords, KeywordsSettings, Phonemes, PhonemesSettings

SIZES = {"sample_rate": 2000, "hop_samples": 50, "window_samples": 100, "mels": 8, "hidden": 12, "layers": 1}
LISTENING = KeywordsSettings(words=("low",), encoder=True, channels=(8, 8), lookahead_frames=8, **SIZES)


def test_an_encoder_takes_the_weights_of_a_model_of_phonemes():
    phonemes = Phonemes(PhonemesSettings(channels=8, lookahead_frames=2, **SIZES), rngs=nnx.Rngs(1))
    model = Keywords(LISTENING, rngs=nnx.Rngs(0))
    assert model.initialise_from(phonemes) == ["network.layers.1.bias", "network.layers.1.kernel"]
    assert model.lookahead == phonemes.lookahead and model.frame_s == phonemes.frame_s


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core": "tcn"}, "core is tcn; with the encoder it must be one of elman, gru"),
        ({"memory_s": 3.0}, "memory_s is 3.0; the encoder uses levels above the noise floor"),
        ({"lookahead_frames": 10}, "lookahead_frames is 10; it must be a multiple of 4"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LISTENING, **change)


def test_a_look_ahead_of_half_a_frame_is_refused():
    with pytest.raises(ValueError, match="lookahead_frames is 9; it must be a multiple of 2"):
        KeywordsSettings(words=("low",), lookahead_frames=9)
