"""`streamrnn run` for models of anything but sound: lines of text in, an answer per line out."""

import dataclasses
import json
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from streamrnn.cli.decision import SHIPPED
from streamrnn.cli.interrupt import ending_of, until_interrupted
from streamrnn.cli.outputs import check_outputs
from streamrnn.lines import LineError, Lines
from streamrnn.tasks import Task, find_task

if TYPE_CHECKING:
    from streamrnn.cli.plot_forecast import Fans
    from streamrnn.runtime import Stream

# Flags that mean something for sound alone.
OF_SOUND = (
    *("srt", "out", "labels", "utterances", "pre_roll_ms", "longest_s"),
    *("realtime", "sample_rate", "channels", "encoding", "channel", "device", "server"),
)
# Longer lines are none that a person or a table writes.
LONGEST_LINE = 100_000


def task_of_lines(model: str) -> Task | None:
    """The task of a model that reads lines: by its name, a shipped model's, or the path of a saved one; None for those
    that hear sound."""
    task = find_task(model)
    if task is None:
        # As load finds it, but without importing JAX.
        path = shipped if (shipped := SHIPPED / f"{model}.safetensors").is_file() else Path(model)
        path = path if path.suffix == ".json" else path.with_name(f"{path.name.removesuffix('.safetensors')}.json")
        try:
            task = find_task(str(json.loads(path.read_text(encoding="utf-8")).get("task")))
        except (OSError, ValueError, AttributeError, RecursionError):
            return None
    return task if task is not None and task.lines is not None else None


def run_lines(run: Any, task: Task) -> BaseException | None:
    """Answers the lines of a file or of standard input, each as soon as it is there; what ended it too early, if
    anything, is handed back. A line that cannot be used is said on standard error, and those after it are answered.

    Raises:
        OSError, ValueError: the source, the model or the settings cannot be used, or no line could be.
    """
    for flag in OF_SOUND:
        value = getattr(run, flag)
        # By identity: 0 is a channel, too.
        if value is not None and value is not False:
            raise ValueError(
                f"--{flag.replace('_', '-')} is for models of sound; {run.model} reads lines. Leave it out."
            )
    picture = None if run.plot is None else _picture(run.plot, task)
    if run.source == "mic":
        raise ValueError(f"{run.model} reads lines of text and hears nothing. Pass a file, or - for standard input.")
    with _opened(run.source) as file:
        check_outputs(run.source, () if run.plot is None else [run.plot])
        from streamrnn.pretrained import load
        from streamrnn.runtime import Stream, configure

        configure()
        model = load(run.model)
        lines = task.resolve("lines")
        overrides = _overrides(run, model.decision, getattr(lines, "of_events", ()))
        answers = Answers(lines(model, **overrides), Stream(model), run.json, picture)
        ended_by = ending_of(lambda: answers.give(_lines_of(file)))
    wrote = ""
    if picture is not None and answers.given:
        picture.draw()
        wrote = f"; wrote {run.plot}"
    print(f"{answers.summary()}{wrote}", file=sys.stderr)
    if ended_by is None and answers.are_none:
        raise ValueError(f"no line of {run.source} could be used; see above why not.")
    # As with sound, a pipe through which nothing came is no error.
    if ended_by is None and not answers.given and run.source != "-":
        raise ValueError(f"{run.source} has no line that is answered: it is empty, or holds no more than a header.")
    return ended_by


