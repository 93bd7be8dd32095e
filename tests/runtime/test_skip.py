"""Time in which nothing came: events keep their times, alone and in a pool."""

import numpy as np
import pytest

from streamrnn.runtime import Enhancer, Listener, Pool, QueueFull, Stream


def spoken(loudness, tone_between):
    """Speech, 1.5 s of which no packet comes, speech."""
    return tone_between([(0.2, 0.5)], 0.6), tone_between([(0.1, 0.4)], 1.0)


@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_events_after_a_gap_have_their_true_times(loudness, tone_between, hear, rate):
    first, last = tone_between([(0.2, 0.5)], 0.6, rate), tone_between([(0.1, 0.4)], 1.0, rate)
    listener = Listener(loudness, rate)
    events = listener.feed(first)
    skipped = listener.skip(rate * 3 // 2)
    assert [event.kind for event in skipped] == ["speech_end"]
    assert len(listener.outputs) == 150
    events += skipped + hear(listener, [last])
    assert listener.duration_s == pytest.approx(3.1)
    gap = np.zeros(rate * 3 // 2, np.float32)
    assert events == hear(Listener(loudness, rate), [first, gap, last])


def test_a_pool_hears_a_gap_as_a_listener_does(loudness, tone_between, hear):
    parts = tone_between([(0.2, 0.5)], 0.6), tone_between([(0.1, 0.4)], 1.0)
    pool = Pool(loudness, capacity=1, queue_s=3.5, warm_up=False)
    stream, events = pool.open(), []
    stream.feed(parts[0])
    stream.skip(24_000)
    stream.feed(parts[1])
    stream.finish()
    while answers := pool.tick():
        events += [event for answer in answers for event in answer.events]
    listener = Listener(loudness)
    expected = listener.feed(parts[0]) + listener.skip(24_000) + hear(listener, [parts[1]])
    assert events == expected


def test_a_gap_that_does_not_fit_is_refused_as_a_whole(loudness):
    stream = Pool(loudness, capacity=1, queue_s=0.5, warm_up=False).open()
    with pytest.raises(QueueFull, match="10000000000"):
        stream.skip(160_000_000_000_000)
    assert stream.duration_s == stream.queued_s == 0


def test_a_series_is_padded_where_frames_are_missing(of_readings, frames, run):
    whole, stream = frames(of_readings, 9), Stream(of_readings)
    gap = np.full((7, 4), of_readings.padding, np.float32)
    outputs = [stream.process(whole[:5]), stream.skip(7), stream.process(whole[5:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(outputs), run(Stream(of_readings), [whole[:5], gap, whole[5:]]))


def test_sound_stays_in_its_place(bursts):
    from flax import nnx

    from streamrnn.models import Denoising, DenoisingSettings

    denoiser = Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))
    enhancer, sound = Enhancer(denoiser, 8000), bursts(0.2, 8000)
    given = [enhancer.process(sound), enhancer.skip(1234), enhancer.process(sound), enhancer.flush()]
    assert sum(map(len, given)) == 2 * len(sound) + 1234


@pytest.mark.parametrize("wrong", [-1, True])
def test_no_time_passes_backwards_or_in_parts(loudness, wrong):
    pool = Pool(loudness, capacity=1, warm_up=False)
    for skip in (Stream(loudness).skip, pool.open().skip):
        with pytest.raises(ValueError, match="whole number of samples or frames"):
            skip(wrong)
    assert len(Stream(loudness).skip(0)) == 0
