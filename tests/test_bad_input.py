"""Arguments of the wrong kind get an error that says what came, what is needed and what to do."""

import pytest

import streamrnn
from streamrnn.audio.resample import StreamingResampler


@pytest.fixture(scope="module")
def model():
    return streamrnn.load("vad")


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"treshold": 0.5}, TypeError, "no setting 'treshold'. Did you mean threshold\\? .* min_speech_ms"),
        ({"loudness": 0.5}, TypeError, "no setting 'loudness'. Settings of this model are: threshold,"),
        ({"threshold": "high"}, TypeError, "threshold is 'high', a text; it must be a number, such as 0.5"),
    ],
)
def test_streams_say_what_is_wrong_with_their_arguments(model, wrong, error, says):
    with pytest.raises(error, match=says):
        streamrnn.Listener(model, **wrong)
    with pytest.raises(error, match=says):
        streamrnn.Pool(model, capacity=1).open(**wrong)


# Not of a stream: in tests, the JAX rooms check the types of every call before their own code does.
def test_a_rate_is_a_number():
    with pytest.raises(ValueError, match="sample rate is '8000'; it must be a number"):
        StreamingResampler("8000", 16_000)


def test_a_model_is_printed_in_a_line(model):
    assert (
        repr(model)
        == str(model)
        == ("VoiceActivity(224,481 parameters, Sound(sample_rate=16000, hop_samples=160), labels speech)")
    )
