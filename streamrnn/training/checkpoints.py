"""Checkpoints of a training run: the last, to go on from, and the best, to ship."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from streamrnn.training.devices import is_main

Args = ocp.args.Composite


class Checkpoints:
    """The checkpoints of one run in one folder: `last` and `best`. Writes are atomic (Orbax).

    Arrays may be spread over devices and processes; they come back on those of what they are restored like.

    Args:
        folder: made if missing; several processes need it on a file system that they share.
        identity: what the run is (task, model, settings), JSON-friendly; a folder of another run is refused.

    Raises:
        ValueError: the folder holds a run with another identity; the message names what differs.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if is_main():
            _claim(folder / "run.json", identity)
        self.folder, self._last, self._best = folder, _manager(folder / "last"), _manager(folder / "best")

    @property
    def last_step(self) -> int | None:
        """The step of the last checkpoint; None in a fresh folder."""
        return self._last.latest_step()

    def save(self, step: int, arrays: Any, counters: dict[str, float]) -> None:
        """Writes a pytree of arrays, and some numbers, as the last checkpoint.

        Raises:
            OSError: it could not be written (the disk is full); the last one that could is kept.
        """
        items = Args(arrays=ocp.args.StandardSave(_not_empty(arrays)), counters=ocp.args.JsonSave(counters))
        with self._kept_on_errors(step):
            self._last.save(step, args=items)

    def save_best(self, step: int, weights: Any) -> None:
        """Writes the weights as the best ones. Call it before `save`.

        A run killed between the two resumes before this step and finds it again.

        Raises:
            OSError: see save.
        """
        with self._kept_on_errors(step):
            self._best.save(step, args=Args(weights=ocp.args.StandardSave(weights)))

    def restore(self, like: Any) -> Any:
        """The last checkpoint's arrays, with the structure, shapes, dtypes and shardings of `like`.

        Raises:
            FileNotFoundError: nothing was saved yet.
        """
        stored = self._last.restore(self.last_step, args=Args(arrays=_restored_as(_not_empty(like))))["arrays"]
        return jax.tree.map(lambda leaf, found: found if leaf.size else leaf, like, stored)

    def restore_counters(self) -> dict[str, Any]:
        """The last checkpoint's numbers.

        Raises:
            FileNotFoundError: nothing was saved yet.
        """
        return self._last.restore(self.last_step, args=Args(counters=ocp.args.JsonRestore()))["counters"]

    def restore_best(self, like: Any) -> Any:
        """The best weights; see restore."""
        return self._best.restore(self._best.latest_step(), args=Args(weights=_restored_as(like)))["weights"]

    def close(self) -> None:
        """Ends Orbax's background threads."""
        self._last.close()
        self._best.close()

    @contextmanager
    def _kept_on_errors(self, step: int) -> Iterator[None]:
        # What fails is raised; Orbax would also log it, once for each thread.
        log = logging.getLogger("absl")
        level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            yield
        # TensorStore tells of a full disk by a ValueError.
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and "os_error_code" not in str(error):
                raise
            kept = "none was written before" if self.last_step is None else f"that of step {self.last_step} is kept"
            raise OSError(
                f"The checkpoint of step {step} could not be written to {self.folder}; {kept}. "
                f"The cause: {str(error).rpartition(': ')[2]}. Make room, and the same command goes on."
            ) from error
        finally:
            log.setLevel(level)


def last_step(folder: Path) -> int | None:
    """The step of the last checkpoint in a run's folder, whichever run it is; None where there is none."""
    steps = [int(step.name) for step in (folder / "last").glob("*") if step.name.isdigit()]
    return max(steps, default=None)


def _manager(folder: Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(folder, options=options)


def _not_empty(arrays: Any) -> Any:
    """The arrays without those of no elements, which Orbax does not store: a state has them where nothing waits."""
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, arrays)


def _restored_as(like: Any) -> Any:
    return ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, like))


def _claim(path: Path, identity: dict[str, Any]) -> None:
    # A trip through JSON, so that tuples equal the lists that come back.
    identity = json.loads(json.dumps(identity))
    if not path.exists():
        # Written aside and moved: a run killed here leaves no half of a file.
        aside = path.with_suffix(".json.part")
        aside.write_text(json.dumps(identity, indent=2) + "\n")
        os.replace(aside, path)
        return
    if differences := _differences(json.loads(path.read_text()), identity):
        raise ValueError(
            f"{path.parent} holds another run: {'; '.join(differences)}. "
            "Choose another --out, or delete that folder to start anew."
        )


def _differences(there: Any, here: Any, name: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        keys = sorted({*there, *here})
        return [d for key in keys for d in _differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))]
    return [] if there == here else [f"{name} is {there} there and {here} here"]


__all__ = ["Checkpoints", "last_step"]
