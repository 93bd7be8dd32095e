"""Silero's calls: names, units and results; decisions on sound whose speech is known; no JAX and no PyTorch."""

import subprocess
import sys
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError
from streamrnn.compat.silero import (
    SileroVad,
    VADIterator,
    collect_chunks,
    drop_chunks,
    get_speech_timestamps,
    load_silero_vad,
    read_audio,
    save_audio,
)
from streamrnn.decisions import SpeechSettings
from streamrnn.layers import Apply, Chain, Delay, Dense
from streamrnn.models import Model

ROOT = Path(__file__).parents[2]
RATE = 16_000


@pytest.fixture(scope="module")
def model() -> SileroVad:
    """Speech is what exceeds -40 dB, told two frames of 10 ms later."""
    head = Dense(1, 1, rngs=nnx.Rngs(0))
    head.kernel[...], head.bias[...] = jnp.ones((1, 1)), jnp.full(1, 40.0)
    network = Chain(Apply(_power_db), Delay(2, 1), head)
    return SileroVad(Model.of(network, sample_rate=RATE, hop_samples=160, readout="sigmoid", decision=SpeechSettings()))


def _power_db(frames):
    return 10 * jnp.log10(jnp.mean(frames**2, axis=-1, keepdims=True) + 1e-10)


def noise_in(*stretches_s, duration_s: float = 4.0, rate: int = RATE) -> np.ndarray:
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, round(duration_s * rate)).astype(np.float32)
    at_s = np.arange(len(sound)) / rate
    return sound * np.any([(at_s >= start) & (at_s < end) for start, end in stretches_s], axis=0)


TWO = noise_in((0.5, 1.2), (2.0, 3.0))


@pytest.mark.parametrize("sound", [TWO, TWO.tolist(), TWO[None], (TWO * 32767).astype(np.int16)])
def test_stretches_come_in_samples_with_their_padding(model, sound):
    assert get_speech_timestamps(sound, model) == [
        {"start": 0.47 * RATE, "end": 1.23 * RATE},
        {"start": 1.97 * RATE, "end": 3.03 * RATE},
    ]


def test_or_in_seconds_and_at_other_rates(model):
    sound = noise_in((0.5, 1.2), rate=8000)
    [found] = get_speech_timestamps(sound, model, sampling_rate=8000, return_seconds=True, time_resolution=2)
    assert found == {"start": pytest.approx(0.47, abs=0.011), "end": pytest.approx(1.23, abs=0.011)}
    [found] = get_speech_timestamps(sound, model.model, sampling_rate=8000)
    assert isinstance(found["start"], int) and found["start"] == pytest.approx(0.47 * 8000, abs=81)


def test_short_speech_is_left_out_and_short_silence_is_passed_over(model):
    sound = noise_in((0.5, 0.7), (1.5, 2.0), (2.08, 2.5))
    assert get_speech_timestamps(sound, model) == [{"start": round(1.47 * RATE), "end": round(2.53 * RATE)}]
    assert len(get_speech_timestamps(sound, model, min_speech_duration_ms=100)) == 2
    assert len(get_speech_timestamps(sound, model, min_silence_duration_ms=50)) == 2
    assert get_speech_timestamps(np.zeros(0, np.float32), model) == []


def test_stretches_that_would_meet_share_what_lies_between(model):
    found = get_speech_timestamps(
        noise_in((0.5, 1.0), (1.1, 1.6)), model, min_silence_duration_ms=60, speech_pad_ms=200, return_seconds=True,
        time_resolution=2,
    )  # fmt: skip
    assert found == [{"start": 0.3, "end": 1.05}, {"start": 1.05, "end": 1.8}]


@pytest.mark.parametrize(("longest", "cut_s"), [(True, (0.9, 1.2)), (False, (1.5, 1.6))])
def test_long_speech_is_cut_in_silence(model, longest, cut_s):
    sound = noise_in((0.5, 0.9), (1.2, 1.5), (1.6, 2.3))
    settings = {"min_silence_duration_ms": 500, "speech_pad_ms": 0, "return_seconds": True, "time_resolution": 2}
    found = get_speech_timestamps(
        sound, model, max_speech_duration_s=1.3, use_max_poss_sil_at_max_speech=longest, **settings
    )
    assert found == [{"start": 0.5, "end": cut_s[0]}, {"start": cut_s[1], "end": 2.3}]


def test_speech_without_silence_is_cut_at_its_longest(model):
    found = get_speech_timestamps(noise_in((0, 3)), model, max_speech_duration_s=1.06, return_seconds=True)
    assert [each["end"] for each in found] == [1.0, 2.0, 3.0]


def test_an_iterator_tells_of_starts_and_ends(model):
    iterator, told = VADIterator(model), []
    for start in range(0, len(TWO), 512):
        if answer := iterator(TWO[start : start + 512]):
            told.append(answer)
            assert iterator.triggered == ("start" in answer)
    assert told == [{"start": 7520}, {"end": 19_680}, {"start": 31_520}, {"end": 48_480}]
    assert iterator.current_sample == len(TWO)
    iterator.reset_states()
    assert iterator.current_sample == 0
    assert iterator(TWO, return_seconds=True, time_resolution=2) == {"start": 0.47}
    rest = [iterator(TWO[:0], return_seconds=True) for _ in range(4)]
    assert rest == [{"end": 1.2}, {"start": 2.0}, {"end": 3.0}, None]


