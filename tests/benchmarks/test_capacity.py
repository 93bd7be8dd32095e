"""The simulation of capacity: what follows from its costs by hand, and what must grow with load and loss."""

import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.capacity import Costs, lateness_s, simulate_capacity

EASY = Costs(tick_cost_ms=2.0, stream_ms=2.0, model_ms=1.0, tick_ms=20.0, message_ms=100.0)


def test_a_message_is_answered_at_the_end_of_its_tick():
    # Handled from 5 to 5.1 ms; a tick from 20 to 22.1 ms. The next two are handled before the tick from 40 to 42.2 ms.
    assert lateness_s(np.array([0.005, 0.025, 0.03]), EASY) == pytest.approx([0.0171, 0.0172, 0.0122])


def test_messages_wait_while_a_tick_works():
    # At 21 ms the tick works until 22.1 ms; it is handled after that, and answered by the tick from 40 to 42.1 ms.
    assert lateness_s(np.array([0.005, 0.021]), EASY) == pytest.approx([0.0171, 0.0211])


def test_a_process_falls_behind_beyond_the_streams_that_fill_it():
    assert EASY.most_streams == 450 and EASY.load(450) == pytest.approx(1)
    half, full, beyond = simulate_capacity([225, 440, 540], [2], EASY, 5, 1.0)["alone"]
    assert half["p99_ms"] < full["p99_ms"] < 60
    assert beyond["p99_ms"] > 500


def test_nodes_that_are_left_recover_only_where_they_have_room():
    rows = {(row["streams"], row["nodes"]): row for row in simulate_capacity([200, 300], [2, 4], EASY, 1, 1.0)["lost"]}
    assert rows[200, 4]["back_s"] is not None and rows[300, 4]["back_s"] is not None
    # Two nodes of 300 leave one with 600.
    assert rows[300, 2]["load"] > 1 and rows[300, 2]["back_s"] is None
    assert rows[200, 2]["load"] > rows[200, 4]["load"]


def test_it_is_asked_for_by_name_and_drawn(capsys, tmp_path):
    flags = ["--streams", "50", "90", "--nodes", "2", "--seconds", "1", "--plot", str(tmp_path / "c.png"), "--json"]
    main(["capacity", *flags, "--tick-cost-ms", "3"])
    report = json.loads(capsys.readouterr().out)
    assert report["costs"]["tick_cost_ms"] == 3 and [row["streams"] for row in report["alone"]] == [50, 90]
    assert (tmp_path / "c.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nodes", "1"], "nodes is 1; each must be 2 or more"),
        (["--streams", "0"], "streams is 0; each must be 1 or more"),
        (["--model-ms", "5"], "model_ms is 5.0; it is a part of stream_ms"),
        (["--tick-cost-ms", "0"], "tick_cost_ms is 0.0; it must be above 0"),
        (["--outage-s", "9"], "outage_s 9.0; they must be"),
    ],
)
def test_what_cannot_be_simulated_is_said(flags, message):
    with pytest.raises(SystemExit, match=message):
        main(["capacity", *flags])
