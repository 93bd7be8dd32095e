"""Snapshots as bytes: safe to read, whoever sent them, and refused where a stream cannot go on from them."""

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load, save

from streamrnn.models import (
    CTC,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Keywords,
    KeywordsSettings,
    Transducer,
    TransducerSettings,
)
from streamrnn.runtime import Enhancer, Listener, Pool, Snapshot, Stream
from streamrnn.runtime.snapshots import KEY, _digest, _metadata

SMALL = {"mels": 8, "hidden": 5}
ODD_TYPES = '{"format": 1, "dtypes": {"state/0": "finfo"}}'


def keywords(words=("yes", "no"), **changed):
    return Keywords(KeywordsSettings(words=words, channels=(6, 6), **SMALL | changed), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def listeners(model, bursts):
    """Each kind of decoder, in the middle of sound: small models whose events come soon."""
    small = SMALL | {"channels": 4, "layers": 1, "lookahead_frames": 1, "symbols": ("a", "b", " ")}
    made = {
        "speech": Listener(model),
        "keywords": Listener(keywords(), threshold=0.1),
        "greedy": Listener(CTC(CTCSettings(**small), rngs=nnx.Rngs(0))),
        "beam": Listener(CTC(CTCSettings(**small), rngs=nnx.Rngs(0)), beam_width=4),
        "tokens": Listener(Transducer(TransducerSettings(joint=5, **small), rngs=nnx.Rngs(0))),
    }
    for listener in made.values():
        listener.feed(bursts(0.7))
    return made


def changed(data, path, value):
    """The bytes with another value at a path of the JSON, and a digest that fits."""
    arrays, (_, text) = load(data), _metadata(data)
    fields = json.loads(text)
    place = fields
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    text = json.dumps(fields)
    return save(arrays, {KEY: f"{_digest(text, arrays)} {text}"})


def leaves(tree, path=()):
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in children:
        yield (*path, name)
        yield from leaves(value, (*path, name))


@pytest.mark.parametrize("kind", ["speech", "keywords", "greedy", "beam", "tokens"])
def test_bytes_hold_all_that_a_listener_remembers(listeners, bursts, kind):
    listener = listeners[kind]
    before = listener.snapshot()
    data = before.to_bytes()
    assert Snapshot.from_bytes(bytearray(data)).to_bytes() == data
    rest = listener.feed(bursts(0.5)) + listener.finish()
    listener.restore(Snapshot.from_bytes(data))
    assert listener.feed(bursts(0.5)) + listener.finish() == rest
    listener.restore(before)


@hypothesis.given(at=st.floats(0, 1), to=st.none() | st.integers(0, 255))
def test_bytes_that_were_cut_off_or_changed_are_refused(listeners, at, to):
    data = listeners["speech"].snapshot().to_bytes()
    place = int(at * (len(data) - 1))
    wrong = data[:place] if to is None else data[:place] + bytes([to]) + data[place + 1 :]
    hypothesis.assume(wrong != data)
    try:
        found = Snapshot.from_bytes(wrong)
    except ValueError:
        return
    # A header may be written in more than one way, with the same meaning.
    assert found.to_bytes() == data


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"", "are not a snapshot"),
        (b"\x80\x04K\x01.", "are not a snapshot"),
        (save({"weights": np.zeros(3)}), "are not a snapshot"),
        (save({}, {KEY: " " + "[" * 100_000}), "are not a snapshot"),
        (save({}, {KEY: " {}"}), "are not a snapshot"),
        (save({}, {KEY: ' {"format": 2}'}), "format 2; this version reads up to 1. Upgrade streamrnn"),
        (save({}, {KEY: ' {"format": 1}'}), "changed in transit"),
        (save({}, {KEY: _digest('{"format": 1}', {}) + ' {"format": 1}'}), "The snapshot needs fingerprint"),
        (save({}, {KEY: _digest(ODD_TYPES, {}) + f" {ODD_TYPES}"}), "types .* are not known here"),
    ],
)
def test_bytes_of_something_else_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Snapshot.from_bytes(wrong)


def test_bytes_that_are_too_many_are_not_read(listeners):
    data = listeners["speech"].snapshot().to_bytes()
    with pytest.raises(ValueError, match=f"the limit is {len(data) - 1}"):
        Snapshot.from_bytes(data, most_bytes=len(data) - 1)


@pytest.mark.parametrize("kind", ["speech", "keywords", "greedy", "beam", "tokens"])
def test_whatever_a_crafted_snapshot_holds_is_refused_or_harmless(listeners, bursts, kind):
    listener = listeners[kind]
    kept = listener.snapshot()
    data = kept.to_bytes()
    # Both ways of restoring go through the same checks; the pool's is what strangers reach.
    paths = list(leaves(json.loads(_metadata(data)[1])))
    assert len(paths) > 15
    for path in paths:
        for value in (None, True, -5, 10**30, float("nan"), "x" * 30, [[1, 2]], {"x": 1}):
            try:
                listener.restore(Snapshot.from_bytes(changed(data, path, value)))
            except ValueError:
                continue
            # It means something: then it may say anything, but not fail.
            if path != ("flushed",):
                listener.feed(bursts(0.1))
            listener.finish()
    listener.restore(kept)


def test_swapped_words_and_other_settings_are_another_model(bursts):
    snapshot = Stream(keywords(("yes", "no"))).snapshot()
    for other in (keywords(("no", "yes")), keywords(("yes", "on")), keywords(floor=9.0), keywords(memory_s=9.0)):
        with pytest.raises(ValueError, match="Restore it into a stream of the model that it was taken from"):
            Stream(other).restore(snapshot)
    Stream(keywords(("yes", "no"))).restore(snapshot)


def test_other_decision_settings_are_named(model, bursts, hear):
    first, second = Listener(model, threshold=0.7), Listener(model)
    first.feed(bursts(0.3))
    before = second.feed(bursts(0.3))
    with pytest.raises(ValueError, match=r"Make the stream with threshold=0\.7\."):
        second.restore(first.snapshot())
    assert before + hear(second, []) == hear(Listener(model), [bursts(0.3)])
    pooled = Pool(model, capacity=1, warm_up=False).open(threshold=0.7)
    pooled.restore(Snapshot.from_bytes(first.snapshot().to_bytes()))


def test_another_kind_of_stream_is_named(model):
    with pytest.raises(ValueError, match=r"gives events; this one gives numbers\. Use streamrnn\.Listener"):
        Stream(model).restore(Listener(model).snapshot())
    with pytest.raises(ValueError, match=r"gives numbers; this one gives events\. Use streamrnn\.Stream"):
        Listener(model).restore(Stream(model).snapshot())


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_crafted_parts_of_a_denoiser_s_stream_are_refused(bursts, rate):
    denoiser = Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))
    enhancer = Enhancer(denoiser, rate)
    enhancer.process(bursts(0.05, rate))
    data = enhancer.snapshot().to_bytes()
    arrays, (_, text) = load(data), _metadata(data)
    for name in arrays:
        if name.startswith("state/"):
            continue
        for wrong in (np.full(3, np.nan, np.float32), np.zeros(10**5, np.float32), np.zeros((2, 2))):
            crafted = arrays | {name: wrong}
            snapshot = Snapshot.from_bytes(save(crafted, {KEY: f"{_digest(text, crafted)} {text}"}))
            # More sound may wait than one thinks: it is the stream's own.
            if name == "outlet/waiting" and wrong.ndim == 1 and np.isfinite(wrong).all():
                continue
            with pytest.raises(ValueError):
                enhancer.restore(snapshot)
    enhancer.restore(Snapshot.from_bytes(data))
