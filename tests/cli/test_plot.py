"""The picture of a run."""

import struct

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.cli.plot import COLUMNS, MELS, envelope, log_mel
from streamrnn.cli.plot_forecast import Fans
from streamrnn.cli.plot_words import draw_confusions


def test_a_plot_is_a_picture_1600_pixels_wide(streamrnn, model_path, sound_path, tmp_path):
    assert streamrnn("run", model_path, sound_path, "--plot", tmp_path / "a.png", "--threshold", "0.02") == 0
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">I", data[16:20]) == (1600,)


def test_a_vector_plot_says_what_it_shows(streamrnn, model_path, sound_path, tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.cli.plot.STYLE", {"svg.fonttype": "none"})
    flags = ("--threshold", "0.3", "--off-threshold", "0.01", "--padding-ms", "0")
    assert streamrnn("run", model_path, sound_path, "--plot", tmp_path / "a.svg", *flags) == 0
    drawn = (tmp_path / "a.svg").read_text()
    for text in ("noise.wav: 2.0 s of speech in 2.0 s", "0.00 to 2.00 s", "on 0.30", "off 0.01", "decided", "seconds"):
        assert text in drawn


def test_names_are_no_formulas(streamrnn, model_path, sound_path, tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.cli.plot.STYLE", {"svg.fonttype": "none"})
    (sound := tmp_path / r"costs $\x and $9.wav").write_bytes(sound_path.read_bytes())
    assert streamrnn("run", model_path, sound, "--plot", tmp_path / "a.svg") == 0
    assert r"costs $\x and $9.wav: " in (tmp_path / "a.svg").read_text()
    draw_confusions("$\\x$", {"confusions": {"$_$": {"$_$": 1, "$^$": 2}}}, tmp_path / "b.svg")
    assert "$^$" in (tmp_path / "b.svg").read_text()


def test_a_recording_without_samples_can_be_drawn(streamrnn, model_path, tmp_path):
    write_audio(tmp_path / "none.wav", np.zeros(0, np.float32), 16_000)
    assert streamrnn("run", model_path, tmp_path / "none.wav", "--plot", tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").stat().st_size > 0


def test_without_matplotlib_the_extra_is_named_and_nothing_is_heard(
    streamrnn, capsys, model_path, sound_path, tmp_path, monkeypatch
):
    monkeypatch.setattr("streamrnn.cli.plot.find_spec", lambda name: None)
    assert streamrnn("run", model_path, sound_path, "--plot", tmp_path / "a.png") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == 'streamrnn: drawing a picture needs the package matplotlib: pip install "streamrnn[plot]"\n'


def test_the_envelope_keeps_the_extremes_in_their_places():
    samples = np.zeros(100_000, np.float32)
    samples[20_000], samples[80_000] = 0.5, -0.75
    times_s, low, high = envelope(samples, 10_000)
    assert len(times_s) == COLUMNS
    assert times_s[high.argmax()] == pytest.approx(2.0, abs=0.01) and high.max() == 0.5
    assert times_s[low.argmin()] == pytest.approx(8.0, abs=0.01) and low.min() == -0.75


@pytest.mark.parametrize("sample_rate", [8_000, 44_100])
def test_a_tone_lights_up_the_band_around_it(sample_rate):
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(3 * sample_rate) / sample_rate)
    tone[: 2 * sample_rate] = 0
    spectrum_db, edges_hz = log_mel(tone.astype(np.float32), sample_rate)
    assert spectrum_db.shape == (600, MELS)
    column, band = np.unravel_index(spectrum_db.argmax(), spectrum_db.shape)
    assert column >= 400
    assert edges_hz[band] < 1_000 < edges_hz[band + 2]
    assert spectrum_db[:390].max() < spectrum_db.max() - 60


def test_fans_are_drawn_once_a_horizon_and_where_the_rows_end(tmp_path):
    fans = Fans(tmp_path / "fans.svg")
    fans.draw()
    assert not (tmp_path / "fans.svg").exists()
    for row in range(20):
        fan = {"now": float(row), "mean": [1.0] * 6, "quantiles": {"0.1": [0.0] * 6, "0.9": [2.0] * 6}}
        fans.add({"columns": {"a": fan, "b": fan}, **({"repeated": 2} if row == 10 else {})})
    assert list(fans._fans) == [0, 6, 12, 18, 21] and list(fans._came)[9:14] == [9.0, 9.0, 9.0, 10.0, 11.0]
    fans.add({"columns": {"b": fan}, "begun_anew": True})
    assert len(fans._came) == 1 and len(fans._fans) == 1
    fans.draw()
    assert (tmp_path / "fans.svg").read_text().count("<svg") == 1
