"""`streamrnn compare`: what is asked for is measured, printed, written and drawn."""

import errno
import json
import os
import struct
from pathlib import Path

import pytest

from streamrnn.bench.online import FULL, QUICK, SYSTEMS

MACHINE = {"cpu": "A processor", "cores": 2, "load_average": 0.1, "system": "Linux"}
TIMES = {"p50_us": 35.0, "p99_us": 80.0, "p10_us": 34.0, "p90_us": 36.0, "first_block_ms": 0.1}
SERVED = {"streams_per_core": 285.7, "streams_per_gb": 250_000.0}


def online_row(system: str, position_s: float, **more) -> dict:
    counted = {"frames": 100, "room_frames": None, "state_bytes": 4000, "multiply_adds": 200_000, "read_us": 1.0}
    return {"system": system, "position_s": position_s, **counted, "note": None, **TIMES, **SERVED, **more}


ONLINE = {
    "machine": MACHINE,
    "model": "vad",
    "deadline_ms": 10.0,
    "counted": "multiply-adds",
    "systems": [
        {"system": name, "parameters": 205_000, "late_from_s": late_s, "timed_to_s": 60, **SERVED}
        for name, late_s in (("gru", None), ("transformer", 160.0))
    ],
    "rows": [online_row(name, position_s) for name in ("gru", "transformer") for position_s in (1, 60)],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """What was asked to be measured; nothing is."""
    calls = []

    def measure(report):
        def record(*arguments, **more):
            calls.append((arguments, more))
            return report

        return record

    monkeypatch.setattr("streamrnn.bench.online.compare_online", measure(ONLINE))
    return calls


def width(picture: Path) -> int:
    return struct.unpack(">I", picture.read_bytes()[16:20])[0]


def test_without_flags_all_systems_are_measured_quickly_and_a_table_is_printed(streamrnn, capsys, asked):
    assert streamrnn("compare") == 0
    assert asked == [((SYSTEMS, QUICK), {})]
    printed = capsys.readouterr().out
    assert "about 2.67 min" in printed and "never" in printed


def test_what_is_asked_for_is_measured_written_and_drawn(streamrnn, capsys, asked, tmp_path):
    flags = ("--systems", "gru", "transformer")
    assert streamrnn("compare", "--full", *flags, "--json", tmp_path / "a.json", "--plot", tmp_path / "figures") == 0
    assert asked == [((("gru", "transformer"), FULL), {})]
    assert json.loads((tmp_path / "a.json").read_text()) == ONLINE
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == ["latency.png", "state.png"]
    assert {width(tmp_path / "figures" / name) for name in drawn} == {1600}
    assert f"wrote {tmp_path / 'figures' / 'latency.png'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--systems", "gruu"), "There is no system 'gruu'. Did you mean 'gru'? Systems are: elman, gru"),
        (("--quick", "--full"), "--quick and --full"),
        (("--json", "no/such/folder/a.json"), "no/such/folder/a.json: cannot write (No such file"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(streamrnn, capsys, asked, flags, said):
    assert streamrnn("compare", *flags) == 2
    assert said in capsys.readouterr().err
    assert asked == []


def test_what_could_not_be_measured_leaves_no_file_and_what_cannot_be_written_is_printed(
    streamrnn, capsys, asked, tmp_path, monkeypatch
):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("streamrnn.cli.compare.replace_file", full)
    assert streamrnn("compare", "--json", tmp_path / "a.json") == 2
    told = capsys.readouterr()
    assert "about 2.67 min" in told.out and "a.json: No space left" in told.err
    monkeypatch.setattr("streamrnn.bench.online.compare_online", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        streamrnn("compare", "--json", tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_table_is_printed_and_a_plot_names_the_extra(
    streamrnn, capsys, asked, tmp_path, monkeypatch
):
    monkeypatch.setattr("streamrnn.cli.plot.find_spec", lambda name: None)
    assert streamrnn("compare") == 0
    assert "transformer" in capsys.readouterr().out
    assert streamrnn("compare", "--plot", tmp_path / "figures") == 2
    told = 'drawing a picture needs the package matplotlib: pip install "streamrnn[plot]"'
    assert capsys.readouterr().err == f"streamrnn: {told}\n"
    assert len(asked) == 1 and not (tmp_path / "figures").exists()
