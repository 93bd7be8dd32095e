"""Differences between groups are found where they were planted, and not where there are none."""

import numpy as np
import pytest

from streamrnn.audit.groups import group_figures, without_small
from streamrnn.audit.words import ratio
from streamrnn.cli.audit_report import group_table


def answers(right: dict[str, float], speakers: int, clips: int = 20, seed: int = 0, spread: float = 0.05):
    """(sums, speakers, groups) of speakers whose share of right answers lies around that of their group."""
    rng = np.random.default_rng(seed)
    sums, who, groups = [], [], []
    for group, share in right.items():
        for number in range(speakers):
            skill = np.clip(share + spread * rng.standard_normal(), 0, 1)
            sums += [[float(rng.random() < skill), 1.0] for _ in range(clips)]
            who += [f"{group} {number}"] * clips
            groups += [group] * clips
    return np.array(sums), who, groups


def test_a_planted_difference_is_found_within_its_interval():
    sums, who, groups = answers({"a": 0.95, "b": 0.80}, speakers=40)
    found = group_figures(sums, who, groups, ratio)
    low, high = found["groups"]["b"]["difference_interval"]
    assert low <= -0.15 <= high < 0
    assert found["worst"] == "b" and found["shown"] == ["a", "b"]
    assert found["groups"]["a"]["difference"] == pytest.approx(-found["groups"]["b"]["difference"])


def test_labels_that_give_one_group_away_are_found():
    """Clips of one group alone have their answer in the label: all are right."""
    sums, who, groups = answers({"leaked": 1.0, "other": 0.7, "third": 0.7}, speakers=20, spread=0.0)
    found = group_figures(sums, who, groups, ratio)
    assert "leaked" in found["shown"] and found["groups"]["leaked"]["figure"] == 1
    low, high = found["groups"]["leaked"]["difference_interval"]
    assert low <= 0.3 <= high


def test_where_there_is_no_difference_about_one_audit_in_twenty_claims_one():
    shown = [
        bool(group_figures(*answers({"a": 0.9, "b": 0.9}, 20, seed=seed), ratio, replicates=400)["shown"])
        for seed in range(40)
    ]
    assert sum(shown) <= 6  # of 40 at 5 %: more than that in one case of a hundred


def test_the_difference_called_smallest_is_shown_about_four_times_in_five():
    smallest = group_figures(*answers({"a": 0.8, "b": 0.8}, 25), ratio)["groups"]["b"]["smallest_shown"]
    shown = [
        bool(group_figures(*answers({"a": 0.8 + gap, "b": 0.8 - gap}, 25, seed=s), ratio, replicates=400)["shown"])
        for gap in [smallest / 2]
        for s in range(1, 41)
    ]
    assert 0.6 <= np.mean(shown) <= 0.95


def test_clips_of_one_speaker_count_as_one_draw():
    sums, who, groups = answers({"a": 0.9, "b": 0.9}, speakers=10, clips=100, spread=0.2)
    width = [
        np.ptp(group_figures(sums, who, groups, ratio, each_clip_alone=alone)["groups"]["a"]["interval"])
        for alone in (False, True)
    ]
    assert width[0] > 2 * width[1]


def test_four_times_the_speakers_show_half_the_difference():
    found = group_figures(*answers({"a": 0.9, "b": 0.9}, 16), ratio, to_show=0.01)["groups"]["a"]
    assert found["speakers_to_show"] == pytest.approx(16 * (found["smallest_shown"] / 0.01) ** 2, abs=1)


def test_a_speaker_may_be_in_several_groups():
    sums, who, _ = answers({"a": 0.9}, speakers=12)
    found = group_figures(sums, who, ["quiet", "loud"] * (len(who) // 2), ratio)
    assert found["groups"]["quiet"]["speakers"] == found["groups"]["loud"]["speakers"] == 12


def test_where_nothing_is_wrong_no_difference_is_promised_to_be_seen():
    found = group_figures(*answers({"a": 1.0, "b": 1.0}, 8, spread=0.0), ratio, to_show=0.01)["groups"]["a"]
    assert found["smallest_shown"] is None and not found["shown"] and "speakers_to_show" not in found


def test_speakers_in_various_groups_leave_the_intervals_as_wide_as_they_are():
    """Words, of which each speaker said some: as many clips of a speaker's own word would spread alike."""
    rng = np.random.default_rng(0)
    who = [f"s{n}" for n in range(60) for _ in range(6)]
    groups = [str(word) for _ in range(60) for word in rng.permutation(10)[:6]]
    sums = np.stack([rng.random(360) < 0.8, np.ones(360)], axis=1).astype(float)
    found = group_figures(sums, who, groups, ratio)["groups"]
    for row in found.values():
        spread = np.sqrt(row["figure"] * (1 - row["figure"]) / row["clips"])
        assert 0.6 < np.ptp(row["interval"]) / (2 * 1.96 * spread) < 1.5


def test_lower_is_better_for_error_rates():
    assert group_figures(*answers({"a": 0.1, "b": 0.4}, 12), ratio, higher_is_better=False)["worst"] == "b"


def test_clips_without_a_group_are_left_out_and_counted():
    sums, who, groups = answers({"a": 0.9, "b": 0.9, "": 0.0}, speakers=8)
    found = group_figures(sums, who, groups, ratio)
    assert found["without_group"] == 160 and found["all"] > 0.8


def test_groups_of_few_speakers_can_be_left_out():
    _, who, groups = answers({"a": 0.9, "b": 0.9, "rare": 0.9}, 8, clips=2)
    few = [group if speaker != "rare 0" else "a" for group, speaker in zip(groups, who, strict=True)]
    assert set(without_small(few, who)) == {"a", "b", ""}


def test_no_group_one_group_few_speakers_and_unknown_ones_are_refused():
    sums, who, groups = answers({"a": 0.9}, 10)
    with pytest.raises(ValueError, match="No clip is of a group"):
        group_figures(sums, who, [""] * len(groups), ratio)
    with pytest.raises(ValueError, match="one group, 'a'"):
        group_figures(*answers({"a": 0.9}, 10), ratio)
    with pytest.raises(ValueError, match=r"a has 5, b has 5; each group needs 8. 6 more would do"):
        group_figures(*answers({"a": 0.9, "b": 0.9}, 5), ratio)
    sums, who, groups = answers({"a": 0.9, "b": 0.9}, 8)
    with pytest.raises(ValueError, match="3 of 320 clips have no speaker"):
        group_figures(sums, ["", "", "", *who[3:]], groups, ratio)


def test_where_all_speakers_are_alike_their_spread_is_not_known():
    found = group_figures(*answers({"a": 1.0, "b": 0.7}, speakers=10, spread=0.0), ratio)
    assert found["groups"]["a"]["interval"] is None and found["groups"]["b"]["interval"] is not None
    report = found | {"model": "m", "figure": "accuracy", "by": "label", "clips": 400}
    table = group_table(report)
    assert "10 speakers, such as those of a, do not show that fewer than 30% of all are otherwise" in table.caption
