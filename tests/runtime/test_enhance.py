"""Sound in, sound out: all of it, each sample in its place, however it was cut."""

import dataclasses

import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.audio import AudioError, ChunkSource, read_audio, write_audio
from streamrnn.decisions import SoundSettings
from streamrnn.layers import Chain, Dense, StackFrames
from streamrnn.models import Denoising, DenoisingSettings, Model
from streamrnn.runtime import Enhancer, Pool, Snapshot, enhance_file
from streamrnn.runtime.enhance import enhanced_pieces

SAMPLES = 3001
RATES = [16_000, 44_100, 8_000]


@pytest.fixture(scope="module")
def denoiser() -> Denoising:
    """Untrained: it makes all sound somewhat quieter."""
    model = Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))
    model.eval()
    return model


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Noise below 3 kHz at any of the rates, with silence at both ends."""
    walk = np.random.default_rng(0).standard_normal(SAMPLES)
    smooth = np.convolve(walk, np.hanning(24) / 12, "same") * np.hanning(SAMPLES)
    return (0.3 * smooth).astype(np.float32)


def enhanced(enhancer: Enhancer, sound: np.ndarray, cuts=()) -> np.ndarray:
    return np.concatenate([*map(enhancer.process, np.split(sound, sorted(cuts))), enhancer.flush()])


@pytest.mark.parametrize("rate", RATES)
def test_as_much_comes_out_as_went_in_and_each_sample_in_its_place(denoiser, sound, rate):
    y = enhanced(Enhancer(denoiser, rate), sound)
    assert y.shape == sound.shape and y.dtype == np.float32
    fits = [np.dot(sound, np.roll(y, shift)) for shift in range(-5, 6)]
    assert np.argmax(fits) == 5


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=5)
@given(cuts=st.lists(st.integers(0, SAMPLES), max_size=12))
def test_any_chunking_gives_the_same_sound_bit_for_bit(denoiser, sound, rate, cuts):
    limit = {"max_attenuation_db": 12.0}
    whole = enhanced(Enhancer(denoiser, rate, **limit), sound)
    np.testing.assert_array_equal(enhanced(Enhancer(denoiser, rate, **limit), sound, cuts), whole)


@pytest.mark.parametrize("rate", RATES)
def test_a_recording_as_a_whole_gives_the_live_sound(denoiser, sound, rate):
    y, its_rate = enhance_file(denoiser, sound, rate)
    assert its_rate == rate
    np.testing.assert_allclose(y, enhanced(Enhancer(denoiser, rate), sound), atol=1e-5)


def test_a_file_keeps_its_rate_and_becomes_mono(denoiser, sound, tmp_path):
    write_audio(tmp_path / "stereo.wav", np.stack([sound, sound], axis=1), 44_100)
    y, rate = enhance_file(denoiser, tmp_path / "stereo.wav")
    heard, _ = read_audio(tmp_path / "stereo.wav")
    assert rate == 44_100 and y.shape == heard.shape
    np.testing.assert_allclose(y, enhanced(Enhancer(denoiser, rate), heard), atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 19])
def test_very_short_sound_comes_back_as_long(denoiser, sound, n):
    assert enhanced(Enhancer(denoiser, 44_100), sound[:n]).shape == (n,)
    assert enhance_file(denoiser, sound[:n], 44_100)[0].shape == (n,)


def test_without_attenuation_the_original_comes_back(denoiser, sound):
    np.testing.assert_allclose(enhanced(Enhancer(denoiser, 44_100, max_attenuation_db=0), sound), sound, atol=1e-7)


def test_noise_goes_no_further_down_than_the_limit(denoiser, sound):
    most, limited = (enhanced(Enhancer(denoiser, max_attenuation_db=db), sound) for db in (100, 6))
    share = 10 ** (-6 / 20)
    np.testing.assert_allclose(limited, (1 - share) * most + share * sound, atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_a_snapshot_goes_on_bit_for_bit(denoiser, sound, rate):
    first, second = np.split(sound, [1234])
    enhancer = Enhancer(denoiser, rate)
    begun = enhancer.process(first)
    snapshot = Snapshot.from_bytes(enhancer.snapshot().to_bytes())
    rest = enhanced(enhancer, second)
    other = Enhancer(denoiser, rate)
    other.process(second)
    other.restore(snapshot)
    np.testing.assert_array_equal(enhanced(other, second), rest)
    assert len(begun) + len(rest) == SAMPLES


def test_snapshots_of_others_are_refused(denoiser):
    enhancer = Enhancer(denoiser)
    with pytest.raises(ValueError, match="44100 Hz"):
        enhancer.restore(Enhancer(denoiser, 44_100).snapshot())


def test_after_a_reset_all_is_as_at_first(denoiser, sound):
    enhancer = Enhancer(denoiser, 44_100)
    first = enhanced(enhancer, sound)
    assert len(enhancer.flush()) == 0
    with pytest.raises(RuntimeError, match="flushed"):
        enhancer.process(sound)
    enhancer.reset()
    np.testing.assert_array_equal(enhanced(enhancer, sound), first)


def test_a_chunk_that_is_no_sound_is_ignored_as_a_whole(denoiser, sound):
    enhancer = Enhancer(denoiser)
    begun = enhancer.process(sound[:1000])
    with pytest.raises(AudioError, match="NaN"):
        enhancer.process(np.full(100, np.nan, np.float32))
    y = np.concatenate([begun, enhanced(enhancer, sound[1000:])])
    np.testing.assert_array_equal(y, enhanced(Enhancer(denoiser), sound))


def test_both_resamplers_are_in_the_latency(denoiser):
    own, other = Enhancer(denoiser), Enhancer(denoiser, 44_100)
    assert own.latency.resampler_ms == 0
    assert own.latency.algorithmic_ms == pytest.approx(3.75)
    assert other.stream.latency.resampler_ms < other.latency.resampler_ms <= 8
    assert other.sample_rate == 44_100 and other.duration_s == 0


def test_a_model_without_sound_is_refused_with_advice(model, sound):
    for use in (Enhancer, lambda model: enhance_file(model, sound, 16_000)):
        with pytest.raises(TypeError, match=r"gives events, not sound\. Use streamrnn\.Listener"):
            use(model)


def test_a_model_that_gives_fewer_samples_than_it_takes_is_refused(sound):
    network = Chain(StackFrames(2), Dense(320, 160, rngs=nnx.Rngs(0)))
    model = Model.of(network, sample_rate=16_000, hop_samples=160, decision=SoundSettings())
    for run in (Enhancer, lambda model: enhance_file(model, sound, 16_000), lambda model: Pool(model, 1).open()):
        with pytest.raises(ValueError, match="takes 320 samples at a time but outputs 160 numbers"):
            run(model)


def test_an_unknown_setting_is_refused(denoiser):
    with pytest.raises(TypeError, match="threshold"):
        Enhancer(denoiser, threshold=0.5)
    with pytest.raises(ValueError, match="max_attenuation_db"):
        Enhancer(denoiser, max_attenuation_db=-1)
    assert dataclasses.asdict(denoiser.decision) == {"max_attenuation_db": 100.0}


@pytest.mark.parametrize("rate", RATES)
def test_pieces_of_a_recording_are_the_recording_bit_for_bit(denoiser, sound, rate, monkeypatch):
    monkeypatch.setattr("streamrnn.runtime.files.SEGMENT_S", 0.05)
    long = np.tile(sound, 5)
    whole, _ = enhance_file(denoiser, long, rate, max_attenuation_db=12.0)
    source = ChunkSource(iter(np.split(long, 13 * [0] + [1000, 1001, 9000])), rate)
    pieces = list(enhanced_pieces(denoiser, source, max_attenuation_db=12.0))
    assert len(pieces) > 2
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
