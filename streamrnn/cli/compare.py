"""`streamrnn compare`: recurrent networks against transformers on live sound."""

import json as json_format
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.plot_compare import check_folder, draw_memory, draw_online

Report = dict[str, Any]
Steps = tuple[Callable[[], Report], Callable[[Report], None], Callable[[Report, Path], list[Path]]]


@dataclass(frozen=True)
class Compare:
    """Measures what a live block costs with recurrent networks, transformers and others, the longer a stream has run.

    examples:
      streamrnn compare
      streamrnn compare --full --json compare.json --plot figures
      streamrnn compare --systems gru transformer
      streamrnn compare --weights vads words --data scenes recordings/words --plot figures
      streamrnn compare --memory --plot figures

    All are cores of the voice activity model's network, of as many parameters. With --memory: how gradients fade with
    the lag, and over how long a wait each can learn to remember.
    """

    memory: bool = False
    """Measure what networks remember in place of what they cost."""
    quick: bool = False
    """Two minutes or so; the default. A cache of an hour is counted, not timed."""
    full: bool = False
    """All positions and lengths, with more repeats: on an idle machine."""
    systems: Annotated[tuple[str, ...], default_is("all")] = ()
    """Measure these alone."""
    weights: Annotated[tuple[Path, ...], default_is("no accuracy")] = ()
    """Folders with CORE.safetensors, such as gru.safetensors, for vad or keywords: measure their accuracy, too."""
    data: Annotated[tuple[Path, ...], default_is("no accuracy")] = ()
    """For each folder of weights, labelled recordings to measure accuracy on, such as `streamrnn scenes` writes."""
    json: Path | None = None
    """Also write what was measured to this file."""
    plot: Path | None = None
    """Also draw pictures into this folder."""


def main(args: list[str]) -> None:
    """Runs `streamrnn compare`. Raises what streamrnn.bench.online and streamrnn.bench.memory raise."""
    flags = parse(Compare, "compare", args)
    _check(flags)
    measure, show, draw = _memory(flags) if flags.memory else _online(flags)
    # Before the minutes that measuring takes, not after them.
    if flags.plot is not None:
        check_folder(flags.plot)
    if flags.json is not None:
        flags.json.open("a").close()
    report = measure()
    if flags.json is not None:
        flags.json.write_text(json_format.dumps(report, indent=2) + "\n")
    show(report)
    if flags.plot is not None:
        for path in draw(report, flags.plot):
            print(f"wrote {path}")


def _online(flags: Compare) -> Steps:
    """How to measure, print and draw."""
    # JAX comes with it, which the help does not need.
    from streamrnn.bench.online import FULL, QUICK, SYSTEMS, check_systems, compare_online
    from streamrnn.bench.online_report import print_report

    effort, systems = FULL if flags.full else QUICK, flags.systems or SYSTEMS
    check_systems(systems)
    return lambda: compare_online(systems, effort, weights=flags.weights, data=flags.data), print_report, draw_online


def _memory(flags: Compare) -> Steps:
    """How to measure, print and draw."""
    from streamrnn.bench.memory import FULL, QUICK, compare_memory
    from streamrnn.bench.memory_report import print_report

    return lambda: compare_memory(FULL if flags.full else QUICK), print_report, draw_memory


def _check(flags: Compare) -> None:
    if flags.quick and flags.full:
        raise ValueError("compare got --quick and --full. Pass one of them, or none: it is quick then.")
    if flags.memory and (flags.systems or flags.weights or flags.data):
        raise ValueError("compare --memory has networks of its own. Leave out --systems, --weights and --data.")


__all__ = ["Compare", "main"]
