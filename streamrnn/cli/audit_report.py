"""Reports of audits as tables."""

from typing import Any

from rich.console import Group
from rich.table import Table

from streamrnn.audit.verdicts import verdict


def group_table(report: dict[str, Any]) -> Table:
    """The table of `streamrnn audit groups`."""
    title = f"{report['model']}: {report['figure']} by {report['by']} on {report['clips']} recordings"
    table = Table(title=title, title_justify="left", caption=_verdict(report), caption_justify="left")
    table.add_column(report["by"], no_wrap=True)
    for column in ("clips", "speakers", report["figure"], "minus the others", "would show"):
        table.add_column(column, justify="right", no_wrap=column != "minus the others")
    for name, row in report["groups"].items():
        table.add_row(
            name,
            str(row["clips"]),
            str(row["speakers"]),
            f"{row['figure']:.4g} {between(row['interval']) if row['interval'] else '(all speakers alike)'}",
            f"{row['difference']:+.4f} {between(row['difference_interval'])}{' *' if row['shown'] else ''}",
            "-" if row["smallest_shown"] is None else f"{row['smallest_shown']:.4f}",
        )
    return table


def _verdict(report: dict[str, Any]) -> str:
    if report["shown"]:
        said = f"* A difference is shown for {', '.join(report['shown'])}; worst: {report['worst']}."
    else:
        said = "No difference is shown. One below the last column could be there and not be seen."
    needed = [row["speakers_to_show"] for row in report["groups"].values() if "speakers_to_show" in row]
    if needed:
        said += f" For --to-show a group would need {min(needed)} to {max(needed)} speakers."
    if alike := [(name, row["speakers"]) for name, row in report["groups"].items() if not row["interval"]]:
        name, speakers = min(alike, key=lambda one: one[1])
        said += (
            f" Where all speakers are alike, others may differ: {speakers} speakers, such as those of {name}, do not "
            f"show that fewer than {min(1, 3 / speakers):.0%} of all are otherwise (95 %)."
        )
    if report["without_group"]:
        said += f" {report['without_group']} recordings are of no group."
    return said


def privacy_table(report: dict[str, Any]) -> Group:
    """The tables of `streamrnn audit privacy`."""
    sides = Table(title=f"{report['model']}: members and others", title_justify="left")
    for column in ("", "clips", "speakers", report["figure"], "loss"):
        sides.add_column(column, justify="right" if column else "left")
    for name in ("members", "others"):
        row = report[name]
        figures = (f"{row[report['figure']]:.4g}", f"{row['loss']:.4f}")
        sides.add_row(name, str(row["clips"]), str(row["speakers"]), *figures)
    attacks = Table(title="who could tell them apart", title_justify="left")
    for column in ("attack", "by", "AUC", "found at 1 % false positives"):
        attacks.add_column(column)
    for way, found in report["attacks"].items():
        for by, row in found.items():
            rate = "needs 100 others" if row["tpr"] is None else f"{row['tpr']:.3f} {between(row['tpr_interval'])}"
            attacks.add_row(way, by, f"{row['auc']:.3f} {between(row['auc_interval'])}", rate)
    blind = report["blind"]
    attacks.add_row("no model", "clip", f"{blind['auc']:.3f} {between(blind['auc_interval'])}", "")
    return Group(sides, attacks, "\n".join([verdict(report), *_probed(report.get("probe"))]))


def _probed(probe: dict[str, Any] | str | None) -> list[str]:
    match probe:
        case None:
            return []
        case str():
            return [f"Snapshots were not probed: that {probe}."]
    return [
        f"A linear probe names the speaker ({probe['speakers']}) from a snapshot of a stream in "
        f"{probe['accuracy']:.0%} of {probe['clips']} clips; chance is {probe['chance']:.0%}."
    ]


def oversight_table(report: dict[str, Any]) -> Table:
    """The table of `streamrnn evaluate --hand-over`."""
    right = "-" if report["answered_right"] is None else f"{report['answered_right']:.4f}"
    table = Table(title="how far its scores can be trusted", title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("", justify="right")
    for name, value in (
        (f"answers ({report['an_answer_is']})", str(report["answers"])),
        ("right", f"{report['right']:.4f}"),
        (f"hand over below, for {report['wanted']:g} right", f"{report['hand_over']:.4f}"),
        ("coverage: share answered", f"{report['coverage']:.4f}"),
        ("right of these", right),
        ("calibration error (ECE)", f"{report['ece']:.4f}"),
        (f"the same at temperature {report['temperature']:.2f}", f"{report['ece_with_temperature']:.4f}"),
        ("area under risk-coverage", f"{report['aurc']:.4f}"),
    ):
        table.add_row(name, value)
    return table


def between(bounds: list[float]) -> str:
    """An interval for people."""
    return f"({bounds[0]:.3f} to {bounds[1]:.3f})"


__all__ = ["between", "group_table", "oversight_table", "privacy_table"]
