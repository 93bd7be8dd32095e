"""Resemblyzer's encoder: its checkpoint is read without PyTorch and without trust, and gives its vectors."""

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from streamrnn.cli import main
from streamrnn.pretrained import load
from streamrnn.pretrained.resemblyzer import convert_resemblyzer
from streamrnn.pretrained.torch_files import MAGIC, PROTOCOL, read_checkpoint
from streamrnn.runtime import enrol, run_file, run_file_events

RATE, HIDDEN, MELS, VECTOR, LAYERS = 16_000, 6, 40, 5, 3


class _Storage:
    """What a pickle says of the numbers of a tensor."""

    def __init__(self, array):
        self.array = array


def checkpoint(state, names=("torch._utils", "_rebuild_tensor_v2")) -> bytes:
    """As torch.save wrote it before version 1.6, by the standard library alone."""
    torch, utils = types.ModuleType("torch"), types.ModuleType(names[0])
    rebuild = types.FunctionType((lambda *_: None).__code__, {}, names[1])
    rebuild.__module__, rebuild.__qualname__ = names
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    setattr(utils, names[1], rebuild)
    storages = []

    class Tensor:
        def __init__(self, array):
            self.array = array

        def __reduce__(self):
            strides = tuple(step // 4 for step in self.array.strides)
            return rebuild, (_Storage(self.array), 0, self.array.shape, strides, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, _Storage):
                return None
            storages.append(obj.array)
            return "storage", torch.FloatStorage, str(len(storages) - 1), "cpu", obj.array.size, None

    file = io.BytesIO()
    before = {name: sys.modules.get(name) for name in ("torch", names[0])}
    sys.modules |= {"torch": torch, names[0]: utils}
    try:
        for part in (MAGIC, PROTOCOL, {"little_endian": True}):
            pickle.dump(part, file, 2)
        Pickler(file, 2).dump({"step": 7, "model_state": OrderedDict((k, Tensor(v)) for k, v in state.items())})
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})
    pickle.dump([str(key) for key in range(len(storages))], file, 2)
    for array in storages:
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()


def random_state(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(0, 0.4, shape).astype(np.float32)  # noqa: E731
    state = {"similarity_weight": draw(1)}
    for layer in range(LAYERS):
        state[f"lstm.weight_ih_l{layer}"] = draw(4 * HIDDEN, HIDDEN if layer else MELS)
        state[f"lstm.weight_hh_l{layer}"] = draw(4 * HIDDEN, HIDDEN)
        state |= {f"lstm.bias_{part}_l{layer}": draw(4 * HIDDEN) for part in ("ih", "hh")}
    return state | {"linear.weight": draw(VECTOR, HIDDEN), "linear.bias": draw(VECTOR) + 1}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("resemblyzer") / "Resemblyzer-0.1.4-py3-none-any.whl"
    with ZipFile(path, "w") as wheel:
        wheel.writestr("resemblyzer/pretrained.pt", checkpoint(random_state()))
    return path


def voice(pitch_hz: float, seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """A buzz of that pitch, at about the level that the encoder expects."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 20))
    return (0.03 * buzz + np.random.default_rng(seed).normal(0, 0.002, len(t))).astype(np.float32)


def test_vectors_are_those_of_the_encoder_as_its_package_computes_them(weights):
    """The equations of nn.LSTM, of the first 160 frames, on librosa's mel spectrum."""
    import librosa

    sound, state = voice(120.0, 2.0), random_state()
    model = convert_resemblyzer(weights)
    power = np.mean(sound.reshape(-1, 160) ** 2, axis=1)
    level = np.cumsum(power) / np.arange(1, len(power) + 1)
    louder = (sound.reshape(-1, 160) * np.sqrt(np.maximum(1, 1e-3 / level))[:, None]).ravel()
    padded = np.concatenate([np.zeros(240, np.float32), louder])
    mel = librosa.feature.melspectrogram(y=padded, sr=RATE, n_fft=400, hop_length=160, n_mels=40, center=False).T
    x = mel[:160]
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for layer in range(LAYERS):
        w = {key: state[f"lstm.{key}_l{layer}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        h = c = np.zeros(HIDDEN)
        outputs = []
        for frame in x:
            gates = w["weight_ih"] @ frame + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
            i, f, g, o = np.split(gates, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        x = np.array(outputs)
    raw = np.maximum(0, state["linear.weight"] @ x[-1] + state["linear.bias"])
    # Outputs lag behind: that of frame 159 belongs to the frame `lookahead` before it.
    found = run_file(model, sound, RATE)[159 - model.lookahead]
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw), atol=2e-4)


def test_a_checkpoint_that_names_anything_else_is_not_opened():
    with pytest.raises(ValueError, match=r"it asks for os\.system"):
        read_checkpoint(checkpoint(random_state(), ("os", "system")))
    for broken in (b"", b"\x80\x02N.", b"\x80\x04\x8e" + b"\xff" * 8, checkpoint(random_state())[:-9]):
        with pytest.raises(ValueError, match="no checkpoint of PyTorch"):
            read_checkpoint(broken)


def test_other_weights_and_missing_packages_are_told(tmp_path):
    other = tmp_path / "other.pt"
    other.write_bytes(checkpoint({"weight": np.zeros((2, 2), np.float32)}))
    with pytest.raises(ValueError, match="does not hold the weights of Resemblyzer"):
        convert_resemblyzer(other)
    other.with_suffix(".whl").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="does not hold the weights"):
        convert_resemblyzer(other.with_suffix(".whl"))
    with pytest.raises(FileNotFoundError, match="pip download --no-deps resemblyzer"):
        convert_resemblyzer()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"linear.weight": np.zeros((VECTOR, HIDDEN + 3), np.float32)}, "other layers than LSTMs of 9 numbers"),
        ({"linear.bias": np.zeros(VECTOR + 1, np.float32)}, "other layers than LSTMs of 6 numbers"),
        (
            {name: value[: 3 * HIDDEN].copy() for name, value in random_state().items() if name.startswith("lstm.")},
            "other layers than LSTMs of 6 numbers",
        ),
    ],
    ids=["a wider linear layer", "another bias", "GRUs"],
)
def test_an_encoder_of_other_layers_is_refused(changed, told, tmp_path):
    path = tmp_path / "other.pt"
    path.write_bytes(checkpoint(random_state() | changed))
    with pytest.raises(ValueError, match=f"does not hold the weights of Resemblyzer's encoder: it has {told}"):
        convert_resemblyzer(path)


