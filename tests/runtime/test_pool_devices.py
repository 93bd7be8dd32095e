"""A pool over eight devices, in a process of its own: they have to be there before JAX is first used.

Run as a script, this file compares pools over eight devices with lone listeners, and prints what it found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.decisions import SpeechSettings
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.runtime import Listener, Pool

ROOT = Path(__file__).parents[2]
STREAMS = 19


def noise(stream, samples=8_000):
    """Noise that is loud in every other eighth of a second; another one for each stream."""
    loud = np.arange(samples) // 2000 % 2
    return np.random.default_rng(stream).normal(0, 0.002 + 0.2 * loud, samples).astype(np.float32)


def compare():
    model = VoiceActivity(
        VoiceActivitySettings(hidden=8, channels=4, mels=8),
        SpeechSettings(min_speech_ms=30, min_silence_ms=50),
        rngs=nnx.Rngs(1),
    )
    model.network.layers[2].kernel[...] *= 20
    pool = Pool(model, capacity=16, devices=jax.devices())
    streams = [pool.open() for _ in range(16)]
    for number, stream in enumerate(streams):
        stream.feed(noise(number)[: 300 * number])
    answers = pool.tick()
    pool.grow()
    streams += [pool.open() for _ in range(STREAMS - 16)]
    for number, stream in enumerate(streams):
        stream.feed(noise(number)[300 * number if number < 16 else 0 :])
        stream.finish()
    while new := pool.tick():
        answers += new
    apart, events = [], []
    for number, stream in enumerate(streams):
        mine = [answer for answer in answers if answer.stream is stream]
        alone = Listener(model)
        expected, outputs = alone.feed(noise(number)), alone.outputs
        expected += alone.finish()
        outputs = np.concatenate([outputs, alone.outputs])
        apart.append(float(np.abs(np.concatenate([answer.outputs for answer in mine]) - outputs).max()))
        heard = [event for answer in mine for event in answer.events]
        kinds = [[(e.kind, e.start_s, e.end_s, e.decided_s) for e in found] for found in (heard, expected)]
        events.append(len(expected) if kinds[0] == kinds[1] else -1)
    return {"devices": len(jax.devices()), "capacity": pool.capacity, "apart": apart, "events": events}


@pytest.fixture(scope="module")
def found():
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__], env=os.environ | flags, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_streams_on_eight_devices_are_heard_as_alone(found):
    assert (found["devices"], found["capacity"]) == (8, 32)
    assert len(found["apart"]) == STREAMS and max(found["apart"]) < 1e-5
    assert min(found["events"]) >= 2


def test_slots_that_the_devices_cannot_share_evenly_are_refused(model):
    with pytest.raises(ValueError, match=r"capacity=3 on 2 devices; .* Pass a multiple of 2"):
        Pool(model, capacity=3, devices=2 * jax.devices())


if __name__ == "__main__":
    print(json.dumps(compare()))
