"""Other noise suppression beside ours: judged fairly, and named where it is missing."""

import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from benchmarks import denoising_peers
from benchmarks.denoising_peers import Peer, best_delay, compare_denoising_peers, earlier, show
from streamrnn.audio import write_audio
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.pretrained import save

RATE = 16_000


class Late:
    """Gives the sound as it is, 7 samples later."""

    sample_rate = RATE

    def enhanced(self, samples):
        return np.pad(samples, (7, 0))[: len(samples)]


def absent():
    raise ImportError("No module named 'absent'")


@pytest.fixture
def comparison(tmp_path, monkeypatch):
    monkeypatch.setattr(denoising_peers.metadata, "version", lambda name: "1.2")
    t = np.arange(RATE) / RATE
    clean = 0.1 * sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 9)) * np.sin(np.pi * 4 * t) ** 2
    write_audio(tmp_path / "clean.wav", clean, RATE)
    write_audio(tmp_path / "noisy.wav", clean + 0.02 * np.random.default_rng(0).standard_normal(RATE), RATE)
    (tmp_path / "manifest.csv").write_text("path,clean\nnoisy.wav,clean.wav\n")
    settings = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)
    save(Denoising(settings, rngs=nnx.Rngs(0)), tmp_path / "small")
    peers = (Peer("late", Late, "pip install late"), Peer("absent", absent, "pip install absent"))
    return compare_denoising_peers(tmp_path, [str(tmp_path / "small")], peers)


def test_delays_are_found_and_do_not_count(comparison):
    untouched, ours, late = comparison["suppressors"]
    assert (untouched["name"], late["name"], late["version"]) == ("as it is", "late", "1.2")
    assert ours["delay_ms"] == 0 and late["delay_ms"] == pytest.approx(7 / 16)
    assert late["si_sdr_db"] == pytest.approx(untouched["si_sdr_db"], abs=0.1)
    assert ours["real_time_factor"] > 0


def test_missing_peers_are_named_with_the_command_that_installs_them(comparison):
    assert comparison["missing"] == [
        {"name": "absent", "error": "No module named 'absent'", "install": "pip install absent"}
    ]
    console = Console(width=200, record=True)
    show(comparison, console)
    shown = console.export_text()
    assert "late 1.2" in shown and "Install it: pip install absent" in shown


def test_the_delay_is_the_one_of_all_recordings_together():
    rng = np.random.default_rng(0)
    clean = [rng.standard_normal(1000) for _ in range(3)]
    late = [np.pad(x, (12, 0))[:1000] + 0.5 * rng.standard_normal(1000) for x in clean]
    assert best_delay(late, clean, 100) == 12
    np.testing.assert_array_equal(earlier(np.arange(4), 1), [1, 2, 3, 0])
