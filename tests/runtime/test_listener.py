"""Events: the same ones however the sound is cut, none late, none lost, none beyond the end."""

import asyncio
import threading
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.audio import AudioError, Source
from streamrnn.decisions import Event
from streamrnn.runtime import Listener, listen, run_file_events, utterances

QUICK = {"min_speech_ms": 30, "min_silence_ms": 50}


class WatchedSource(Source):
    """Chunks, and whether the source was closed."""

    def __init__(self, chunks, sample_rate=16_000):
        self.sample_rate, self.chunks, self.closed = sample_rate, chunks, False

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        self.closed = True


async def collected(events):
    return [event async for event in events]


@hypothesis.given(lengths=st.lists(st.sampled_from([0, 1, 160]) | st.integers(0, 8000), max_size=10))
def test_any_chunking_gives_the_same_events(any_model, bursts, cut, hear, lengths):
    sound = bursts(1.5)
    events = hear(Listener(any_model), [sound])
    assert len(events) >= 2
    assert hear(Listener(any_model), cut(sound, lengths)) == events


@pytest.mark.parametrize(("sample_rate", "channels"), [(8_000, 1), (16_000, 1), (16_000, 2), (44_100, 2), (48_000, 1)])
def test_chunks_of_10_ms_and_the_file_at_once_give_the_same_events(
    any_model, bursts, cut, hear, recording, sample_rate, channels
):
    sound = bursts(1.5, sample_rate, channels)
    live = hear(Listener(any_model, sample_rate), cut(sound, [sample_rate // 100] * 149))
    offline = run_file_events(any_model, recording(sound, sample_rate))
    assert len(live) >= 2
    assert [replace(event, score=0.0) for event in offline] == [replace(event, score=0.0) for event in live]
    np.testing.assert_allclose([event.score for event in offline], [event.score for event in live], atol=1e-5)


def test_speech_is_found_where_it_is(loudness, tone_between, hear):
    events = hear(Listener(loudness), [tone_between([(0.5, 1.0), (1.6, 1.8)], 2.4)])
    assert [(event.kind, event.start_s, event.end_s, event.decided_s) for event in events] == [
        # Six frames of speech and the look-ahead are heard before a start, 30 frames of silence before an end.
        ("speech_start", pytest.approx(0.47), None, pytest.approx(0.59)),
        ("speech_end", pytest.approx(0.47), pytest.approx(1.03), pytest.approx(1.33)),
        ("speech_start", pytest.approx(1.57), None, pytest.approx(1.69)),
        ("speech_end", pytest.approx(1.57), pytest.approx(1.83), pytest.approx(2.13)),
    ]
    assert all(event.score > 0.99 for event in events)


def test_an_event_is_sent_with_the_chunk_that_decides_it(any_model, bursts):
    listener, sent = Listener(any_model), []
    for chunk in bursts(1.5).reshape(-1, 160):
        sent += [(event.decided_s, listener.stream.duration_s) for event in listener.feed(chunk)]
    assert len(sent) >= 2
    for decided_s, heard_s in sent:
        assert decided_s == pytest.approx(heard_s)


@pytest.mark.parametrize("samples", [16_000, 16_001, 16_123, 16_159])
def test_speech_up_to_the_last_sample_is_not_lost(loudness, tone_between, hear, recording, samples):
    sound = tone_between([(0.9, 2.0)], 2.0)[:samples]
    for events in (hear(Listener(loudness), [sound]), run_file_events(loudness, recording(sound))):
        start, end = events
        assert (start.kind, end.kind) == ("speech_start", "speech_end")
        assert end.start_s == start.start_s == pytest.approx(0.87)
        assert end.end_s == samples / 16_000


@hypothesis.given(samples=st.integers(0, 24_000), sample_rate=st.sampled_from([16_000, 44_100]))
def test_no_event_reaches_beyond_the_end(any_model, bursts, hear, samples, sample_rate):
    sound = bursts(1.5, sample_rate)[:samples]
    for event in hear(Listener(any_model, sample_rate), [sound]):
        assert 0 <= event.start_s <= (event.end_s or event.start_s) <= samples / sample_rate
        assert event.decided_s <= samples / sample_rate


def test_a_listener_that_hears_nothing_says_nothing(any_model, hear):
    assert hear(Listener(any_model), []) == []


def test_a_second_finish_gives_nothing(loudness, tone_between):
    listener = Listener(loudness)
    listener.feed(tone_between([(0.1, 0.5)], 0.5))
    assert [event.kind for event in listener.finish()] == ["speech_end"]
    assert listener.finish() == []
    assert listener.outputs.shape == (0, 1)


def test_a_finished_listener_takes_no_more_sound_until_it_is_reset(model, bursts, hear):
    sound = bursts(1.2)
    listener = Listener(model)
    events = hear(listener, [sound])
    with pytest.raises(RuntimeError, match=r"Call reset\(\)"):
        listener.feed(sound)
    listener.reset()
    assert listener.outputs.shape == (0, 1)
    assert hear(listener, [sound]) == events


def test_a_reset_in_the_middle_of_speech_forgets_it(loudness, tone_between):
    listener = Listener(loudness)
    assert [event.kind for event in listener.feed(tone_between([(0.1, 0.5)], 0.5))] == ["speech_start"]
    listener.reset()
    assert listener.feed(tone_between([], 1.0)) + listener.finish() == []


def test_a_refused_chunk_leaves_the_events_as_they_were(model, bursts, hear):
    sound = bursts(1.2)
    listener = Listener(model)
    before = listener.feed(sound[:9000])
    with pytest.raises(AudioError, match="NaN or infinite"):
        listener.feed(np.full(160, np.nan, np.float32))
    assert before + hear(listener, [sound[9000:]]) == hear(Listener(model), [sound])


def test_the_outputs_of_the_last_chunk_are_there_for_meters(model, bursts):
    listener = Listener(model)
    listener.feed(bursts(0.2))
    assert listener.outputs.shape == (20 - 3, 1)
    listener.feed(bursts(0.05))
    assert listener.outputs.shape == (5, 1)
    listener.finish()
    assert listener.outputs.shape == (3, 1)


def test_decision_settings_are_overridden_for_one_listener_alone(loudness, tone_between, hear):
    sound = tone_between([(0.2, 0.4), (0.6, 0.8)], 1.0)
    assert len(hear(Listener(loudness), [sound])) == 2
    assert len(hear(Listener(loudness, min_silence_ms=100), [sound])) == 4
    assert hear(Listener(loudness, min_speech_ms=1000), [sound]) == []
    assert len(hear(Listener(loudness), [sound])) == 2


def test_a_decision_setting_that_is_unknown_or_out_of_range_is_refused(model):
    with pytest.raises(TypeError, match="treshold"):
        Listener(model, treshold=0.5)
    with pytest.raises(ValueError, match=r"threshold=1\.5"):
        Listener(model, threshold=1.5)


def test_the_latency_is_that_of_the_stream(model):
    assert Listener(model, 48_000, warm_up=False).latency.algorithmic_ms > Listener(model).latency.algorithmic_ms == 40


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_listening_to_a_file_an_array_or_chunks_gives_the_events_of_a_listener(
    model, bursts, cut, hear, recording, sample_rate
):
    sound = bursts(1.2, sample_rate)
    expected = hear(Listener(model, sample_rate), [sound])
    assert len(expected) >= 4
    assert list(listen(model, recording(sound, sample_rate))) == expected
    assert list(listen(model, sound, sample_rate)) == expected
    assert list(listen(model, iter(cut(sound, [1, 5000, 0, 77])), sample_rate)) == expected


def test_listening_takes_decision_settings(loudness, tone_between):
    sound = tone_between([(0.2, 0.4), (0.6, 0.8)], 1.0)
    assert len(list(listen(loudness, sound, 16_000))) == 2
    assert len(list(listen(loudness, sound, 16_000, **QUICK))) == 4


def test_listening_gives_each_event_before_it_takes_the_next_chunk(loudness, tone_between, cut):
    taken = []
    chunks = (taken.append(i) or chunk for i, chunk in enumerate(cut(tone_between([(0.1, 0.3)], 1.0), [1600] * 9)))
    first = next(iter(listen(loudness, chunks, 16_000)))
    assert (first.kind, taken) == ("speech_start", [0, 1])


def test_async_listening_gives_the_same_events(model, bursts, cut):
    chunks = cut(bursts(1.2), [1000] * 19)
    assert asyncio.run(collected(listen(model, chunks, 16_000))) == list(listen(model, chunks, 16_000))


def test_other_tasks_go_on_while_a_source_waits(loudness, tone_between):
    released = threading.Event()

    def chunks():
        yield tone_between([(0.0, 0.5)], 0.5)
        # A blocked event loop could never release it.
        assert released.wait(timeout=60)
        yield tone_between([], 0.5)

    async def listen_and_release():
        async def release():
            released.set()

        return await asyncio.gather(collected(listen(loudness, chunks(), 16_000)), release())

    events, _ = asyncio.run(listen_and_release())
    assert [event.kind for event in events] == ["speech_start", "speech_end"]


def test_listening_closes_its_source_at_the_end(model, bursts):
    for consume in (list, lambda events: asyncio.run(collected(events))):
        source = WatchedSource([bursts(0.1)])
        consume(listen(model, source))
        assert source.closed


def test_listening_closes_its_source_when_nobody_listens_any_more(loudness, tone_between):
    source = WatchedSource([tone_between([(0.1, 0.3)], 1.0)])
    events = iter(listen(loudness, source))
    assert isinstance(next(events), Event)
    assert not source.closed
    events.close()
    assert source.closed


def test_listening_closes_its_source_when_a_chunk_is_refused(model, bursts):
    source = WatchedSource([bursts(0.1), np.array([np.nan])])
    with pytest.raises(AudioError, match="NaN"):
        list(listen(model, source))
    assert source.closed


@pytest.mark.parametrize("begin", [listen, utterances])
@pytest.mark.parametrize("settings", [{"treshold": 0.5}, {"threshold": 7.0}, {"pre_roll_ms": -1.0}])
def test_a_source_is_closed_where_settings_are_wrong(model, bursts, begin, settings):
    source = WatchedSource([bursts(0.1)])
    with pytest.raises((TypeError, ValueError)):
        begin(model, source, **settings)
    assert source.closed


def test_listening_to_chunks_without_a_sample_rate_says_what_to_pass(model, bursts):
    with pytest.raises(AudioError, match="Pass sample_rate"):
        listen(model, [bursts(0.1)])


def test_a_source_is_listened_to_once(model, bursts):
    hearing = listen(model, bursts(0.2), 16_000)
    list(hearing)
    with pytest.raises(RuntimeError, match=r"Call listen\(\) again"):
        list(hearing)
