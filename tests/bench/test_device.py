"""Batches left to the device: they compute what the host's calls compute, and end where memory ends."""

import json
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.bench import device
from streamrnn.bench.device import BEST, DeviceLoop, best_figure, default_batch_sizes, device_batches
from streamrnn.models import VoiceActivity, VoiceActivitySettings

STREAMS, BLOCKS = 2, 10


class Sharing(VoiceActivity):
    """Leaves of its fresh state that are equal are one array, which can't be given away twice."""

    def init_state(self, batch_size: int) -> Any:
        kept: dict[Any, jax.Array] = {}
        return jax.tree.map(lambda a: kept.setdefault((a.shape, a.dtype), a), super().init_state(batch_size))


@pytest.fixture(scope="module")
def model() -> VoiceActivity:
    model = Sharing(VoiceActivitySettings(mels=20, channels=8, hidden=8, core="lstm"), rngs=nnx.Rngs(0))
    model.eval()
    return model


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "BLOCKS_PER_CALL", 2)
    monkeypatch.setattr(device, "TURNS", 2)


def test_streams_go_on_from_call_to_call_as_in_a_scan_of_their_sound(model: VoiceActivity):
    loop = DeviceLoop(model, STREAMS, BLOCKS)
    loop()
    loop()
    order = [t % len(loop.sound) for t in range(BLOCKS)] * 2
    heard = jnp.concatenate([loop.sound[block] for block in order], axis=1)
    _, logits = model.scan(model.init_state(STREAMS), heard)
    expected = model.readout(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loop.outputs, expected, rtol=1e-4)


def test_blocks_and_streams_all_sound_different(model: VoiceActivity):
    sound = np.asarray(DeviceLoop(model, STREAMS, BLOCKS).sound)
    assert sound.shape == (device.DISTINCT_BLOCKS, STREAMS, model.stride, model.hop_samples)
    assert not np.array_equal(sound[:, 0], sound[:, 1])
    assert len(np.unique(sound[:, 0], axis=0)) == device.DISTINCT_BLOCKS


@pytest.mark.usefixtures("short")
def test_a_batch_that_does_not_fit_is_told_and_ends_the_series(model: VoiceActivity, monkeypatch: pytest.MonkeyPatch):
    def loop_of_a_small_device(model: VoiceActivity, streams: int, blocks: int) -> DeviceLoop:
        if streams > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 41 bytes.")
        return DeviceLoop(model, streams, blocks)

    monkeypatch.setattr(device, "DeviceLoop", loop_of_a_small_device)
    small, *rest = json.loads(json.dumps(device_batches(model, (2, 8, 32))))
    assert rest == [
        {"streams": 8, "per_block_us": None, "real_time_streams": None, "note": "does not fit into the device's memory"}
    ]
    assert small["streams"] == 2 and small["note"] is None
    streams_us = small["streams"] * 1e6 * model.frame_s
    assert small["real_time_streams"] == pytest.approx(streams_us / small["per_block_us"], rel=1e-3, abs=1)


def test_another_error_of_the_device_is_not_taken_for_a_lack_of_memory(model: VoiceActivity, monkeypatch):
    def broken(model: VoiceActivity, streams: int, blocks: int) -> DeviceLoop:
        raise jax.errors.JaxRuntimeError("INTERNAL: unspecified launch failure")

    monkeypatch.setattr(device, "DeviceLoop", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="launch failure"):
        device_batches(model, (1,))


@pytest.mark.parametrize(("platform", "largest"), [("cpu", 4_096), ("gpu", 65_536), ("tpu", 65_536)])
def test_batches_are_powers_of_four(platform: str, largest: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    sizes = default_batch_sizes()
    assert sizes[0] == 1 and sizes[-1] == largest
    assert {larger / size for size, larger in pairwise(sizes)} == {4}


@pytest.mark.parametrize(
    ("platform", "best", "target", "met"),
    [("gpu", 50_000, 50_000, True), ("gpu", 49_999, 50_000, False), ("cpu", 900, None, None), ("tpu", 900, None, None)],
)
def test_the_best_batch_is_judged_on_a_gpu_and_told_elsewhere(platform, best, target, met, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    rows = [{"real_time_streams": streams} for streams in (best // 2, best, best // 3, None)]
    assert best_figure(rows) == {"name": BEST, "value": best, "target": target, "met": met}
