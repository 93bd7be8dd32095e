"""Live streams fed with the bytes of telephone lines."""

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError
from streamrnn.audio.encodings import from_bytes, to_bytes
from streamrnn.layers import Dense
from streamrnn.models import Model
from streamrnn.runtime import Listener, Pool, Stream
from streamrnn.signals import Series


@pytest.fixture(params=["mulaw", "alaw"])
def law(request) -> str:
    return request.param


@pytest.fixture
def line(law, tone_between) -> tuple[bytes, np.ndarray]:
    """A call at 8 kHz: the bytes on the line, and the same as int16."""
    data = to_bytes(tone_between([(0.3, 0.8)], 1.2, 8000), law)
    return data, from_bytes(data, law)


def packets(data, count=160):
    return [data[start : start + count] for start in range(0, len(data), count)]


def test_a_listener_hears_what_the_line_carries(loudness, law, line):
    data, samples = line
    telephone, plain = Listener(loudness, 8000, encoding=law), Listener(loudness, 8000)
    heard = [event for packet in packets(data) for event in telephone.feed(packet)] + telephone.finish()
    assert heard == plain.feed(samples) + plain.finish()
    assert [event.kind for event in heard] == ["speech_start", "speech_end"]


def test_lost_packets_are_skipped_and_times_stay_true(loudness, law, line):
    telephone, whole = Listener(loudness, 8000, encoding=law), Listener(loudness, 8000)
    quiet = 0.3 * 8000
    heard = telephone.skip(int(quiet)) + telephone.feed(line[0][int(quiet) :]) + telephone.finish()
    expected = whole.feed(line[1]) + whole.finish()
    assert [(event.kind, event.start_s, event.end_s) for event in heard] == [
        (event.kind, event.start_s, event.end_s) for event in expected
    ]
    assert telephone.duration_s == whole.duration_s


def test_arrays_of_samples_are_heard_as_they_are(loudness, law, line):
    telephone, plain = Listener(loudness, 8000, encoding=law), Listener(loudness, 8000)
    assert telephone.feed(line[1]) + telephone.finish() == plain.feed(line[1]) + plain.finish()


def test_streams_of_a_pool_have_encodings_of_their_own(loudness, line, law):
    pool = Pool(loudness, capacity=2, queue_s=2.0, warm_up=False)
    telephone, plain = pool.open(8000, encoding=law), pool.open(8000)
    telephone.feed(line[0])
    plain.feed(line[1])
    events = {telephone: [], plain: []}
    while answers := pool.tick():
        for answer in answers:
            events[answer.stream] += answer.events
    assert events[telephone] == events[plain] != []


def test_half_a_sample_is_refused_as_a_whole(loudness):
    with pytest.raises(AudioError, match="multiple of 4"):
        Stream(loudness, encoding="f32le", warm_up=False).process(b"123")


def test_a_series_has_no_encoding():
    model = Model.of(Dense(1, 1, rngs=nnx.Rngs(0)), signal=Series(1, 10.0))
    with pytest.raises(TypeError, match="encoding are for sound"):
        Stream(model, encoding="mulaw")