class Answers:
    """One run: lines in, answers out.

    Attributes:
        given: how many answers were.

    Args:
        lines: how the task's streams are written.
        stream: a fresh stream of its model.
        as_json: print objects, one per line.
        picture: takes the answers, too.
    """

    def __init__(self, lines: Lines, stream: "Stream", as_json: bool, picture: "Fans | None" = None):
        self._lines, self._stream, self._as_json, self._picture = lines, stream, as_json, picture
        self._read = self.given = self._refused = 0
        self._compute_s = 0.0

    def give(self, source: Iterator[str]) -> None:
        """Answers all lines. Raises ValueError, with the line's number, where those after it cannot be used either."""
        with closing(until_interrupted(source)) as lines:
            for line in lines:
                self._read += 1
                if (told := self._answered(line)) is not None:
                    print(told, flush=True)
                    self.given += 1

    @property
    def are_none(self) -> bool:
        """Whether lines came, and each was refused."""
        return self._refused > 0 and not self.given

    def summary(self) -> str:
        """One line: how many came, how many were answered, how fast."""
        refused = f", {self._refused} refused" if self._refused else ""
        speed = f"; {1000 * self._compute_s / self.given:.2f} ms per answer" if self.given else ""
        return f"{self._read} line{'s' * (self._read != 1)}: {self.given} answered{refused}{speed}"

    def _answered(self, line: str) -> str | None:
        started = time.perf_counter()
        try:
            if len(line.rstrip("\r\n")) > LONGEST_LINE:
                raise LineError(f"it has more than {LONGEST_LINE:,} characters")
            if "\0" in line:
                raise LineError("it has zero bytes, and is no text in UTF-8")
            answer = self._lines.answer(self._stream, line.rstrip("\r\n"))
        except LineError as error:
            self._refused += 1
            print(f"streamrnn: line {self._read} is left out: {error}.", file=sys.stderr, flush=True)
            return None
        except ValueError as error:
            raise ValueError(f"line {self._read}: {error}") from error
        self._compute_s += time.perf_counter() - started
        if answer is None:
            return None
        if self._picture is not None:
            self._picture.add(answer)
        return json.dumps(answer, ensure_ascii=False) if self._as_json else self._lines.said(answer)


def _overrides(run: Any, decision: Any, of_events: Sequence[str]) -> dict[str, Any]:
    """The decision settings that were given.

    Raises:
        ValueError: the model lacks one, its answers have none of it, as it is `of_events`, or it is out of range.
    """
    if decision is not None:
        overrides = run.overrides(type(decision))
        if ignored := [f"--{name.replace('_', '-')}" for name in of_events if name in overrides]:
            raise ValueError(
                f"{', '.join(ignored)} is for events in time; {run.model} gives an answer per line. Leave it out."
            )
        dataclasses.replace(decision, **overrides)
        return overrides
    if run.given:
        named = ", ".join(f"--{'phrase' if name == 'phrases' else name.replace('_', '-')}" for name in run.given)
        raise ValueError(
            f"{named} is for models that decide on events; {run.model} gives an answer per line. Leave it out."
        )
    return {}


def _picture(path: Path, task: Task) -> "Fans":
    """The picture of a task's answers. Raises ValueError where it has none, or the path is of no picture."""
    if task.name != "forecast":
        raise ValueError(f"--plot is for sound and forecasts; {task.name} has no plot. Leave it out.")
    from streamrnn.cli.plot import check_plot
    from streamrnn.cli.plot_forecast import Fans

    check_plot(path)
    return Fans(path)


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    """A file, or standard input, which stays open."""
    if source == "-":
        yield sys.stdin.buffer
        return
    if Path(source).is_dir():
        raise ValueError(f"{source} is a directory; pass one of the files in it.")
    with Path(source).open("rb") as file:
        if b"\0" in file.peek(LONGEST_LINE):
            raise ValueError(f"{source} holds no text: it has zero bytes. Pass a file of lines, in UTF-8.")
        yield file


def _lines_of(file: BinaryIO) -> Generator[str, None, None]:
    """The lines as they come. The last one may have no end: what a stream broke off in is a line, too."""
    # Bytes that are too many for the characters of any line, of which one has up to four.
    most = 4 * LONGEST_LINE + 4
    while line := file.readline(most):
        rest = line
        while len(rest) == most and not rest.endswith(b"\n"):
            rest = file.readline(most)
        # A byte that is no UTF-8 becomes the sign for it, which tasks treat as any unknown character.
        yield line.decode("utf-8", "replace").removeprefix("\ufeff")


__all__ = ["Answers", "run_lines", "task_of_lines"]
