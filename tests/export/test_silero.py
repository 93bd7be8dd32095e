"""Models behind Silero VAD's signature: the numbers of a Stream, at both rates, for any number of streams."""

import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx

from streamrnn.cells import GRU, LSTM
from streamrnn.decisions import SpeechSettings
from streamrnn.export import NotSileroShaped, export_silero, silero_step
from streamrnn.export.silero import interpolator
from streamrnn.features import STFT, PowerSpectrum
from streamrnn.layers import Apply, Chain, Dense, Recurrent, StackFrames
from streamrnn.models import Model, VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import load
from streamrnn.runtime import Stream

COMPACT = {"hop_samples": 128, "window_samples": 192, "kernel_frames": 2, "lookahead_frames": 0}
COMPACT |= {"memory_s": 0.0, "floor_rise_s": 0.0}
WIDE = {"mels": 40, "channels": 64, "hidden": 96}
SMALL = {"mels": 12, "channels": 8, "hidden": 16}


def detector(**settings) -> Model:
    """Untrained, with large logits, so that its probabilities move."""
    model = VoiceActivity(VoiceActivitySettings(**{**COMPACT, **SMALL, **settings}), rngs=nnx.Rngs(0))
    model.network.layers[2].kernel[...] *= 20
    model.eval()
    return model


def session_of(model: Model) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(silero_step(model).SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def bursts() -> np.ndarray:
    """Noise that comes and goes, two seconds for each of three streams at 16 kHz."""
    rng = np.random.default_rng(0)
    loudness = np.repeat(rng.uniform(0, 1, (3, 16)), 2000, axis=1)
    return (loudness * rng.uniform(-0.3, 0.3, loudness.shape)).astype(np.float32)[:, : 62 * 512]


def answers(session, sound: np.ndarray, sr: int = 16_000, shape=()) -> np.ndarray:
    """As clients run it: [streams, blocks]."""
    block, context = (512, 64) if sr == 16_000 else (256, 32)
    state, before = np.zeros((2, len(sound), 128), np.float32), np.zeros((len(sound), context), np.float32)
    found = []
    for start in range(0, sound.shape[1], block):
        x = np.concatenate([before, sound[:, start : start + block]], axis=1)
        output, state = session.run(None, {"input": x, "state": state, "sr": np.full(shape, sr, np.int64)})
        before = x[:, -context:]
        found.append(output)
    return np.concatenate(found, axis=1)


def highest(model: Model, sound: np.ndarray, blocks: int) -> np.ndarray:
    """Of a Stream: the highest probability in each block of 512 samples."""
    outputs = Stream(model, warm_up=False).process(sound)[:, 0]
    per_block = 512 // model.block_samples
    lag = np.zeros(model.lookahead)
    return np.concatenate([lag, outputs])[: blocks * per_block].reshape(blocks, per_block).max(axis=1)


COARSE = {"hop_samples": 256, "window_samples": 256}


@pytest.mark.parametrize("settings", [WIDE, COARSE, {"core": "lstm", "layers": 1}])
def test_answers_are_the_highest_probability_of_a_stream_in_each_block(bursts, settings):
    model = detector(**settings)
    found = answers(session_of(model), bursts)
    assert np.ptp(found) > 0.2
    for row, sound in zip(found, bursts, strict=True):
        np.testing.assert_allclose(row, highest(model, sound, found.shape[1]), atol=1e-4)


def test_blocks_without_the_end_of_the_one_before_are_heard_almost_alike(bursts):
    session, state, found = session_of(detector()), np.zeros((2, 3, 128), np.float32), []
    for start in range(0, bursts.shape[1], 512):
        x = {"input": bursts[:, start : start + 512], "state": state, "sr": np.array(16_000)}
        output, state = session.run(None, x)
        found.append(output)
    found, whole = np.concatenate(found, axis=1), answers(session, bursts)
    assert np.corrcoef(found.ravel(), whole.ravel())[0, 1] > 0.95
    assert np.abs(found - whole).max() > 0


@pytest.mark.parametrize("settings", [{}, COARSE])
@pytest.mark.parametrize("lookahead_frames", [1, 4, 9])
def test_what_a_model_looks_ahead_answers_lag_behind_and_are_0_until_then(bursts, settings, lookahead_frames):
    model = detector(**settings, lookahead_frames=lookahead_frames)
    found = answers(session_of(model), bursts)
    for row, sound in zip(found, bursts, strict=True):
        np.testing.assert_allclose(row, highest(model, sound, found.shape[1]), atol=1e-4)


def test_sound_at_8_khz_is_heard_as_if_it_were_interpolated_before(bursts):
    model = detector()
    sound = bursts[:, : 60 * 512][:, ::2]
    found = answers(session_of(model), sound, 8000)
    taps = 12
    # As one signal: every sample, and what lies half way to the next; both as late as the filter is long.
    padded = np.pad(sound, ((0, 0), (2 * taps, 0)))
    half_way = np.stack([np.convolve(row, interpolator(taps)[::-1], "valid") for row in padded])
    sample = padded[:, taps - 1 : taps - 1 + half_way.shape[1]]
    upsampled = np.stack([sample, half_way], axis=2).reshape(len(sound), -1)[:, 2:].astype(np.float32)
    for row, heard in zip(found, upsampled, strict=True):
        np.testing.assert_allclose(row, highest(model, heard, found.shape[1]), atol=1e-4)


def test_between_samples_a_tone_is_what_it_was():
    tone = lambda t: np.sin(2 * np.pi * 1700 / 8000 * t)  # noqa: E731
    at = np.arange(200)
    half_way = np.convolve(tone(at), interpolator(12)[::-1], "valid")
    np.testing.assert_allclose(half_way, tone(at[: len(half_way)] + 11.5), atol=2e-3)


def test_names_order_and_types_are_those_that_clients_check():
    session = session_of(detector())
    described = [
        [(p.name, p.type, list(p.shape)) for p in ports] for ports in (session.get_inputs(), session.get_outputs())
    ]
    floats, whole = "tensor(float)", "tensor(int64)"
    assert described == [
        [("input", floats, ["batch", "samples"]), ("state", floats, [2, "batch", 128]), ("sr", whole, [])],
        [("output", floats, ["batch", 1]), ("stateN", floats, [2, "batch", 128])],
    ]


def test_the_rate_may_come_as_an_array_of_one(bursts):
    session = session_of(detector())
    for sr, sound in ((16_000, bursts[:, :4096]), (8000, bursts[:, :2048])):
        try:
            found = answers(session, sound, sr, (1,))
        except Exception as refused:  # newer runtimes check the rank
            pytest.skip(f"this ONNX Runtime refuses it: {refused}")
        np.testing.assert_array_equal(found, answers(session, sound, sr))


def test_the_file_says_what_it_is_and_streamrnn_what_it_is_not(tmp_path):
    export_silero(detector(), tmp_path / "vad.onnx", {"name": "compact"})
    assert "compact" in onnx.load(tmp_path / "vad.onnx").metadata_props[0].value
    with pytest.raises(ValueError, match="holds a graph of kind 'silero'; needed is 'step'"):
        load(tmp_path / "vad.onnx")


def test_a_first_state_that_is_not_zero_is_kept(bursts):
    class Begun(Recurrent):
        def init_state(self, batch_size):
            return super().init_state(batch_size) + 0.5

    layers = [Dense(128, 8, rngs=nnx.Rngs(0)), Begun(LSTM(8, 4, rngs=nnx.Rngs(1))), Dense(4, 1, rngs=nnx.Rngs(2))]
    layers[1].init_state = lambda n: tuple(leaf + 0.5 for leaf in layers[1].cell.init_state(n))
    model = Model.of(Chain(*layers), sample_rate=16_000, hop_samples=128, readout="sigmoid", decision=SpeechSettings())
    found = answers(session_of(model), bursts)
    np.testing.assert_allclose(found[0], highest(model, bursts[0], found.shape[1]), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"hop_samples": 160},
            "takes 160 samples at a time, and 512 is not a multiple .* samples: --hop-samples 128",
        ),
        (
            {"window_samples": 400},
            "reaches 272 samples back before its 128, and clients pass 64 .* --window-samples 192 or less",
        ),
        ({"memory_s": 1.0}, r"counts in whole numbers \(state.0.4.RunningNormalise.frames\)"),
        (
            {"hidden": 128, "floor_rise_s": 1.0},
            r"remembers 292 numbers \(state.0.4.AboveFloor 12, .*\), and clients keep 256",
        ),
        ({"sample_rate": 8000}, "needed is one probability of speech, of sound at 16000 Hz"),
    ],
)
def test_a_model_that_does_not_fit_is_told_why(settings, said):
    with pytest.raises(NotSileroShaped, match=said):
        silero_step(detector(**settings))


