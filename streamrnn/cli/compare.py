"""`streamrnn compare`: recurrent networks against transformers on live sound."""

import json as json_format
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.outputs import check_outputs
from streamrnn.cli.plot_compare import check_folder, draw_online
from streamrnn.replacing import replace_file

Report = dict[str, Any]


@dataclass(frozen=True)
class Compare:
    """Measures the cost of a live block with recurrent networks, transformers and others, as a stream grows longer.

    examples:
      streamrnn compare
      streamrnn compare --full --json compare.json --plot figures
      streamrnn compare --systems gru transformer

    All are cores in the voice activity model, with equal parameter counts.
    """

    quick: bool = False
    """Run for about two minutes, the default. For a cache of an hour, multiply-adds are counted, not timed."""
    full: bool = False
    """Run all positions and lengths, with more repeats; needs an idle machine."""
    systems: Annotated[tuple[str, ...], default_is("all")] = ()
    """Measure these systems only."""
    json: Path | None = None
    """Also write the measurements to this file."""
    plot: Path | None = None
    """Also save plots to this folder."""


def main(args: list[str]) -> None:
    """Runs `streamrnn compare`. Raises what streamrnn.bench.online raises."""
    flags = parse(Compare, "compare", args)
    if flags.quick and flags.full:
        raise ValueError("compare got --quick and --full. Pass only one of them; --quick is the default.")
    # JAX comes with it, which the help does not need.
    from streamrnn.bench.online import FULL, QUICK, SYSTEMS, check_systems, compare_online
    from streamrnn.bench.online_report import print_report

    effort, systems = FULL if flags.full else QUICK, flags.systems or SYSTEMS
    check_systems(systems)
    report_on(partial(compare_online, systems, effort), print_report, draw_online, flags.json, flags.plot)


def report_on(
    measure: Callable[[], Report],
    show: Callable[[Report], None],
    draw: Callable[[Report, Path], list[Path]],
    json: Path | None,
    plot: Path | None,
) -> None:
    """Measures, writes, prints and draws. What can't be written is refused before it measures."""
    if plot is not None:
        check_folder(plot)
    if json is not None:
        check_outputs("", [json])
    report = measure()
    # First of all, since a disk may be full.
    show(report)
    if json is not None:
        replace_file(json, f"{json_format.dumps(report, indent=2)}\n".encode())
    if plot is not None:
        for path in draw(report, plot):
            print(f"wrote {path}")


__all__ = ["Compare", "main", "report_on"]
