"""Checkpoints of a training run: the last, to resume from, and the best, to ship."""

import errno
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from streamrnn.comparing import as_kept
from streamrnn.learning.devices import is_main
from streamrnn.replacing import replace_file

Args = ocp.args.Composite
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoints:
    """The checkpoints of one run in one folder: `last` and `best`. Writes are atomic (Orbax).

    Checksums of their files are stored beside them, in last.json and best.json: a damaged checkpoint is an error, never
    a start from wrong numbers.

    Arrays may be spread over devices and processes; they are restored with the sharding of `like`.

    Args:
        folder: created if missing; several processes need it on a shared file system.
        identity: task, model and settings of the run, JSON-friendly; a folder of another run is refused.

    Raises:
        ValueError: the folder holds a run with another identity (the message names the differences), its last
            checkpoint is missing, or its run.json is damaged.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if is_main():
            claim_run(folder / "run.json", identity)
        self.folder, self._last, self._best = folder, _manager(folder / "last"), _manager(folder / "best")
        for manager in (self._last, self._best):
            _require_there(manager)

    @property
    def last_step(self) -> int | None:
        """The step of the last checkpoint; None in a fresh folder."""
        return self._last.latest_step()

    def save(self, step: int, arrays: Any, counters: dict[str, float]) -> None:
        """Writes a pytree of arrays and some numbers as the last checkpoint.

        Raises:
            OSError: it could not be written (the disk is full); the previous one is kept.
        """
        items = Args(arrays=ocp.args.StandardSave(_not_empty(arrays)), counters=ocp.args.JsonSave(counters))
        with self._kept_on_errors(step):
            self._last.save(step, args=items)
            _write_sums(self._last, step)

    def save_best(self, step: int, weights: Any) -> None:
        """Writes the weights as the best ones. Call it before `save`.

        A run killed between the two resumes before this step and repeats it.

        Raises:
            OSError: see save.
        """
        with self._kept_on_errors(step):
            self._best.save(step, args=Args(weights=ocp.args.StandardSave(weights)))
            _write_sums(self._best, step)

    def restore(self, like: Any) -> Any:
        """The last checkpoint's arrays, with the structure, shapes, dtypes and shardings of `like`.

        Raises:
            FileNotFoundError: nothing was saved yet.
            ValueError: the checkpoint is damaged.
        """
        stored = _restored(self._last, Args(arrays=_restored_as(_not_empty(like))))["arrays"]
        return jax.tree.map(lambda leaf, found: found if leaf.size else leaf, like, stored)

    def restore_counters(self) -> dict[str, Any]:
        """The last checkpoint's numbers.

        Raises:
            FileNotFoundError: nothing was saved yet.
            ValueError: the checkpoint is damaged.
        """
        return _restored(self._last, Args(counters=ocp.args.JsonRestore()))["counters"]

    def restore_best(self, like: Any) -> Any:
        """The best weights; see restore."""
        return _restored(self._best, Args(weights=_restored_as(like)))["weights"]

    def close(self) -> None:
        """Ends Orbax's background threads."""
        self._last.close()
        self._best.close()

    @contextmanager
    def _kept_on_errors(self, step: int) -> Iterator[None]:
        # Errors are raised; Orbax would also log them, once for each thread.
        log = logging.getLogger("absl")
        level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            yield
        # TensorStore raises a ValueError for a full disk.
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and "os_error_code" not in str(error):
                raise
            cause = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
            full = getattr(error, "errno", None) in FULL or "os_error_code='28'" in str(error)
            kept = "none was written before" if self.last_step is None else f"that of step {self.last_step} is kept"
            raise OSError(
                f"The checkpoint of step {step} could not be written to {self.folder}; {kept}. "
                f"The cause: {cause}. {'Make room' if full else 'Mend it'}, and the same command goes on."
            ) from error
        finally:
            log.setLevel(level)


def last_step(folder: Path) -> int | None:
    """The step of the last checkpoint in a folder, whatever its run; None if there is none."""
    steps = [int(step.name) for step in (folder / "last").glob("*") if step.name.isdigit()]
    return max(steps, default=None)


def _manager(folder: Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(folder, options=options)


def _sums_file(manager: ocp.CheckpointManager) -> Path:
    return Path(f"{manager.directory}.json")


def _sums(manager: ocp.CheckpointManager, step: int) -> dict[str, str]:
    """The checksum of each file of a checkpoint, by its path in it."""
    folder = Path(manager.directory) / str(step)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in files
    }


def _write_sums(manager: ocp.CheckpointManager, step: int) -> None:
    # After the checkpoint: if a run is killed here, the checksums are of the step before and are not used.
    if is_main():
        replace_file(_sums_file(manager), _as_json({"step": step, "sums": _sums(manager, step)}))


def _written_sums(manager: ocp.CheckpointManager) -> dict[str, Any]:
    file = _sums_file(manager)
    return _read_json(file) if file.exists() else {"step": None, "sums": {}}


def _require_there(manager: ocp.CheckpointManager) -> None:
    step, latest = _written_sums(manager)["step"], manager.latest_step()
    if step is not None and (latest is None or latest < step):
        raise _damage(manager, step, "it is gone, or was not written to its end")


def _restored(manager: ocp.CheckpointManager, args: Args) -> Any:
    step, written = manager.latest_step(), _written_sums(manager)
    if step is not None and step == written["step"]:
        found = _sums(manager, step)
        if changed := sorted(
            name for name in {*found, *written["sums"]} if found.get(name) != written["sums"].get(name)
        ):
            raise _damage(manager, step, f"{changed[0]} is not what was written")
    try:
        return manager.restore(step, args=args)
    except KeyError as error:
        raise _damage(manager, step or 0, "it is not whole") from error


def _damage(manager: ocp.CheckpointManager, step: int, how: str) -> ValueError:
    folder = Path(manager.directory)
    return ValueError(
        f"The checkpoint {folder / str(step)} is damaged: {how}. Restore {folder.parent} from a copy, or delete it to "
        "start anew."
    )


def _as_json(content: dict[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2)}\n".encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return found
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Restore {path.parent} from a copy, or delete it to start anew."
        ) from error


def _not_empty(arrays: Any) -> Any:
    """The arrays without empty ones, which Orbax does not store: a state has them for delays of no frames."""
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, arrays)


def _restored_as(like: Any) -> Any:
    return ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, like))


def claim_run(path: Path, identity: dict[str, Any]) -> None:
    """Writes into the file which run its folder holds. Raises ValueError where it holds another one."""
    identity = as_kept(identity)
    if not path.exists():
        replace_file(path, _as_json(identity))
        return
    if differences := _differences(_read_json(path), identity):
        raise ValueError(
            f"{path.parent} holds another run: {'; '.join(differences)}. "
            "Choose another --out, or delete that folder to start anew."
        )


def _differences(there: Any, here: Any, name: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        keys = sorted({*there, *here})
        return [d for key in keys for d in _differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))]
    return [] if there == here else [f"{name} is {there} there and {here} here"]


__all__ = ["Checkpoints", "claim_run", "last_step"]
