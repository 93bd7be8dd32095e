"""The shipped model on every recording: one list of events, whichever way the sound takes."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.audio import AudioFile
from streamrnn.runtime import Snapshot, run_file_events

SAMPLES = Path(__file__).parents[1] / "audio_samples"
RECORDINGS = sorted(path for path in SAMPLES.iterdir() if path.suffix in (".flac", ".ogg", ".wav"))


@pytest.fixture(scope="module")
def vad():
    return streamrnn.load("vad")


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def sound(path):
    """(samples, sample rate) as the file has them, float32[n] or [n, channels]."""
    with AudioFile(path) as file:
        return np.concatenate(list(file.chunks(file.sample_rate))), file.sample_rate


@pytest.fixture(scope="module")
def events(vad, sound):
    """The events of the whole recording in one chunk."""
    samples, sample_rate = sound
    return heard(streamrnn.Listener(vad, sample_rate), [samples])


def heard(listener, chunks):
    events = [event for chunk in chunks for event in listener.feed(chunk)]
    return events + listener.finish()


def assert_close(events, expected):
    """The same decisions at the same times; scores may differ by what rounding does to them."""
    assert [(event.kind, event.label) for event in events] == [(event.kind, event.label) for event in expected]
    for event, other in zip(events, expected, strict=True):
        assert (event.start_s, event.decided_s) == pytest.approx((other.start_s, other.decided_s), abs=1e-6)
        assert event.end_s == pytest.approx(other.end_s, abs=1e-6)
        assert event.score == pytest.approx(other.score, abs=1e-3)


def test_chunks_of_10_ms_give_the_events_of_the_recording_at_once(vad, sound, events):
    samples, sample_rate = sound
    cuts = np.arange(sample_rate // 100, len(samples), sample_rate // 100)
    assert heard(streamrnn.Listener(vad, sample_rate), np.split(samples, cuts)) == events


def test_random_chunks_give_the_events_of_the_recording_at_once(vad, sound, events):
    samples, sample_rate = sound
    cuts = np.sort(np.random.default_rng(0).integers(0, len(samples), 40))
    assert heard(streamrnn.Listener(vad, sample_rate), np.split(samples, cuts)) == events


def test_listening_to_the_file_gives_the_events_of_the_recording_at_once(vad, path, events):
    assert list(streamrnn.listen(vad, path)) == events


def test_the_offline_scan_gives_the_events_of_the_live_stream(vad, path, events):
    assert_close(run_file_events(vad, path), events)


def test_a_snapshot_in_the_middle_changes_no_event(vad, sound, events):
    samples, sample_rate = sound
    middle = len(samples) // 2 + 7
    first, second = streamrnn.Listener(vad, sample_rate), streamrnn.Listener(vad, sample_rate)
    before = first.feed(samples[:middle])
    second.restore(Snapshot.from_bytes(first.snapshot().to_bytes()))
    assert before + heard(second, [samples[middle:]]) == events


def test_the_events_are_the_expected_ones(path, events):
    expected = json.loads((SAMPLES / "expected" / f"{path.stem}.json").read_text())
    assert_close(events, [streamrnn.Event(**event) for event in expected])


def test_events_come_in_order_and_within_the_recording(sound, events):
    samples, sample_rate = sound
    duration_s = len(samples) / sample_rate
    assert [event.kind for event in events] == ["speech_start", "speech_end"] * (len(events) // 2)
    assert [event.decided_s for event in events] == sorted(event.decided_s for event in events)
    assert all(0 <= event.start_s < (event.end_s or event.decided_s) <= duration_s for event in events)


def test_scores_lie_between_the_off_threshold_and_1(vad, events):
    assert all(vad.decision.resolved_off_threshold <= event.score <= 1 for event in events)


def test_the_shipped_model_is_as_small_and_as_quick_as_promised(vad):
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(vad, nnx.Param)))
    assert parameters <= 250_000
    assert vad.algorithmic_latency_ms <= 40
    assert (vad.frame_s, vad.sample_rate) == (0.01, 16_000)
