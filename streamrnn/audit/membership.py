"""Membership inference: how reliably a model's outputs reveal which recordings it was trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.audit.speakers import FEWEST, REPLICATES, added, interval
from streamrnn.audit.telling import Floats
from streamrnn.decisions import roc_curve

Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]

FALSE_POSITIVES = 0.01
POINTS = 201
# Replicates of a figure that has to be sorted for each.
SORTED_REPLICATES = 400
SMALLEST = 1e-6


def attack(scores: Floats, members: Bools, speakers: Numbers) -> dict[str, Any]:
    """How well scores distinguish members from others, clip by clip, with 95 % intervals by a bootstrap over speakers.

    Args:
        scores: higher for likelier members, [clips].
        members: True for members, [clips].
        speakers: the number of each clip's speaker, [clips].

    Returns:
        auc, auc_interval: of the ROC curve: the share of pairs in which the member scores higher; .5 is chance.
        tpr, tpr_interval: the share of members found at a false positive rate of 1 % (Carlini et al. 2022, "Membership
        inference attacks from first principles"); None with fewer than 100 others.
        roc: false and true positive rates, [points] each.

    Raises:
        ValueError: there are fewer than 8 speakers on one side; the message says how many are needed.
    """
    _require_speakers(members, speakers)
    sides = [np.unique(speakers[side], return_inverse=True)[1] for side in (members, ~members)]
    inside, outside = scores[members], scores[~members]
    wins = (inside[:, None] > outside[None]) + 0.5 * (inside[:, None] == outside[None])
    won = added(added(wins, sides[0]).T, sides[1]).T
    sizes = [np.bincount(side).astype(float) for side in sides]
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(len(n), np.full(len(n), 1 / len(n)), REPLICATES).astype(float) for n in sizes]
    areas = np.einsum("rs,st,rt->r", drawn[0], won, drawn[1], optimize=True)
    areas /= (drawn[0] @ sizes[0]) * (drawn[1] @ sizes[1])
    false, true, _ = roc_curve(scores, members)
    grid = np.linspace(0, 1, POINTS)
    return {
        "auc": float(wins.mean()),
        "auc_interval": interval(areas),
        **_at_few_false_positives(inside, outside, sides, drawn),
        "roc": [grid.tolist(), [float(true[false <= at].max()) for at in grid]],
    }


def attack_speakers(scores: Floats, members: Bools, speakers: Numbers) -> dict[str, Any]:
    """How well the mean score of a speaker's clips reveals whether the speaker is in the training data: see attack.

    Speakers on both sides are left out, and counted as `on_both_sides`.
    """
    clips = np.bincount(speakers)
    inside = added(members.astype(float), speakers) / clips
    clear = (inside == 0) | (inside == 1)
    mean = added(scores, speakers) / clips
    if not clear.any():
        raise ValueError("All speakers have clips among the members and among the others. Split the data by speaker.")
    found = attack(mean[clear], inside[clear] == 1, np.arange(int(clear.sum())))
    return {**found, "on_both_sides": int((~clear).sum())}


def calibrated(losses: Floats, references: Floats, probabilities: bool = True) -> Floats:
    """Membership scores corrected for how hard a clip is for models that were not trained on it, [clips].

    With one reference the score is its loss minus the model's (Watson et al. 2022, "On the importance of difficulty
    calibration in membership inference attacks"). With more it is the likelihood-ratio attack, offline (LiRA; Carlini
    et al. 2022): by how many deviations the model's log-odds of the truth exceed those of the references, whose
    deviation is common to all clips where there are fewer than 16 of them.

    Args:
        losses: the model's, [clips].
        references: of models of the same kind without these members, [references, clips].
        probabilities: losses are -log of a probability; else the losses themselves are compared.
    """
    if len(references) == 1:
        return references[0] - losses
    odds = _log_odds if probabilities else np.negative
    outside = odds(references)
    spread = outside.std(axis=0, ddof=1)
    if len(references) < 16:
        spread = np.sqrt(np.mean(spread**2))
    return (odds(losses) - outside.mean(axis=0)) / np.maximum(spread, SMALLEST)


def sources(of_clips: Sequence[str], members: Bools, scores: Floats) -> dict[str, Any]:
    """Whether members and others come from the same sources, as they must if a metric is to measure membership.

    Returns:
        mismatch: the share of clips that would have to change their source for both sides to be alike (total variation,
        0 to 1); matched: it is at most .1; members, others: source -> clips; auc_within: the AUC over pairs of one
        source alone, None where no source has both.
    """
    names = sorted(set(of_clips))
    of = np.array([names.index(name) for name in of_clips])
    counts = [np.bincount(of[side], minlength=len(names)) for side in (members, ~members)]
    shares = [count / count.sum() for count in counts]
    mismatch = float(np.abs(shares[0] - shares[1]).sum() / 2)
    wins = pairs = 0.0
    for number in range(len(names)):
        inside, outside = (scores[(of == number) & side] for side in (members, ~members))
        better = (inside[:, None] > outside[None]) + 0.5 * (inside[:, None] == outside[None])
        wins, pairs = wins + float(better.sum()), pairs + better.size
    told = ({name: int(n) for name, n in zip(names, count, strict=True) if n} for count in counts)
    return {
        "mismatch": mismatch,
        "matched": mismatch <= 0.1,
        **dict(zip(("members", "others"), told, strict=True)),
        "auc_within": wins / pairs if pairs else None,
    }


def _require_speakers(members: Bools, speakers: Numbers) -> None:
    there = [len(set(speakers[side].tolist())) for side in (members, ~members)]
    if min(there) < FEWEST:
        raise ValueError(
            f"There are {there[0]} speakers among the members and {there[1]} among the others; an interval needs "
            f"{FEWEST} on each side. {sum(max(0, FEWEST - n) for n in there)} more would do; some 50 tell much more."
        )


def _log_odds(losses: Floats) -> Floats:
    return -np.log(np.expm1(np.clip(losses, SMALLEST, 500)))


def _at_few_false_positives(
    inside: Floats, outside: Floats, sides: Sequence[Numbers], drawn: Sequence[Floats]
) -> dict[str, Any]:
    if len(outside) < 1 / FALSE_POSITIVES:
        return {"tpr": None, "tpr_interval": None}

    def found(times_in: Floats, times_out: Floats) -> float:
        order = np.argsort(-outside)
        passed = np.cumsum(times_out[order])
        above = order[passed > FALSE_POSITIVES * passed[-1]]
        # The threshold is the first of the others above the allowed rate; members must exceed it.
        return float((times_in * (inside > outside[above[0]])).sum() / times_in.sum())

    replicates = [
        found(drawn[0][r][sides[0]], drawn[1][r][sides[1]]) for r in range(min(SORTED_REPLICATES, len(drawn[0])))
    ]
    return {
        "tpr": found(np.ones(len(inside)), np.ones(len(outside))),
        "tpr_interval": interval(np.array(replicates)),
    }


__all__ = ["attack", "attack_speakers", "calibrated", "sources"]
