"""A pool of denoisers: each stream's sound comes back as from an Enhancer."""

import numpy as np
import pytest
from flax import nnx

from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.runtime import Enhancer, Pool, Stream


@pytest.fixture(scope="module")
def denoiser():
    """Untrained: it makes all sound somewhat quieter."""
    return Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("rate", [16_000, 8_000, 44_100])
def test_a_denoiser_s_sound_comes_back_and_its_streams_move(denoiser, bursts, rate):
    pool, sound, limit = Pool(denoiser, capacity=3, warm_up=False), bursts(0.05, rate), {"max_attenuation_db": 12.0}
    whole, parting = Enhancer(denoiser, rate, **limit), Enhancer(denoiser, rate, **limit)
    expected = np.concatenate([whole.process(sound), whole.flush()])
    before = parting.process(sound[:333])
    stream, moved, again = (pool.open(rate, **limit) for _ in range(3))
    moved.restore(parting.snapshot())
    for each, part in ((stream, sound), (moved, sound[333:]), (again, sound[::-1])):
        each.feed(part)
    answers = [answer for answer in pool.tick() if answer.stream is not again]
    again.reset()
    for part in np.split(sound, [7, 100]):
        again.feed(part)
    for each in (stream, moved, again):
        each.finish()
    while new := pool.tick():
        answers += new
    assert not any(answer.events for answer in answers)
    for each, first in ((stream, sound[:0]), (moved, before), (again, sound[:0])):
        heard = np.concatenate([first, *(answer.sound for answer in answers if answer.stream is each)])
        np.testing.assert_allclose(heard, expected, rtol=0, atol=1e-5)
    parting.restore(moved.snapshot())
    assert len(parting.flush()) == 0 and parting.duration_s == whole.duration_s


def test_a_pool_of_denoisers_names_wrong_settings_and_foreign_snapshots(denoiser):
    pool = Pool(denoiser, capacity=1, warm_up=False)
    with pytest.raises(TypeError, match="treshold"):
        pool.open(treshold=0.5)
    with pytest.raises(ValueError, match="max_attenuation_db is -1"):
        pool.open(max_attenuation_db=-1)
    with pytest.raises(ValueError, match=r"gives numbers; this one gives sound\. Use streamrnn\.Stream"):
        pool.open().restore(Stream(denoiser).snapshot())
