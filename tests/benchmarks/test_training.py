"""What `python -m benchmarks train` reports; never how fast it is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from benchmarks import training
from benchmarks.training import JaxUpdate, Size, Stack, bench_train, flops_per_frame, print_report

TINY = Size(batch=2, frames=5, hidden=4, layers=2)


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        # It is the process's, which other tests share.
        patch.setattr(training, "configure", lambda: None)
        patch.setattr(training, "keep_memory", lambda: None)
        return bench_train(("gru", "mingru"), TINY, rounds=2)


def test_every_way_of_every_cell_has_a_row_and_the_rest_is_named(report):
    rows = [(row["cell"], row["contender"]) for row in report["rows"]]
    ours = [("gru", "streamrnn, scan"), ("mingru", "streamrnn, scan"), ("mingru", "streamrnn, associative")]
    assert set(ours) | {("gru", "flax.nnx.RNN")} <= set(rows)
    assert (("gru", "torch") in rows) != any(each["name"] == "torch" for each in report["missing"])
    assert all(0 < row["p10"] <= row["frames_per_s"] <= row["p90"] for row in report["rows"])
    assert ("gru", "flax.nnx.RNN") in [(each["cell"], each["name"]) for each in report["ratios"]]


def test_the_report_is_json_and_prints_as_tables(report):
    json.dumps(report)
    console = Console(record=True, width=200)
    print_report(report, console)
    printed = console.export_text()
    assert "streamrnn, associative" in printed and "2 recordings of 5 frames" in printed


def test_an_update_makes_the_outputs_smaller():
    update = JaxUpdate(Stack("gru", "scan", TINY, jnp.dtype("float32")), TINY, jnp.float32)
    before = jax.tree.map(np.asarray, update._state[0])
    for _ in range(60):
        update()
    graph, _, rest = nnx.split(Stack("gru", "scan", TINY, jnp.dtype("float32")), nnx.Param, ...)
    powers = [
        float(jnp.square(nnx.merge(graph, weights, rest)(update._x)).mean()) for weights in (before, update._state[0])
    ]
    assert powers[1] < 0.9 * powers[0]


def test_operations_are_those_of_the_equations():
    # Two layers, three gates, inputs and state of four numbers, a multiplication and an addition, three times.
    assert flops_per_frame("gru", TINY) == 2 * 3 * (4 + 4) * 4 * 2 * 3
    assert flops_per_frame("mingru", TINY) == 2 * 2 * 4 * 4 * 2 * 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: bench_train(("grru",), TINY), "cell 'grru'; it knows elman, gru, lstm, mingru, minlstm, rglru"),
        (lambda: bench_train(("gru",), TINY, dtype="int8"), "dtype='int8'; pass float32 or bfloat16"),
        (lambda: bench_train(("gru",), TINY, rounds=0), "rounds=0; it must be at least 1"),
        (lambda: Size(frames=0), "frames=0; it must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
