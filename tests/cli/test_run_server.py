"""`streamrnn run --server`: the same as without, but for the machine that works."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import read_audio, write_audio
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.pretrained import load
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.client import Client
from streamrnn.serve.listen import listening, web_server

ROOT = Path(__file__).parents[2]
EVERYTHING_IS_SPEECH = ("--threshold", "0.02", "--off-threshold", "0.01", "--padding-ms", "0")
TOKEN = "a-token"


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[str]:
    """The address of a server of the model `small`, and of an untrained one that gives sound, with a token."""
    denoising = Denoising(DenoisingSettings(bands=12, hidden=8), rngs=nnx.Rngs(0))
    denoising.eval()
    settings = ServerSettings(port=0, max_streams=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMRNN_TOKEN", TOKEN)
        app = make_app({"small": load(model_path), "cleaner": denoising}, settings)
    ready = threading.Event()
    with listening(settings) as sock:
        web = web_server(app, settings, ready.set)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [sock]})
        thread.start()
        assert ready.wait(60)
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"
        web.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMRNN_TOKEN", TOKEN)


@pytest.fixture
def both(streamrnn, capsys, model_path, server):
    """both(source, *flags): what is printed on standard output and error, here and with the server."""

    def run(source: Path, *flags) -> list[tuple[str, str]]:
        printed = []
        for place in ((model_path,), ("small", "--server", server)):
            assert streamrnn("run", place[0], source, *place[1:], *flags) == 0
            printed.append(tuple(capsys.readouterr()))
        return printed

    return run


@pytest.fixture(scope="module")
def stereo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of noise, at another rate, that gets louder."""
    path = tmp_path_factory.mktemp("sound") / "stereo.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (44_100, 2)) * np.linspace(0, 1, 44_100)[:, None]
    write_audio(path, noise.astype(np.float32), 44_100)
    return path


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_it_prints_the_same_events(both, sound_path, form):
    (here, summary), (there, server_summary) = both(sound_path, *form, *EVERYTHING_IS_SPEECH)
    assert len(here.splitlines()) == 2
    assert there == here
    assert server_summary.split("; real-time")[0] == summary.split("; real-time")[0]
    assert server_summary.rstrip().endswith("latency 40 ms")


def test_other_rates_and_channels_give_the_same_events_and_files(both, stereo_path, tmp_path):
    written = []
    for name in ("here", "there"):
        files = ("--srt", tmp_path / f"{name}.srt", "--labels", tmp_path / f"{name}.txt")
        (here, _), (there, _) = both(stereo_path, *files, *EVERYTHING_IS_SPEECH)
        assert there == here != ""
        written.append([path.read_text() for path in files[1::2]])
    assert written[0] == written[1]


def test_the_picture_of_a_server_is_that_of_a_run_here(both, sound_path, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("streamrnn.cli.run.draw", lambda picture, path: drawn.append(picture))
    both(sound_path, "--plot", tmp_path / "a.png", *EVERYTHING_IS_SPEECH)
    here, there = drawn
    assert there.probabilities == pytest.approx(here.probabilities, abs=1e-3)
    assert (there.title, there.thresholds, there.frame_s) == (here.title, here.thresholds, here.frame_s)
    assert np.array_equal(there.samples, here.samples)


def test_sound_comes_back_into_a_file(streamrnn, capsys, server, sound_path, tmp_path):
    assert streamrnn("run", "cleaner", sound_path, "--server", server, "--out", tmp_path / "clean.wav") == 0
    sound, sample_rate = read_audio(tmp_path / "clean.wav")
    assert (len(sound), sample_rate) == (32_000, 16_000) and np.any(sound)
    assert capsys.readouterr().err.startswith("2.0 s of audio; mono, 16000 Hz; real-time factor ")


def test_what_is_paced_like_a_microphone_tells_how_long_answers_take(streamrnn, capsys, server, sound_path):
    assert streamrnn("run", "small", sound_path, "--server", server, "--realtime", *EVERYTHING_IS_SPEECH) == 0
    assert "latency 40 ms + network and server " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("vad",), "there is no model 'vad' here; there are: small, cleaner"),
        (("small", "--threshold", "7"), "threshold"),
        (("small", "--max-attenuation-db", "7"), "max_attenuation_db"),
        (("small", "--out", "a.wav"), "--out is for models that give sound"),
        (("cleaner",), "--out FILE.wav"),
        (("cleaner", "--out", "a.wav", "--json"), "--json is for models that give events"),
    ],
)
def test_what_cannot_be_is_one_clear_line(streamrnn, capsys, server, sound_path, flags, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert streamrnn("run", flags[0], sound_path, "--server", server, *flags[1:]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1 and said in printed.err


@pytest.mark.parametrize("url", ["127.0.0.1:1", "ws://127.0.0.1:1"])
def test_a_server_that_is_not_there_is_one_clear_line(streamrnn, capsys, sound_path, url):
    assert streamrnn("run", "small", sound_path, "--server", url) == 2
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1 and url in printed.err


def test_a_wrong_token_is_one_clear_line(streamrnn, capsys, server, sound_path, monkeypatch):
    monkeypatch.setenv("STREAMRNN_TOKEN", "another")
    assert streamrnn("run", "small", sound_path, "--server", server) == 2
    assert "unauthorized" in capsys.readouterr().err


def test_a_stream_that_is_lost_keeps_what_was_found(streamrnn, capsys, server, sound_path, tmp_path, monkeypatch):
    feed, fed = Client.feed, []

    def lose(client: Client, chunk):
        fed.append(chunk)
        if len(fed) == 20:
            raise client._stream.lost("cable cut")
        events = feed(client, chunk)
        if len(fed) == 19:
            client._talk_until(lambda: events or client._stream.has_events)
        return events + client._stream.take_events()

    monkeypatch.setattr(Client, "feed", lose)
    files = ("--srt", tmp_path / "a.srt", *EVERYTHING_IS_SPEECH)
    assert streamrnn("run", "small", sound_path, "--server", server, *files) == 2
    printed = capsys.readouterr()
    assert "speech_start" in printed.out and "-->" in (tmp_path / "a.srt").read_text()
    assert "cable cut" in printed.err.splitlines()[-1]


def test_it_needs_no_jax_here(server, sound_path):
    code = (
        "import sys; from streamrnn.cli import main; status = main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "run", "small", str(sound_path), "--server", server]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert set(ended.stderr.splitlines()[-1].split()) & {"jax", "flax", "starlette", "uvicorn"} == set()