def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path):
    path = tmp_path / "other.pt"
    for state in ([1, 2], {3: 3}, {"linear.weight": 1}):
        parts = (MAGIC, PROTOCOL, {"little_endian": True}, {"model_state": state}, [])
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
        with pytest.raises(ValueError, match="model_state holds something else than tensors"):
            convert_resemblyzer(path)


def test_enrolled_voices_are_told_live_and_when_they_change(weights, tmp_path, capsys):
    """By the command line: the encoder's weights are random, and tell two buzzes from each other all the same."""
    import soundfile

    soundfile.write(tmp_path / "low.wav", voice(90.0), RATE)
    soundfile.write(tmp_path / "high.wav", voice(260.0), RATE)
    assert main(["convert", "resemblyzer", str(tmp_path / "voices"), "--weights", str(weights)]) == 0
    named = [f"{name}={tmp_path / name}.wav" for name in ("low", "high")]
    assert main(["enrol", str(tmp_path / "voices.safetensors"), *named, "--out", str(tmp_path / "known")]) == 0
    assert "which knows low, high" in capsys.readouterr().out
    # The file that is told is the one that is written.
    assert main(["enrol", str(tmp_path / "voices"), *named, "--out", str(tmp_path / "known.v2")]) == 0
    assert f"wrote {tmp_path / 'known.v2.safetensors'}, which" in capsys.readouterr().out
    assert (tmp_path / "known.v2.safetensors").is_file()
    known = load(tmp_path / "known.safetensors")
    talk = np.concatenate([voice(90.0, seed=1), voice(260.0, seed=2), np.zeros(RATE, np.float32)])
    told = [e for e in run_file_events(known, talk, RATE, smoothing_ms=300) if e.end_s is not None]
    assert [event.label for event in told] == ["low", "high"]
    assert told[0].end_s == pytest.approx(4.0, abs=1.0) and told[1].end_s == pytest.approx(8.0, abs=1.0)


def test_too_little_speech_and_models_of_other_tasks_are_refused(weights, tmp_path, capsys):
    model = convert_resemblyzer(weights)
    with pytest.raises(ValueError, match=r"enrol found 0\.0 s of speech for 'ada'"):
        enrol(model, {"ada": np.zeros(RATE, np.float32)}, RATE)
    with pytest.raises(ValueError, match="no voices"):
        enrol(model, {})
    with pytest.raises(TypeError, match="needs a speaker model"):
        enrol(load("vad"), {"ada": voice(90.0)}, RATE)
    assert main(["enrol", "vad", "ada=ada.wav", "--out", str(tmp_path / "known")]) == 2
    assert main(["enrol", "vad", "ada.wav", "--out", str(tmp_path / "known")]) == 2
    told = capsys.readouterr().err
    assert "vad is a VoiceActivity; enrol needs a speaker model" in told and "it needs NAME=RECORDING" in told
