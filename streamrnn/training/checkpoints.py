"""Checkpoints of a training run: the last, to go on from, and the best, to ship."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


class Checkpoints:
    """The checkpoints of one run in one folder: `last` and `best` (highest metric). Writes are atomic (Orbax).

    Args:
        folder: made if missing.
        identity: what the run is (task, model, settings), JSON-friendly; a folder of another run is refused.

    Raises:
        ValueError: the folder holds a run with another identity; the message names what differs.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder / "run.json", identity)
        self._last = ocp.CheckpointManager(folder / "last", options=ocp.CheckpointManagerOptions(max_to_keep=1))
        self._best = ocp.CheckpointManager(folder / "best", options=ocp.CheckpointManagerOptions(max_to_keep=1))

    @property
    def last_step(self) -> int | None:
        """The step of the last checkpoint; None in a fresh folder."""
        return self._last.latest_step()

    def save(self, step: int, tree: Any, best: bool = False) -> None:
        """Writes the tree of arrays and Python numbers as the last checkpoint, and as the best one if it is."""
        # The best first: a run killed between the two resumes before this step and finds it again.
        for manager in (self._best, self._last) if best else (self._last,):
            manager.save(step, args=ocp.args.StandardSave(tree))
            manager.wait_until_finished()

    def restore(self, like: Any, best: bool = False) -> Any:
        """The last (or the best) checkpoint's tree, with the structure, shapes and dtypes of `like`.

        Raises:
            FileNotFoundError: nothing was saved yet.
        """
        manager = self._best if best else self._last
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Ends Orbax's background threads."""
        self._last.close()
        self._best.close()


def last_step(folder: Path) -> int | None:
    """The step of the last checkpoint in a run's folder, whichever run it is; None where there is none."""
    steps = [int(step.name) for step in (folder / "last").glob("*") if step.name.isdigit()]
    return max(steps, default=None)


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
