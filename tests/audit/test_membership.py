"""Attacks find what is known to be there, and nothing where nothing is."""

from statistics import NormalDist

import numpy as np
import pytest

from streamrnn.audit.membership import attack, attack_speakers, calibrated, sources
from streamrnn.audit.privacy import membership
from streamrnn.audit.verdicts import verdict


def clips(speakers: int, of_each: int = 10):
    """(members, speakers): half of the speakers are members."""
    numbers = np.repeat(np.arange(speakers), of_each)
    return numbers < speakers // 2, numbers


def test_the_area_of_two_normal_losses_is_the_known_one_and_lies_in_its_interval():
    members, numbers = clips(100)
    scores = np.random.default_rng(0).standard_normal(len(members)) + members
    found = attack(scores, members, numbers)
    low, high = found["auc_interval"]
    assert low < NormalDist().cdf(1 / np.sqrt(2)) < high and high - low < 0.1
    # Above the 99th percentile of the others.
    assert found["tpr_interval"][0] < 1 - NormalDist().cdf(NormalDist().inv_cdf(0.99) - 1) < found["tpr_interval"][1]


def test_where_nothing_leaks_nineteen_intervals_in_twenty_hold_one_half():
    members, numbers = clips(50, 4)
    found = [attack(np.random.default_rng(n).standard_normal(len(members)), members, numbers) for n in range(40)]
    assert sum(each["auc_interval"][0] < 0.5 < each["auc_interval"][1] for each in found) >= 34
    assert np.mean([each["tpr"] for each in found]) < 0.03


def test_a_speaker_s_clips_together_tell_more_than_one():
    members, numbers = clips(80)
    scores = np.random.default_rng(0).standard_normal(len(members)) + 0.5 * members
    assert attack_speakers(scores, members, numbers)["auc"] > attack(scores, members, numbers)["auc"] + 0.1


def test_speakers_who_lie_on_one_side_widen_the_interval():
    members, numbers = clips(40, 25)
    of_speaker = np.random.default_rng(0).standard_normal(40)[numbers]
    by_speaker = np.ptp(attack(of_speaker, members, numbers)["auc_interval"])
    assert by_speaker > 3 * np.ptp(attack(of_speaker, members, np.arange(len(members)))["auc_interval"])


def test_the_rate_at_one_false_positive_in_a_hundred_needs_a_hundred_others():
    members, numbers = clips(16, 5)
    assert attack(np.zeros(80), members, numbers)["tpr"] is None


def test_speakers_on_both_sides_are_left_out_and_counted():
    members, numbers = clips(40)
    members[numbers == 0] = np.arange(10) < 5
    assert attack_speakers(np.zeros(len(members)), members, numbers)["on_both_sides"] == 1


@pytest.mark.parametrize("references", [1, 4, 20])
def test_references_take_out_how_hard_a_clip_is(references):
    rng = np.random.default_rng(0)
    members, numbers = clips(40)
    hard = rng.uniform(0.1, 3, len(members))
    losses = hard * np.exp(0.05 * rng.standard_normal(len(hard)) - 0.15 * members)
    others = hard * np.exp(0.05 * rng.standard_normal((references, len(hard))))
    assert attack(-losses, members, numbers)["auc"] < 0.6
    assert attack(calibrated(losses, others), members, numbers)["auc"] > 0.85


def test_the_log_odds_of_the_truth_are_compared_in_deviations():
    p = np.array([[0.5, 0.2], [0.6, 0.3], [0.7, 0.25]])
    odds = np.log(p / (1 - p))
    spread = np.sqrt(np.mean(odds.std(axis=0, ddof=1) ** 2))
    found = calibrated(-np.log(np.array([0.9, 0.2])), -np.log(p))
    assert found == pytest.approx((np.log([9, 0.25]) - odds.mean(axis=0)) / spread)


def test_members_of_another_source_are_told_from_the_others_by_it_alone():
    members, _ = clips(40)
    of = ["radio" if m else "phone" for m in members]
    found = sources(of, members, members.astype(float))
    assert found["mismatch"] == 1 and not found["matched"] and found["auc_within"] is None
    half = ["radio" if (m and n % 2) else "phone" for n, m in enumerate(members)]
    found = sources(half, members, np.array([h == "radio" for h in half], float))
    assert found["mismatch"] == 0.5 and found["auc_within"] == 0.5


def test_sources_that_differ_make_the_verdict():
    members, numbers = clips(40)
    who = [f"s{n}" for n in numbers]
    found = membership(-members.astype(float), members, who, ["a" if m else "b" for m in members])
    said = verdict(found | {"blind": {"auc": 0.5, "auc_interval": [0.4, 0.6]}})
    assert "differ in source by 100 %" in said and "means nothing" in said


def test_members_that_nobody_names_and_too_few_speakers_are_refused():
    _, numbers = clips(40)
    who = [f"s{n}" for n in numbers]
    with pytest.raises(ValueError, match="Of 400 clips all are members"):
        membership(np.zeros(400), np.ones(400, bool), who, who)
    with pytest.raises(ValueError, match=r"5 speakers among the members and 5 .* 6 more would do"):
        attack(np.zeros(100), *clips(10))
