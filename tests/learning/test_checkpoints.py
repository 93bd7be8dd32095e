"""Checkpoints: what comes back, what is kept, and whose folder it is."""

import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.learning import checkpoints as module
from streamrnn.learning.checkpoints import Checkpoints, last_step

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


def arrays(value: float) -> dict[str, Any]:
    return {"weights": jnp.full(3, value), "count": jnp.int32(7), "nothing": ()}


def counters(value: float) -> dict[str, float]:
    return {"step": 2, "best": 0.1 + value, "worst": -math.inf}


def steps_on_disk(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.isdigit())


def test_a_fresh_folder_has_no_last_step_and_nothing_to_restore(opened, tmp_path):
    checkpoints = opened()
    assert checkpoints.last_step is None and last_step(tmp_path / "run") is None
    for restore in (lambda: checkpoints.restore(arrays(0)), checkpoints.restore_counters):
        with pytest.raises(FileNotFoundError):
            restore()


def test_the_last_and_the_best_come_back_each_as_it_was(opened, tmp_path):
    first = opened()
    first.save_best(1, arrays(1.0))
    first.save(2, arrays(2.0), counters(2.0))
    again = opened()
    assert again.last_step == last_step(tmp_path / "run") == 2
    assert again.restore_counters() == counters(2.0)
    for restored, saved in ((again.restore(arrays(0)), arrays(2.0)), (again.restore_best(arrays(0)), arrays(1.0))):
        assert jax.tree.structure(restored) == jax.tree.structure(saved)
        assert restored["count"].dtype == jnp.int32
        np.testing.assert_array_equal(restored["weights"], saved["weights"])


def test_arrays_of_no_elements_come_back(opened):
    saved = {"state": (jnp.zeros((2, 0)), jnp.arange(3)), "waiting": jnp.zeros((0, 4), jnp.complex64)}
    opened().save(1, saved, counters(1.0))
    restored = opened().restore(jax.tree.map(jnp.zeros_like, saved))
    kinds = [jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (restored, saved)]
    assert kinds[0] == kinds[1]
    np.testing.assert_array_equal(restored["state"][1], [0, 1, 2])


def test_one_last_and_one_best_checkpoint_are_kept(opened, tmp_path):
    checkpoints = opened()
    for step in (1, 2, 3):
        if step < 3:
            checkpoints.save_best(step, arrays(step))
        checkpoints.save(step, arrays(step), counters(step))
    assert steps_on_disk(tmp_path / "run/last") == ["3"]
    assert steps_on_disk(tmp_path / "run/best") == ["2"]


def test_a_run_killed_between_its_two_checkpoints_resumes_before_them_and_loses_neither(opened):
    first = opened()
    first.save_best(1, arrays(1.0))
    first.save(1, arrays(1.0), counters(1.0))
    first.save_best(2, arrays(2.0))
    resumed = opened()
    assert resumed.last_step == 1
    resumed.save_best(2, arrays(2.0))
    resumed.save(2, arrays(2.0), counters(2.0))
    assert resumed.last_step == 2
    np.testing.assert_array_equal(resumed.restore_best(arrays(0))["weights"], arrays(2.0)["weights"])


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Writing more into a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(seed: int) -> dict[str, jax.Array]:
    """40 kB that can't be compressed."""
    return {"weights": jax.random.normal(jax.random.key(seed), (100, 100))}


def test_a_full_disk_is_named_and_the_last_good_checkpoint_survives(opened, capfd):
    checkpoints, first, second = opened(), noise(1), noise(2)
    with files_up_to(20_000), pytest.raises(OSError, match=r"of step 1 could not be .*; none was written before"):
        checkpoints.save(1, first, {})
    checkpoints.save(1, first, {"step": 1})
    for save in (lambda: checkpoints.save(2, second, {}), lambda: checkpoints.save_best(2, second)):
        with files_up_to(20_000), pytest.raises(OSError, match=r"; that of step 1 is kept\. The cause: File too large"):
            save()
    assert capfd.readouterr() == ("", "")
    again = opened()
    assert again.restore_counters() == {"step": 1}
    np.testing.assert_array_equal(again.restore(noise(0))["weights"], first["weights"])
    again.save(2, second, {"step": 2})
    assert again.last_step == 2


def test_what_is_no_matter_of_disks_is_not_blamed_on_them(opened):
    with pytest.raises(ValueError, match="empty"):
        opened().save_best(1, {})


def saved(opened, folder: Path) -> list[Path]:
    """All files of a run with both checkpoints."""
    first = opened()
    first.save_best(1, noise(1))
    first.save(2, noise(2), counters(2.0))
    first.close()
    return sorted(path for path in folder.rglob("*") if path.is_file())


def changed(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize("damage", [changed, lambda content: content[: len(content) // 2], None])
def test_a_checkpoint_with_any_file_damaged_or_gone_is_an_error_that_names_it(opened, tmp_path, damage):
    run = tmp_path / "run"
    files = [path for path in saved(opened, run) if path.parent != run and path.stat().st_size]
    for path in files:
        whole = path.read_bytes()
        path.unlink() if damage is None else path.write_bytes(damage(whole))
        with pytest.raises(ValueError, match=r"The checkpoint .*run/(last/2|best/1) is damaged: .*or delete it"):
            again = opened()
            again.restore(noise(0)), again.restore_counters(), again.restore_best(noise(0))
        path.write_bytes(whole)
    again = opened()
    np.testing.assert_array_equal(again.restore(noise(0))["weights"], noise(2)["weights"])


@pytest.mark.parametrize("content", ['{"st', "[]"])
@pytest.mark.parametrize("name", ["run.json", "last.json", "best.json"])
def test_a_damaged_file_about_a_run_is_named(opened, tmp_path, name, content):
    saved(opened, tmp_path / "run")
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        opened()


def test_half_a_copy_of_a_checkpoint_is_named(opened, tmp_path):
    saved(opened, tmp_path / "run")
    (tmp_path / "run" / "last" / "9").mkdir()
    with pytest.raises(ValueError, match=r"last/9 is damaged: it is not whole"):
        opened().restore_counters()


def test_only_a_full_disk_asks_for_room(opened, tmp_path, monkeypatch):
    def gone(*_):
        raise OSError(5, "Input/output error")

    checkpoints = opened()
    monkeypatch.setattr(module, "_write_sums", gone)
    with pytest.raises(OSError, match=r"The cause: Input/output error\. Mend it, and the same command goes on"):
        checkpoints.save(1, noise(1), counters(1.0))


def test_a_run_killed_before_the_sums_of_a_checkpoint_goes_on_from_it(opened, tmp_path, monkeypatch):
    first = opened()
    first.save(1, noise(1), counters(1.0))
    monkeypatch.setattr(module, "_write_sums", lambda *_: None)
    first.save(2, noise(2), counters(2.0))
    again = opened()
    assert again.last_step == 2
    np.testing.assert_array_equal(again.restore(noise(0))["weights"], noise(2)["weights"])


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
