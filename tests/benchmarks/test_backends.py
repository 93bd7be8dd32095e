"""What `python -m benchmarks backends` tells of the device at hand."""

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import backends
from benchmarks.backends import compare_backends, print_report
from streamrnn.layers.backends import Backend
from streamrnn.layers.gated_scans import plain_scan


def test_every_backend_of_this_platform_agrees_with_plain_steps(capsys):
    report = compare_backends(("gru", "mingru"), batch=3, frames=5, hidden=4)
    ways = [("gru", "scan"), ("mingru", "scan"), ("mingru", "associative")]
    assert [(row["cell"], row["backend"]) for row in report["rows"]] == ways
    assert all(row["agrees"] and row["gradients"] < 1e-4 for row in report["rows"])
    json.dumps(report)
    print_report(report)
    assert "associative" in capsys.readouterr().out


def test_wrong_gradients_and_kernels_that_fail_are_told(monkeypatch):
    def without_gradients(cell, state, x):
        return jax.lax.stop_gradient(plain_scan(cell, state, x))

    def failing(cell, state, x):
        raise RuntimeError("no such instruction")

    def with_nan(cell, state, x):
        state, y = plain_scan(cell, state, x)
        return state, y.at[0, 0, 0].set(jnp.nan)

    for name, run in (("a", without_gradients), ("b", failing), ("c", with_nan)):
        monkeypatch.setitem(backends.BACKENDS, name, Backend(run, lambda cell: None))
    rows = {row["backend"]: row for row in compare_backends(("gru",), batch=2, frames=3, hidden=4)["rows"]}
    assert [rows[name]["agrees"] for name in ("scan", "a", "b", "c")] == [True, False, False, False]
    assert rows["a"]["outputs"] < 1e-6 and rows["a"]["gradients"] > 0.1
    assert rows["b"]["error"] == "no such instruction"


def test_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match="there is no cell 'qrnn'"):
        compare_backends(("qrnn",))
    with pytest.raises(ValueError, match="dtype is 'float16'"):
        compare_backends(dtype="float16")
