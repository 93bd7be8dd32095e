"""Which groups a model serves worse: the task's metric by group, with what this number of speakers can show."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streamrnn.audit.speakers import FEWEST, REPLICATES, added, interval, replicated, speaker_numbers
from streamrnn.audit.telling import Floats, Tellings

# For a two-sided test at 5 % that misses one true difference in five: 1.96 + 0.84 standard errors.
DETECTABLE = 2.80
CONFIDENCE = 0.95


def group_figures(
    sums: Floats,
    speakers: Sequence[str],
    groups: Sequence[str],
    figure: Callable[[Floats], Floats],
    higher_is_better: bool = True,
    *,
    each_clip_alone: bool = False,
    to_show: float | None = None,
    replicates: int = REPLICATES,
) -> dict[str, Any]:
    """The metric of each group, and its difference to all other clips, with 95 % intervals.

    Intervals are percentiles of bootstrap draws of speakers: of each group by itself, or of all together if some are in
    several groups. Those of differences are widened for as many comparisons as there are (Bonferroni; two groups are
    one comparison), so that of twenty audits without any difference one claims some. `smallest_shown` is the difference
    that so many speakers would show four times in five; None where all speakers are alike, so that nothing is known of
    their spread.

    Args:
        sums: of each clip, [clips, k].
        speakers, groups: of each clip; clips of the group "" are left out.
        figure: of sums[..., k], [...].
        higher_is_better: which way the figure is better.
        each_clip_alone: every clip counts as another speaker's.
        to_show: also say how many speakers would show such a difference.
        replicates: how many bootstrap draws.

    Returns:
        all (the figure of all these clips), groups: name -> figure, interval (None: all speakers are alike, so that
        their spread is not known), clips, speakers, difference (to the others), difference_interval, shown,
        smallest_shown, and speakers_to_show; worst: the group whose figure is worst; spread: how much worse than the
        best one; shown: the groups whose difference is shown; without_group: clips.

    Raises:
        ValueError: there is no group, or one alone, a group has fewer than 8 speakers, or a speaker is unknown.
    """
    told = np.array([bool(group) for group in groups])
    sums, groups = sums[told], [group for group in groups if group]
    of_clip = speaker_numbers([who for who, there in zip(speakers, told, strict=True) if there], each_clip_alone)
    names = sorted(set(groups))
    clips = Counter(groups)
    who = {name: {int(n) for n, group in zip(of_clip, groups, strict=True) if group == name} for name in names}
    _require(names, {name: len(found) for name, found in who.items()})
    by_group = np.zeros((len(sums), len(names), sums.shape[1]))
    by_group[np.arange(len(sums)), [names.index(group) for group in groups]] = sums
    of_speaker = added(by_group, of_clip)
    # Speakers of one group are drawn among themselves, so that no draw lacks a group. Those of several can't be: each
    # combination of groups would be a stratum of its own, with hardly anybody to exchange.
    groups_of = [[name for name in names if number in who[name]] for number in range(len(of_speaker))]
    apart = all(len(of) == 1 for of in groups_of)
    strata = [of[0] if apart else "" for of in groups_of]

    def figures(drawn: Floats) -> Floats:
        """[..., 2, groups]: of each group, and of all others."""
        return np.stack([figure(drawn), figure(drawn.sum(axis=-2, keepdims=True) - drawn)], axis=-2)

    observed, draws = figures(of_speaker.sum(axis=0)), replicated(of_speaker, strata, figures, replicates)
    comparisons = 1 if len(names) == 2 else len(names)
    rows = {}
    for k, name in enumerate(names):
        differences = draws[:, 0, k] - draws[:, 1, k]
        bounds = interval(differences, 1 - (1 - CONFIDENCE) / comparisons)
        # Where all speakers are alike, as where nothing is wrong, their spread is unknown and not none.
        smallest = DETECTABLE * float(np.nanstd(differences, ddof=1)) or None
        rows[name] = {
            "figure": float(observed[0, k]),
            "interval": interval(draws[:, 0, k]) if np.nanstd(draws[:, 0, k]) else None,
            "clips": clips[name],
            "speakers": len(who[name]),
            "difference": float(observed[0, k] - observed[1, k]),
            "difference_interval": bounds,
            "shown": not bounds[0] <= 0 <= bounds[1],
            "smallest_shown": smallest,
        }
        if to_show is not None and smallest is not None:
            # Standard errors fall with the root of the number of speakers.
            rows[name]["speakers_to_show"] = math.ceil(len(who[name]) * (smallest / to_show) ** 2)
    order = sorted(names, key=lambda name: rows[name]["figure"], reverse=not higher_is_better)
    return {
        "all": float(figure(of_speaker.sum(axis=(0, 1)))),
        "groups": rows,
        "worst": order[0],
        "spread": abs(rows[order[-1]]["figure"] - rows[order[0]]["figure"]),
        "shown": [name for name in names if rows[name]["shown"]],
        "without_group": int((~told).sum()),
    }


def without_small(groups: Sequence[str], speakers: Sequence[str]) -> list[str]:
    """The groups of clips, "" for those of groups of fewer than 8 speakers."""
    who: dict[str, set[str]] = {}
    for group, speaker in zip(groups, speakers, strict=True):
        who.setdefault(group, set()).add(speaker)
    return [group if len(who[group]) >= FEWEST else "" for group in groups]


def _require(names: Sequence[str], speakers: dict[str, int]) -> None:
    if not names:
        raise ValueError(
            f"No clip is of a group. Differences need two groups or more, each of {FEWEST} speakers. Add recordings, "
            "or join small groups."
        )
    if len(names) < 2:
        raise ValueError(f"All clips are of one group, {names[0]!r}. Differences need two groups or more.")
    if few := [f"{name} has {n}" for name, n in speakers.items() if n < FEWEST]:
        missing = sum(max(0, FEWEST - n) for n in speakers.values())
        raise ValueError(
            f"Too few speakers for intervals: {', '.join(few)}; each group needs {FEWEST}. {missing} more would do. "
            "Add recordings, join small groups, or leave them out by --drop-small."
        )


def audit_groups(
    tellings: Tellings,
    column: str,
    groups: Sequence[str],
    *,
    each_clip_alone: bool = False,
    to_show: float | None = None,
) -> dict[str, Any]:
    """The report of `streamrnn audit groups`, ready for JSON: see group_figures.

    Raises:
        ValueError: see group_figures.
    """
    teller = tellings.teller
    figures = group_figures(
        tellings.sums,
        tellings.speakers,
        groups,
        teller.of,
        teller.higher_is_better,
        each_clip_alone=each_clip_alone,
        to_show=to_show,
    )
    return {
        "audit": "groups",
        "model": tellings.model,
        "task": tellings.task,
        "figure": teller.figure,
        "higher_is_better": teller.higher_is_better,
        "by": column,
        "clips": len(tellings.clips),
        **figures,
        **tellings.left_out,
    }


__all__ = ["audit_groups", "group_figures", "without_small"]
