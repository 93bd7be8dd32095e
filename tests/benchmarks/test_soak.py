"""What a soak does to a server, and what it says of it."""

import asyncio
import io
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from flax import nnx
from rich.console import Console

from benchmarks import soak
from benchmarks.soak_callers import Faults
from benchmarks.soak_strangers import STRANGERS, visit
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.server_process import stream_url
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.listen import listening, web_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server of a model, in a thread."""
    model = VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=nnx.Rngs(0))
    model.eval()
    settings = ServerSettings(port=0, max_streams=8, hello_s=0.2)
    ready = threading.Event()
    with listening(settings) as sock:
        web = web_server(make_app({"model": model}, settings), settings, ready.set)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [sock]})
        thread.start()
        assert ready.wait(60)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        web.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_every_stranger_is_answered_as_the_protocol_says(url, stranger):
    faults = Faults(Counter(), [])
    asyncio.run(visit(stream_url(url), None, stranger, faults))
    assert faults.problems == [] and faults.counts == {f"refused: {stranger.name}": 1}


def test_a_soaks_report_names_its_problems():
    report = {"machine": describe_machine(), "model": "vad", "streams": 2, "minutes": 1.0} | {
        "counts": {"connections dropped": 3},
        "figures": [{"name": soak.WRONG, "value": 1, "target": 0.0, "met": False}],
        "problems": ["wrong events: conversation 1"],
    }
    console = Console(record=True, width=160, file=io.StringIO())
    soak.print_report(report, console)
    printed = console.export_text()
    for text in ("connections dropped", soak.WRONG, "no", "conversation 1"):
        assert text in printed


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"streams": 0}])
def test_a_soak_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        soak.bench_soak("vad", **wrong)
