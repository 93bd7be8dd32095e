"""Pictures of `streamrnn compare`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streamrnn.cli.plot import FAINT, GRID, STYLE, TEXT, check_plot

# Recurrent networks in cool colours, transformers in warm ones, what forgets after a while in grey.
COLOURS = {
    "elman": "#56d4dd",
    "gru": "#79c0ff",
    "lstm": "#3fb950",
    "mingru": "#a5d6ff",
    "minlstm": "#7ee787",
    "rglru": "#388bfd",
    "transformer": "#ff7b72",
    "transformer-window": "#ffa657",
    "transformer-recompute": "#d2a8ff",
    "feedforward": "#8b949e",
    "tcn": "#c9d1d9",
}
FIGURES = {"roc_auc": "ROC-AUC", "accuracy": "accuracy"}
SMALLEST = 1e-9  # gradients below are as good as none


def check_folder(folder: Path) -> None:
    """Makes the folder. Raises ImportError without matplotlib, OSError where the folder can't be."""
    check_plot(folder / "latency.png")
    folder.mkdir(parents=True, exist_ok=True)


def draw_online(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what compare_online() returned: latency.png and state.png, and accuracy.png, a panel per task, where there
    are accuracies.

    Each is 1600 pixels wide. Returns their paths.
    """
    pictures: dict[str, Callable[[Any], None]] = {
        "latency.png": lambda panel: _latency(panel, report),
        "state.png": lambda panel: _state(panel, report),
    }
    drawn = [_draw(folder / name, [content]) for name, content in pictures.items()]
    by_task = _by(report["accuracy"], "task").values()
    panels = [lambda panel, rows=rows: _accuracy(panel, rows) for rows in by_task]
    return [*drawn, _draw(folder / "accuracy.png", panels)] if panels else drawn


def draw_memory(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what compare_memory() returned: gradients.png and learned.png, 1600 pixels wide. Returns their paths."""
    tasks = sorted({row["task"] for row in report["tasks"]})
    panels = [lambda panel, task=task: _learned(panel, report["tasks"], task) for task in tasks]
    gradients = _draw(folder / "gradients.png", [lambda panel: _gradients(panel, report["gradients"])])
    return [gradients, _draw(folder / "learned.png", panels)]


def _draw(path: Path, contents: Sequence[Callable[[Any], None]]) -> Path:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(16, 8.2), dpi=100, layout="constrained")
        for panel, content in zip(figure.subplots(1, len(contents), squeeze=False)[0], contents, strict=True):
            panel.grid(color=GRID, linewidth=0.6)
            content(panel)
            panel.legend(frameon=False)
        figure.savefig(path)
    return path


def _latency(panel: Any, report: dict[str, Any]) -> None:
    timed = [row for row in report["rows"] if "p50_us" in row]
    for system, rows in _by(timed, "system").items():
        positions_s, colour = [row["position_s"] for row in rows], COLOURS.get(system, TEXT)
        panel.plot(positions_s, [row["p50_us"] / 1000 for row in rows], "o-", color=colour, label=system)
        low, high = ([row[name] / 1000 for row in rows] for name in ("p10_us", "p90_us"))
        panel.fill_between(positions_s, low, high, color=colour, alpha=0.18, linewidth=0)
    _reading(panel, [row for row in report["rows"] if row["system"] == "transformer" and row["read_us"] is not None])
    panel.axhline(report["deadline_ms"], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="deadline")
    _logarithmic(panel, "seconds that the stream has run", f"milliseconds per block of {report['deadline_ms']:g} ms")


def _reading(panel: Any, rows: list[dict[str, Any]]) -> None:
    """The least that a transformer's block can take, however it is written."""
    if rows:
        times_ms, style = [row["read_us"] / 1000 for row in rows], (0, (1, 2))
        label, colour = "reading a transformer's cache once", COLOURS["transformer"]
        panel.plot([row["position_s"] for row in rows], times_ms, color=colour, linestyle=style, label=label)


def _state(panel: Any, report: dict[str, Any]) -> None:
    for system, rows in _by(report["rows"], "system").items():
        state_bytes = [row["state_bytes"] for row in rows]
        panel.plot(
            [row["position_s"] for row in rows], state_bytes, "o-", color=COLOURS.get(system, TEXT), label=system
        )
    _logarithmic(panel, "seconds that the stream has run", "bytes of memory per stream")


def _accuracy(panel: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogFormatter

    for row in rows:
        value, colour = row["value"], COLOURS.get(row["core"], TEXT)
        low, high = row["interval"] or (value, value)
        bars, style = [[value - low], [high - value]], {"markersize": 10, "capsize": 4, "elinewidth": 1}
        panel.errorbar([row["core_ms_per_s"]], [value], bars, fmt="o", color=colour, label=row["core"], **style)
    panel.set_xscale("log")
    for ticks in (panel.xaxis.set_major_formatter, panel.xaxis.set_minor_formatter):
        ticks(LogFormatter())
    panel.set_title(rows[0]["task"], loc="left")
    panel.set_xlabel("milliseconds of one core per second of sound")
    panel.set_ylabel(f"{FIGURES[rows[0]['figure']]}, streaming")


def _gradients(panel: Any, gradients: dict[str, dict[str, list[float]]]) -> None:
    for core, of_core in gradients.items():
        low, middle, high = ([max(v, SMALLEST) for v in of_core[name]] for name in ("p10", "median", "p90"))
        panel.plot(middle, color=COLOURS.get(core, TEXT), linewidth=2, label=core)
        panel.fill_between(range(len(middle)), low, high, color=COLOURS.get(core, TEXT), alpha=0.18, linewidth=0)
    panel.set_yscale("log")
    panel.set_ylim(bottom=SMALLEST)
    panel.set_xlabel("lag in frames")
    panel.set_ylabel("gradient by the input so far back, over that by the last one")


def _learned(panel: Any, rows: list[dict[str, Any]], task: str) -> None:
    of_task = [row for row in rows if row["task"] == task]
    for core, of_core in _by(of_task, "core").items():
        shares = [row["accuracy"] for row in of_core]
        panel.plot([row["length"] for row in of_core], shares, "o-", color=COLOURS.get(core, TEXT), label=core)
    panel.axhline(of_task[0]["chance"], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="chance")
    panel.set_ylim(-0.03, 1.03)
    panel.set_title(task, loc="left")
    panel.set_xlabel("frames to remember over")
    panel.set_ylabel("share that is right")


def _logarithmic(panel: Any, x: str, y: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(x)
    panel.set_ylabel(y)


def _by(rows: list[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows by what they have under a name, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


__all__ = ["check_folder", "draw_memory", "draw_online"]
