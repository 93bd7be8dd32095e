"""`streamrnn run` with a model that gives sound, and the commands around it."""

import io
import struct
import sys

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import read_audio, write_audio
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.pretrained import load, save
from streamrnn.runtime import enhance_file


@pytest.fixture(scope="session")
def denoiser_path(tmp_path_factory):
    """An untrained model, which makes all sound somewhat quieter."""
    path = tmp_path_factory.mktemp("model") / "small-denoiser.safetensors"
    settings = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)
    save(Denoising(settings, rngs=nnx.Rngs(0)), path, task="denoise", figures={})
    return path


@pytest.fixture(scope="session")
def short_path(tmp_path_factory):
    """A quarter of a second of stereo noise at 44.1 kHz."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    write_audio(path, np.random.default_rng(0).uniform(-0.3, 0.3, (11_025, 2)).astype(np.float32), 44_100)
    return path


def test_a_recording_becomes_a_recording_of_the_same_rate_and_length(
    streamrnn, capsys, denoiser_path, short_path, tmp_path
):
    assert streamrnn("run", denoiser_path, short_path, "--out", tmp_path / "clean.wav") == 0
    samples, rate = read_audio(tmp_path / "clean.wav")
    expected, _ = enhance_file(load(denoiser_path), short_path)
    assert rate == 44_100 and len(samples) == 11_025
    np.testing.assert_allclose(samples, expected, atol=2**-14)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("0.2 s of audio; mono, 44100 Hz; real-time factor ")
    assert printed.err.endswith(f"; wrote {tmp_path / 'clean.wav'}\n")


def test_noise_goes_no_further_down_than_it_may(streamrnn, denoiser_path, short_path, tmp_path):
    out = tmp_path / "same.wav"
    assert streamrnn("run", denoiser_path, short_path, "--out", out, "--max-attenuation-db", "0") == 0
    np.testing.assert_allclose(read_audio(out)[0], read_audio(short_path)[0], atol=2**-14)


def test_a_pipe_gets_raw_samples_and_nothing_else(streamrnn, capsys, denoiser_path, short_path, monkeypatch):
    pipe = io.BytesIO()
    standard_output = io.TextIOWrapper(pipe, write_through=True)
    monkeypatch.setattr(sys, "stdout", standard_output)
    assert streamrnn("run", denoiser_path, short_path, "--out", "-") == 0
    assert len(pipe.getvalue()) == 2 * 11_025
    assert "wrote" not in capsys.readouterr().err


def test_the_picture_shows_the_sound_before_and_after(streamrnn, denoiser_path, short_path, tmp_path):
    out = ("--out", tmp_path / "clean.wav")
    assert streamrnn("run", denoiser_path, short_path, *out, "--plot", tmp_path / "a.png") == 0
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG") and struct.unpack(">I", data[16:20]) == (1600,)


@pytest.mark.parametrize("flags", [("--srt", "a.srt"), ("--labels", "a.txt"), ("--json",)])
def test_flags_for_events_are_refused_with_advice(
    streamrnn, capsys, denoiser_path, short_path, tmp_path, monkeypatch, flags
):
    monkeypatch.chdir(tmp_path)
    assert streamrnn("run", denoiser_path, short_path, "--out", "clean.wav", *flags) == 2
    assert f"{flags[0]} is for models that give events" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_settings_of_other_models_are_refused(streamrnn, capsys, denoiser_path, short_path, tmp_path):
    assert streamrnn("run", denoiser_path, short_path, "--out", tmp_path / "a.wav", "--threshold", "0.3") == 2
    assert "no setting threshold; it has max_attenuation_db" in capsys.readouterr().err


def test_where_the_sound_goes_has_to_be_said(streamrnn, capsys, denoiser_path, short_path):
    assert streamrnn("run", denoiser_path, short_path) == 2
    assert "gives sound. Say where it goes: --out FILE.wav" in capsys.readouterr().err


def test_events_go_into_no_sound_file(streamrnn, capsys, model_path, sound_path, tmp_path):
    assert streamrnn("run", model_path, sound_path, "--out", tmp_path / "a.wav") == 2
    assert "--out is for models that give sound" in capsys.readouterr().err


def test_a_recording_is_not_written_over_itself(streamrnn, capsys, denoiser_path, short_path):
    before = short_path.read_bytes()
    assert streamrnn("run", denoiser_path, short_path, "--out", short_path) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert short_path.read_bytes() == before
