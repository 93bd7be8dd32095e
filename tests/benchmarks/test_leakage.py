"""What networks give away is compared where they are as accurate."""

import pytest

from benchmarks.leakage import at_equal_accuracy


def row(core: str, others: float, auc: float) -> dict:
    return {"core": core, "others": others, "clip": {"auc": auc}, "speaker": {"auc": auc + 0.1}}


def test_cores_are_compared_at_the_highest_accuracy_that_all_reach():
    rows = [row("a", 0.5, 0.5), row("a", 0.7, 0.6), row("a", 0.9, 0.8), row("b", 0.6, 0.5), row("b", 0.8, 0.7)]
    found = at_equal_accuracy(rows)
    assert found["accuracy"] == 0.8
    assert found["auc"]["a"] == pytest.approx({"clip": 0.7, "speaker": 0.8})
    assert found["auc"]["b"] == pytest.approx({"clip": 0.7, "speaker": 0.8})


def test_a_core_that_begins_above_is_taken_as_it_begins():
    assert at_equal_accuracy([row("a", 0.9, 0.6), row("b", 0.5, 0.4)])["auc"]["a"]["clip"] == 0.6
