"""Summaries of audit reports in a sentence or two; importing this does not import JAX."""

from typing import Any


def verdict(report: dict[str, Any]) -> str:
    """Summarises a report in a sentence or two."""
    attacks = report["attacks"]
    way = "calibrated" if "calibrated" in attacks else "loss"
    clip, apart = attacks[way]["clip"], report["sources"]
    if not apart["matched"]:
        within = apart["auc_within"]
        return (
            f"Members and others differ in source by {100 * apart['mismatch']:.0f} %, so the AUC means nothing: it "
            f"may tell the sources apart. Within sources it is {'unknown' if within is None else f'{within:.3f}'}."
        )
    if report["blind"]["auc_interval"][0] > 0.5 and report["blind"]["auc"] >= clip["auc"]:
        return (
            f"Without any model, length, level and spectrum tell members apart as well (AUC "
            f"{report['blind']['auc']:.3f}), so nothing is shown of the model."
        )
    leaking = [by for by, of in attacks[way].items() if of["auc_interval"][0] > 0.5]
    if leaking:
        return f"The model gives away membership by {' and by '.join(leaking)}: the AUC's interval is above one half."
    return "No leak is shown by these attacks. Others may find more."


__all__ = ["verdict"]