def test_a_model_is_called_block_by_block(model):
    rows = np.stack([TWO, 0 * TWO])
    model.reset_states(2)
    found = np.concatenate([model(rows[:, at : at + 512], RATE) for at in range(0, 64_000, 512)], axis=1)
    assert found.shape == (2, 125) and found[1].max() < 0.1
    assert found[0, :15].max() < 0.1 and found[0, 18:37].min() > 0.9
    np.testing.assert_array_equal(model.audio_forward(rows, RATE), found)
    assert model(TWO[:512], RATE).item() < 0.1


def test_stretches_are_collected_and_dropped():
    wav, tss = np.arange(10), [{"start": 1, "end": 3}, {"start": 5, "end": 8}]
    np.testing.assert_array_equal(collect_chunks(tss, wav), [1, 2, 5, 6, 7])
    np.testing.assert_array_equal(drop_chunks(tss, wav), [0, 3, 4, 8, 9])
    seconds = [{"start": 0.5, "end": 1.5}]
    np.testing.assert_array_equal(collect_chunks(seconds, wav, seconds=True, sampling_rate=2), [1, 2])
    assert len(collect_chunks([], wav)) == 0
    with pytest.raises(ValueError, match="without sampling_rate"):
        collect_chunks(seconds, wav, seconds=True)


def test_sound_is_read_and_written(tmp_path):
    save_audio(tmp_path / "two.wav", TWO[None], RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "two.wav"), TWO, atol=2**-15)
    assert len(read_audio(tmp_path / "two.wav", 8000)) == len(TWO) // 2


class Tensor:
    """As much of PyTorch's as is used."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, at):
        return Tensor(self.array[at])

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


def test_tensors_are_taken_and_given(model, monkeypatch):
    torch = types.SimpleNamespace(
        Tensor=Tensor, from_numpy=Tensor, cat=lambda parts: Tensor(np.concatenate([part.array for part in parts]))
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    tss = get_speech_timestamps(Tensor(TWO), model)
    assert tss == get_speech_timestamps(TWO, model)
    assert isinstance(model(Tensor(TWO[:512]), RATE), Tensor)
    said = collect_chunks(tss, Tensor(TWO))
    assert isinstance(said, Tensor)
    np.testing.assert_array_equal(said.array, collect_chunks(tss, TWO))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"audio": np.zeros((2, 100))}, "one channel is needed"),
        ({"audio": np.full(1000, np.nan)}, "NaN"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"max_speech_duration_s": 0.05}, "no longer than twice speech_pad_ms"),
        ({"speech_pad_ms": -30}, "speech_pad_ms=-30"),
        ({"min_speech_duration_ms": np.nan}, "min_speech_duration_ms=nan"),
        ({"visualize_probs": True}, "--plot"),
        ({"sampling_rate": 4000}, "4000"),
    ],
)
def test_what_cannot_be_heard_is_refused(model, arguments, said):
    with pytest.raises(ValueError, match=said):
        get_speech_timestamps(**{"audio": TWO, "model": model} | arguments)


def test_channels_are_refused_wherever_sound_comes(model, tmp_path):
    both, iterator = np.zeros((2, 512), np.float32), VADIterator(model)
    for sounding in (iterator, lambda x: save_audio(tmp_path / "a.wav", x)):
        with pytest.raises(ValueError, match=r"shape \[2, 512\]; one channel is needed"):
            sounding(both)
        assert sounding(both[:1]) is None and sounding(both[:1, :0]) is None
    assert iterator.current_sample == 512 and len(read_audio(tmp_path / "a.wav")) == 0


def test_models_that_find_no_speech_are_refused():
    with pytest.raises(TypeError, match="finds speech"):
        load_silero_vad(model="keywords-en")
    words = Model.of(Apply(jnp.abs), sample_rate=RATE, hop_samples=160)
    for call in (lambda: get_speech_timestamps(TWO, words), lambda: VADIterator(words)):
        with pytest.raises(TypeError, match="gives numbers; needed is one that finds speech"):
            call()
    with pytest.raises(TypeError, match="'vad' came where a model is needed"):
        get_speech_timestamps(TWO, "vad")


def test_a_recording_of_another_form_or_rate_is_refused_as_a_chunk_is(model):
    with pytest.raises(ValueError, match=r"shape \[1, 1, 512\]; needed is"):
        model.audio_forward(np.zeros((1, 1, 512)), RATE)
    with pytest.raises(AudioError, match="sample rate is 0"):
        model.audio_forward(TWO, 0)


def test_what_a_model_hands_over_to_a_person_is_no_second_end(model):
    unsure = nnx.clone(model.model)
    unsure.decision = SpeechSettings(hand_over=1.0)
    iterator = VADIterator(unsure)
    told = [iterator(chunk) for chunk in np.array_split(0.07 * TWO, 100)]
    assert [name for each in told if each for name in each] == ["start", "end", "start", "end"]


def test_an_exported_model_needs_neither_jax_nor_pytorch(model, tmp_path):
    from streamrnn.export import export_onnx

    export_onnx(model.model, tmp_path / "vad.onnx")
    np.save(tmp_path / "sound.npy", TWO)
    code = (
        "import sys, numpy as np; from streamrnn.compat.silero import get_speech_timestamps, load_silero_vad\n"
        "model = load_silero_vad(onnx=True, model=sys.argv[1] + '/vad.onnx')\n"
        "print(get_speech_timestamps(np.load(sys.argv[1] + '/sound.npy'), model))\n"
        "assert not {'jax', 'torch'} & set(sys.modules), 'imported'"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(get_speech_timestamps(TWO, model))
