"""Figures of noise suppression, on sound whose figures are known."""

import math

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.data import read_manifest
from streamrnn.evaluation import quality as measures
from streamrnn.evaluation.denoising import evaluate_denoising, means
from streamrnn.evaluation.quality import pesq, quality, stoi
from streamrnn.models import Denoising, DenoisingSettings

RATE = 16_000


@pytest.fixture(scope="module")
def denoiser() -> Denoising:
    """Untrained: it passes sound, a little changed."""
    settings = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)
    model = Denoising(settings, rngs=nnx.Rngs(0))
    model.eval()
    return model


def voice(duration_s: float = 1.5) -> np.ndarray:
    """What the measures take for speech: harmonics that swell four times a second."""
    t = np.arange(round(duration_s * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 25))
    return (0.1 * harmonics * np.sin(np.pi * 4 * t) ** 2).astype(np.float32)


def noisy(clean: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    gain = np.sqrt(np.sum(clean**2) / np.sum(noise**2)) * 10 ** (-snr_db / 20)
    return clean + np.float32(gain) * noise


@pytest.fixture
def folder(tmp_path):
    for number, snr_db in enumerate((5, 10)):
        write_audio(tmp_path / f"clean{number}.wav", voice(), RATE)
        write_audio(tmp_path / f"noisy{number}.wav", noisy(voice(), snr_db), RATE)
    (tmp_path / "manifest.csv").write_text("path,clean\nnoisy0.wav,clean0.wav\nnoisy1.wav,clean1.wav\n")
    return tmp_path


def test_figures_are_means_and_live_ones_are_those_of_the_file(denoiser, folder):
    told = []
    figures = evaluate_denoising(denoiser, [folder], read_manifest(folder), lambda *progress: told.append(progress))
    assert figures["clips"] == 2 and told == [(1, 2), (2, 2)]
    assert figures["noisy"]["si_sdr_db"] == pytest.approx(7.5, abs=0.3)
    live, offline = figures["streaming"], figures["offline"]
    assert live == pytest.approx(offline, abs=2e-3)
    assert live["si_sdr_improvement_db"] == pytest.approx(live["si_sdr_db"] - figures["noisy"]["si_sdr_db"])
    assert live["stoi"] == pytest.approx(figures["noisy"]["stoi"], abs=0.1)


def test_recordings_that_are_no_pair_are_left_out_and_named(denoiser, folder):
    write_audio(folder / "clean0.wav", voice()[:-1], RATE)
    with pytest.warns(UserWarning, match="must be the same recording"):
        figures = evaluate_denoising(denoiser, [folder], read_manifest(folder))
    assert figures["clips"] == 1
    write_audio(folder / "clean1.wav", voice(), 8_000)
    with pytest.raises(AudioError, match="None of 2"):
        evaluate_denoising(denoiser, [folder], read_manifest(folder))


@pytest.mark.parametrize("silent", ["clean0.wav", "noisy0.wav"])
def test_a_pair_with_a_silent_recording_is_left_out_and_named_and_the_rest_is_judged(denoiser, folder, silent):
    write_audio(folder / silent, np.zeros(len(voice()), np.float32), RATE)
    with pytest.warns(AudioWarning, match=rf"1 of 2 recordings could not be judged .*{silent} is silent throughout"):
        figures = evaluate_denoising(denoiser, [folder], read_manifest(folder))
    assert figures["clips"] == 1 and silent in figures["left_out"][0]
    assert figures["noisy"]["si_sdr_db"] == pytest.approx(10, abs=0.3)


def test_a_manifest_without_clean_recordings_is_refused(denoiser, folder):
    (folder / "manifest.csv").write_text("path\nnoisy0.wav\n")
    with pytest.raises(ValueError, match="lacks the column clean"):
        evaluate_denoising(denoiser, [folder], read_manifest(folder))


def test_a_model_of_events_is_refused(model, folder):
    with pytest.raises(ValueError, match="needs a model that gives sound"):
        evaluate_denoising(model, [folder], read_manifest(folder))


def test_more_noise_is_worse_by_every_measure():
    clean = voice()
    good, bad = quality(noisy(clean, 20), clean, RATE), quality(noisy(clean, 0), clean, RATE)
    assert all(good[name] > bad[name] for name in good)
    assert quality(clean, clean, RATE)["stoi"] == pytest.approx(1)
    assert quality(clean, clean, RATE)["si_sdr_db"] > 100


def test_where_too_little_is_said_there_is_no_figure():
    assert math.isnan(stoi(voice(0.2), voice(0.2), RATE))


def test_a_mean_is_over_the_recordings_that_have_the_figure_and_none_where_none_has():
    figures = [
        {"si_sdr_db": 1.0, "stoi": math.nan, "pesq": math.nan},
        {"si_sdr_db": 3.0, "stoi": 0.8, "pesq": math.nan},
    ]
    assert means(figures) == {"si_sdr_db": 2.0, "stoi": 0.8}


def test_a_pair_without_noise_leaves_the_means_as_they_are(denoiser, folder):
    (folder / "manifest.csv").write_text("path,clean\nnoisy0.wav,clean0.wav\n")
    alone = evaluate_denoising(denoiser, [folder], read_manifest(folder))
    (folder / "manifest.csv").write_text("path,clean\nnoisy0.wav,clean0.wav\nclean1.wav,clean1.wav\n")
    found = evaluate_denoising(denoiser, [folder], read_manifest(folder))
    assert found["noisy"]["si_sdr_db"] == alone["noisy"]["si_sdr_db"]
    for way in ("streaming", "offline"):
        assert found[way]["si_sdr_improvement_db"] == alone[way]["si_sdr_improvement_db"]


def test_pesq_hears_narrow_band_at_8_khz_and_no_speech_in_silence():
    pytest.importorskip("pesq")
    clean = voice()
    assert pesq(clean, clean, RATE) > 4.5
    assert 4 < pesq(clean[::2], clean[::2], 8_000) < 4.6
    assert math.isnan(pesq(np.zeros(RATE, np.float32), np.zeros(RATE, np.float32), RATE))


def test_pesq_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(measures, "has_pesq", lambda: False)
    assert set(quality(voice(), voice(), RATE)) == {"si_sdr_db", "stoi"}
