"""What networks remember: the tasks are what the papers say, gradients fade, and trainings end when they should."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from benchmarks import memory
from benchmarks.memory import LEARNERS, RECURRENT, MemoryEffort, compare_memory, gradient_norms, learned
from benchmarks.memory_report import print_report
from benchmarks.memory_tasks import ADDING, BLANK, COPYING, GO, SYMBOLS, TO_COPY

KEY = jax.random.key(0)


def test_sums_are_of_two_marked_numbers_one_in_each_half():
    x, sums = ADDING.draw(KEY, 50, 11)
    numbers, marks = np.asarray(x[..., 0]), np.asarray(x[..., 1])
    assert x.shape == (50, ADDING.frames(11), ADDING.in_features)
    assert (marks[:, :5].sum(axis=1) == 1).all() and (marks[:, 5:].sum(axis=1) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(axis=1), sums, rtol=1e-6)
    assert numbers.min() >= 0 and numbers.max() < 1


def test_a_guess_of_one_is_right_as_often_as_chance_has_it():
    _, sums = ADDING.draw(KEY, 20_000, 20)
    assert float(ADDING.right(jnp.ones((20_000, 1, 1)), sums)) == pytest.approx(ADDING.chance, abs=0.01)


def test_copies_follow_the_symbols_a_wait_and_a_sign_to_go():
    x, symbols = COPYING.draw(KEY, 6, 5)
    said = np.asarray(jnp.argmax(x, axis=-1))
    assert x.shape == (6, COPYING.frames(5), COPYING.in_features) and said.shape == (6, 25)
    np.testing.assert_array_equal(said[:, :TO_COPY], symbols)
    assert said[0, TO_COPY:].tolist() == [BLANK] * 4 + [GO] + [BLANK] * TO_COPY


@pytest.mark.parametrize("task", [ADDING, COPYING], ids=lambda task: task.name)
def test_the_right_answers_are_all_right_and_cost_nothing_and_others_are_not(task):
    x, truth = task.draw(KEY, 30, 12)
    last = truth[:, None, None] if task is ADDING else 50 * jax.nn.one_hot(truth, SYMBOLS)
    y = jnp.concatenate([jnp.zeros((30, x.shape[1] - last.shape[1], task.out_features)), last], axis=1)
    assert float(task.right(y, truth)) == 1 and float(task.loss(y, truth)) == pytest.approx(0, abs=1e-6)
    wrong = jnp.roll(y, 1, axis=0)
    assert float(task.right(wrong, truth)) < 0.4 and float(task.loss(wrong, truth)) > 0.05


def test_gradients_fade_with_the_lag_and_an_lstm_s_more_slowly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "DRAWS", 2)
    monkeypatch.setattr(memory, "WIDTH", 32)
    norms = {core: gradient_norms(core, 30) for core in ("elman", "lstm")}
    for of_core in norms.values():
        assert of_core["median"][0] == 1 and len(of_core["median"]) == 31
        assert of_core["median"][30] < 0.1 * of_core["median"][5]
        assert all(low <= high for low, high in zip(of_core["p10"], of_core["p90"], strict=True))
    assert norms["lstm"]["median"][30] > 10 * norms["elman"]["median"][30]


def test_each_seed_gets_as_many_updates_and_learns_otherwise():
    row = learned(ADDING, 4, "gru", MemoryEffort(updates=3, seeds=2))
    assert row["updates"] == [3, 3] and len(row["accuracies"]) == 2
    assert row["accuracies"][0] != row["accuracies"][1]
    assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"]), abs=1e-4) and row["chance"] == 0.078


def test_a_training_ends_when_enough_is_right(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "LEARNED", 2 * COPYING.chance)
    row = learned(COPYING, 1, "elman", MemoryEffort(updates=500, seeds=1))
    assert row["updates"][0] < 500
    assert row["accuracy"] >= 2 * COPYING.chance


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict:
    """As compare_memory makes it, with figures that took no time."""

    def row(task, length, core, effort) -> dict:
        figures = {"accuracy": 0.5, "accuracies": [0.375, 0.625], "chance": 0.125, "updates": [7, 9]}
        return {"task": task.name, "length": length, "core": core, "parameters": 1000, **figures}

    fading = {name: [1.0, 0.5, 0.25, 0.125] for name in ("median", "p10", "p90")}
    monkeypatch.setattr(memory, "configure", lambda: None)
    monkeypatch.setattr(memory, "learned", row)
    monkeypatch.setattr(memory, "gradient_norms", lambda core, lags_frames: fading)
    return json.loads(json.dumps(compare_memory(MemoryEffort(lengths=(20, 50)))))


def test_every_network_learns_every_task_at_every_length(report: dict):
    expected = [(t, n, core) for t in ("adding", "copying") for n in (20, 50) for core in LEARNERS]
    assert [(row["task"], row["length"], row["core"]) for row in report["tasks"]] == expected
    assert list(report["gradients"]) == list(RECURRENT)


def test_the_report_is_printed_as_tables(report: dict):
    console = Console(record=True, width=120, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    assert printed.count("copying") == 2 * len(LEARNERS)
    for text in (report["machine"]["cpu"], "0.12", "50.0", "37.5", "62.5", "12.5", "7, 9"):
        assert text in printed
