"""The log of a training run: metrics.jsonl and, on request, TensorBoard."""

import json
from pathlib import Path
from typing import Any

from streamrnn.replacing import replace_file


class MetricsLog:
    """One line per logged step in `folder`/metrics.jsonl; scalars in `folder`/tensorboard.

    Args:
        folder: of the run; must exist.
        step: where the run starts or resumes. Later lines, of a lost part, are dropped.
        tensorboard: also write event files for TensorBoard.

    Raises:
        ImportError: TensorBoard is requested, but tensorboardX is not installed.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = False):
        self._path = folder / "metrics.jsonl"
        self._board = _tensorboard(folder / "tensorboard", step) if tensorboard else None
        self._keep_until(step)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Adds a line with these figures."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends TensorBoard's background thread."""
        if self._board is not None:
            self._board.close()

    def _keep_until(self, step: int) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        replace_file(self._path, b"".join(line for line in lines if _step_of(line) <= step))


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        # The incomplete last line of a killed run, or what a disk made of one.
        return float("inf")


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            'TensorBoard\'s files need the package tensorboardX. Install it: pip install "streamrnn[tensorboard]"'
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)


__all__ = ["MetricsLog"]
