"""Pictures of `streamrnn audit`."""

from pathlib import Path
from typing import Any

from streamrnn.cli.plot import DASHES, FAINT, GRID, PROBABILITY, SPEECH, WAVE, as_written, draw_panels


def draw_groups(report: dict[str, Any], path: Path) -> None:
    """Draws the figure of each group, and its difference to the others, with intervals; 1600 pixels wide."""
    draw_panels(path, lambda panel: _figures(panel, report), lambda panel: _differences(panel, report))


def _figures(panel: Any, report: dict[str, Any]) -> None:
    _rows(panel, report, "figure", "interval", WAVE)
    panel.axvline(report["all"], color=FAINT, linewidth=1, linestyle=DASHES)
    panel.set_xlabel(f"{report['figure']}, 95 % interval")
    panel.set_title(as_written(f"{report['model']} by {report['by']}"), loc="left")


def _differences(panel: Any, report: dict[str, Any]) -> None:
    _rows(panel, report, "difference", "difference_interval", PROBABILITY)
    panel.axvline(0, color=FAINT, linewidth=1, linestyle=DASHES)
    panel.set_xlabel("difference to all others")
    panel.set_title(as_written(f"shown: {', '.join(report['shown']) or 'none'}"), loc="left")


def draw_privacy(report: dict[str, Any], path: Path) -> None:
    """Draws the ROC curves of the attacks, 1600 pixels wide: all of them, and where false positives are few."""
    draw_panels(path, lambda panel: _curves(panel, report), lambda panel: _few(panel, report))


def _curves(panel: Any, report: dict[str, Any]) -> None:
    for (way, found), colour in zip(report["attacks"].items(), (WAVE, SPEECH), strict=False):
        for by, row in found.items():
            dashes = "-" if by == "clip" else DASHES
            panel.plot(*row["roc"], color=colour, linestyle=dashes, label=f"{way}, by {by}: AUC {row['auc']:.3f}")
    panel.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="chance")
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_xlabel("others taken for members")
    panel.set_ylabel("members found")
    panel.set_title(as_written(f"{report['model']}: membership"), loc="left")
    panel.legend(frameon=False, loc="lower right")


def _few(panel: Any, report: dict[str, Any]) -> None:
    _curves(panel, report)
    panel.set_xlim(0.005, 1)
    panel.set_ylim(0.005, 1)
    panel.loglog()
    panel.set_title("where false positives are few", loc="left")
    panel.get_legend().remove()


def draw_oversight(title: str, report: dict[str, Any], path: Path) -> None:
    """Draws the reliability diagram and the risk-coverage curve, 1600 pixels wide."""
    draw_panels(path, lambda panel: _reliability(panel, title, report), lambda panel: _risk(panel, report))


def _reliability(panel: Any, title: str, report: dict[str, Any]) -> None:
    rows = report["reliability"]
    most = max(row["answers"] for row in rows)
    panel.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=DASHES, label="as sure as right")
    panel.plot([row["confidence"] for row in rows], [row["right"] for row in rows], color=WAVE, linewidth=1)
    sizes = [30 + 300 * row["answers"] / most for row in rows]
    label = f"ECE {report['ece']:.3f}, with temperature {report['ece_with_temperature']:.3f}"
    panel.scatter([row["confidence"] for row in rows], [row["right"] for row in rows], sizes, color=WAVE, label=label)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_xlabel(f"score of the {report['an_answer_is']}")
    panel.set_ylabel("share right")
    panel.set_title(as_written(title), loc="left")
    panel.legend(frameon=False, loc="upper left")


def _risk(panel: Any, report: dict[str, Any]) -> None:
    panel.plot(*report["risk_coverage"], color=PROBABILITY, linewidth=2, label=f"AURC {report['aurc']:.4f}")
    panel.axvline(report["coverage"], color=SPEECH, linewidth=1.5, label=f"handed over below {report['hand_over']:.2f}")
    panel.axhline(1 - report["wanted"], color=FAINT, linewidth=1, linestyle=DASHES, label="wanted")
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_xlabel("coverage: share of answers that are given")
    panel.set_ylabel("risk: share of these that is wrong")
    panel.set_xlim(0, 1.02)
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, loc="upper left")


def _rows(panel: Any, report: dict[str, Any], value: str, bounds: str, colour: str) -> None:
    rows = list(report["groups"].items())[::-1]
    for height, (_, row) in enumerate(rows):
        if row[bounds] is not None:
            panel.plot(row[bounds], [height, height], color=colour, linewidth=2.5)
        panel.plot(row[value], height, "o", color=colour, markersize=9)
    panel.set_yticks(range(len(rows)), [as_written(f"{name}\n{row['speakers']} speakers") for name, row in rows])
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.grid(color=GRID, linewidth=0.6, axis="x")


__all__ = ["draw_groups", "draw_oversight", "draw_privacy"]
