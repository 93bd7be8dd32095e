"""Checkpoints: what comes back, what is kept, and whose folder it is."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import CheckpointManager

from streamrnn.training.checkpoints import Checkpoints

RUN = {"task": "vad", "settings": {"steps": 600, "speed": (0.8, 1.2), "training": {"rate": 0.1}}}


@pytest.fixture
def opened(tmp_path):
    """opened(identity) -> the checkpoints in one folder, anew; all are closed at the end."""
    all_opened: list[Checkpoints] = []

    def open_anew(identity: dict[str, Any] = RUN) -> Checkpoints:
        all_opened.append(Checkpoints(tmp_path / "run", identity))
        return all_opened[-1]

    yield open_anew
    for checkpoints in all_opened:
        checkpoints.close()


def tree(value: float) -> dict[str, Any]:
    return {"weights": jnp.full(3, value), "count": jnp.int32(7), "step": 2, "best": 0.1 + value}


def steps_on_disk(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_fresh_folder_has_no_last_step_and_nothing_to_restore(opened):
    checkpoints = opened()
    assert checkpoints.last_step is None
    with pytest.raises(FileNotFoundError):
        checkpoints.restore(tree(0))


def test_the_last_and_the_best_come_back_each_as_it_was(opened):
    first = opened()
    first.save(1, tree(1.0), best=True)
    first.save(2, tree(2.0))
    again = opened()
    assert again.last_step == 2
    for restored, saved in ((again.restore(tree(0)), tree(2.0)), (again.restore(tree(0), best=True), tree(1.0))):
        assert jax.tree.structure(restored) == jax.tree.structure(saved)
        assert restored["best"] == saved["best"] and restored["step"] == 2
        assert restored["count"].dtype == jnp.int32
        np.testing.assert_array_equal(restored["weights"], saved["weights"])


def test_one_last_and_one_best_checkpoint_are_kept(opened, tmp_path):
    checkpoints = opened()
    for step in (1, 2, 3):
        checkpoints.save(step, tree(step), best=step < 3)
    assert steps_on_disk(tmp_path / "run/last") == ["3"]
    assert steps_on_disk(tmp_path / "run/best") == ["2"]


def test_a_run_killed_between_its_two_checkpoints_resumes_before_them_and_loses_neither(opened, monkeypatch):
    first = opened()
    first.save(1, tree(1.0), best=True)
    saves = iter([CheckpointManager.save])
    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(CheckpointManager, "save", lambda *args, **kwargs: next(saves)(*args, **kwargs))
        first.save(2, tree(2.0), best=True)
    resumed = opened()
    assert resumed.last_step == 1
    resumed.save(2, tree(2.0), best=True)
    assert resumed.last_step == 2
    assert resumed.restore(tree(0))["best"] == resumed.restore(tree(0), best=True)["best"] == tree(2.0)["best"]


def test_the_folder_of_the_same_run_opens_again(opened):
    opened()
    opened({"task": "vad", "settings": {"training": {"rate": 0.1}, "speed": [0.8, 1.2], "steps": 600}})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (RUN | {"task": "kws"}, "task is vad there and kws here"),
        (RUN | {"settings": RUN["settings"] | {"steps": 9}}, r"settings\.steps is 600 there and 9 here"),
        (
            RUN | {"settings": RUN["settings"] | {"training": {"rate": 0.2, "clip": 1}}},
            r"run: settings\.training\.clip is None there and 1 here; settings\.training\.rate is 0\.1 there and 0\.2",
        ),
    ],
)
def test_the_folder_of_another_run_is_refused_and_what_differs_is_named(opened, changed, named):
    opened()
    with pytest.raises(ValueError, match=named) as refused:
        opened(changed)
    assert "Choose another --out, or delete that folder" in str(refused.value)
