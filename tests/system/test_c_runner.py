"""The example in C, compiled and run. It needs ONNX Runtime's header and library: see `compiler`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

import streamrnn
from streamrnn.export import about_model, export_onnx

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "audio_samples"
TIMEOUT_S = 60
STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

pytestmark = pytest.mark.system


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The compiler, and the flags with which it finds ONNX Runtime where it is not where compilers look anyway."""
    asked = run("pkg-config", "--cflags", "--libs", "libonnxruntime") if shutil.which("pkg-config") else None
    flags = asked.stdout.split() if asked and asked.returncode == 0 else ["-lonnxruntime"]
    probe = tmp_path_factory.mktemp("probe") / "probe.c"
    probe.write_text("#include <onnxruntime_c_api.h>\nint main(void) { return OrtGetApiBase() == 0; }\n")
    if run("cc", probe, "-o", probe.with_suffix(""), *flags).returncode:
        pytest.skip(
            "ONNX Runtime for C is not here. From Debian 13 on: apt-get install libonnxruntime-dev. Elsewhere: unpack "
            "a release of it, and set CPATH to its include folder, LIBRARY_PATH and LD_LIBRARY_PATH to its lib folder."
        )
    return ["cc", *STRICT, *flags]


@pytest.fixture(scope="module")
def vad(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("c") / "vad"
    compiled = run(compiler[0], "-o", program, ROOT / "examples" / "c" / "vad.c", *compiler[1:], "-lm")
    assert (compiled.returncode, compiled.stderr) == (0, "")
    return program


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vad.onnx, keywords-en.onnx, recordings.onnx, which takes whole recordings, and listed.onnx, a state
    of which begins with several numbers."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("vad", "keywords-en"):
        export_onnx(streamrnn.load(name), folder / f"{name}.onnx", about=about_model(name))
    export_onnx(streamrnn.load("vad"), folder / "recordings.onnx", recording=True)
    listed = onnx.load(folder / "vad.onnx")
    (entry,) = (entry for entry in listed.metadata_props if entry.key == "streamrnn")
    about = json.loads(entry.value)
    about["states"][-1]["initial"] = [0.5] * 127 + [0.0]
    entry.value = json.dumps(about)
    onnx.save(listed, folder / "listed.onnx")
    return folder


@pytest.fixture
def wave(tmp_path: Path):
    """wave(recording): the recording as a WAVE file of 16 bits."""

    def convert(recording: str) -> Path:
        samples, sample_rate = soundfile.read(SAMPLES / recording, dtype="int16")
        soundfile.write(tmp_path / "recording.wav", samples, sample_rate, subtype="PCM_16")
        return tmp_path / "recording.wav"

    return convert


@pytest.mark.parametrize("recording", ["conversation.flac", "hall_far.ogg", "french_cafe.ogg", "noise_only.ogg"])
def test_it_prints_what_the_example_in_python_prints(vad: Path, models: Path, wave, recording: str):
    path = wave(recording)
    heard = run(vad, models / "vad.onnx", path)
    expected = run(sys.executable, ROOT / "examples" / "10_onnx.py", models / "vad.onnx", path)
    assert (heard.returncode, heard.stderr) == (expected.returncode, expected.stderr) == (0, "")
    assert heard.stdout == expected.stdout
    assert heard.stdout.count("speech_start") >= (recording != "noise_only.ogg")


@pytest.mark.parametrize(
    ("model", "recording", "message"),
    [
        ("vad.onnx", "telephone_8k.wav", "Needed are 16 bits, mono, 16000 Hz. Convert it first."),
        ("vad.onnx", "stereo_44k.flac", "Needed are 16 bits, mono, 16000 Hz. Convert it first."),
        ("keywords-en.onnx", "conversation.flac", "Export a voice activity model."),
        ("recordings.onnx", "conversation.flac", "Export it without --scan."),
        ("listed.onnx", "conversation.flac", "state.1.4.GRU begins with several numbers"),
        ("none.onnx", "conversation.flac", "none.onnx"),
    ],
)
def test_it_says_what_it_cannot_use(vad: Path, models: Path, wave, model: str, recording: str, message: str):
    heard = run(vad, models / model, wave(recording))
    assert (heard.returncode, heard.stdout) == (1, "")
    assert message in heard.stderr


def test_it_passes_over_what_a_wave_file_holds_besides_sound(vad: Path, models: Path, wave, tmp_path: Path):
    plain = wave("conversation.flac").read_bytes()
    at = plain.index(b"data")
    note = b"note" + np.uint32(3).tobytes() + b"ab\0" + b"\0"
    (tmp_path / "noted.wav").write_bytes(plain[:at] + note + plain[at:] + note)
    heard = run(vad, models / "vad.onnx", tmp_path / "noted.wav")
    assert heard.stdout == run(vad, models / "vad.onnx", tmp_path / "recording.wav").stdout != ""


@pytest.mark.parametrize("size", [0, 11, 20, 40, 44])
def test_a_recording_that_is_cut_off_is_no_crash(vad: Path, models: Path, wave, tmp_path: Path, size: int):
    (tmp_path / "cut.wav").write_bytes(wave("conversation.flac").read_bytes()[:size])
    heard = run(vad, models / "vad.onnx", tmp_path / "cut.wav")
    assert heard.stdout == ""
    assert heard.returncode == (0 if size == 44 else 1)
    assert (heard.stderr == "") == (size == 44)