@pytest.mark.parametrize(("window", "hop", "stride"), [(128, 64, 4), (192, 128, 2)])
def test_a_block_of_several_spectra_is_heard_whole(window, hop, stride, bursts):
    model = strided(window, hop, stride)
    found = answers(session_of(model), bursts)
    assert np.ptp(found) > 0.1
    np.testing.assert_allclose(found[0], highest(model, bursts[0], found.shape[1]), atol=1e-4)


@pytest.mark.parametrize(("window", "hop", "stride"), [(192, 64, 4), (320, 128, 2)])
def test_the_first_of_several_spectra_must_not_reach_further_back_than_clients_hand(window, hop, stride):
    with pytest.raises(NotSileroShaped, match=f"reaches {window - hop} samples back .* {hop + 64} or less"):
        silero_step(strided(window, hop, stride))


def strided(window: int, hop: int, stride: int) -> Model:
    """One that answers once in several spectra."""
    spectra = [STFT(window, hop), PowerSpectrum(), Apply(lambda power: jnp.log(power + 1e-4)), StackFrames(stride)]
    head = [Dense((window // 2 + 1) * stride, 8, rngs=nnx.Rngs(0)), Recurrent(GRU(8, 8, rngs=nnx.Rngs(1)))]
    network = Chain(*spectra, *head, Dense(8, 1, rngs=nnx.Rngs(2)))
    return Model.of(network, sample_rate=16_000, hop_samples=hop, readout="sigmoid", decision=SpeechSettings())


def test_models_of_other_tasks_are_refused():
    words = Model.of(Chain(Apply(abs), Dense(128, 3, rngs=nnx.Rngs(0))), sample_rate=16_000, hop_samples=128)
    with pytest.raises(NotSileroShaped, match="gives 3 numbers per frame"):
        silero_step(words)
    with pytest.raises(TypeError):
        silero_step("vad")  # pyright: ignore[reportArgumentType]
