import json

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.data import Clip
from streamrnn.evaluation import commands, evaluate
from streamrnn.evaluation.commands import Command, command_figures
from tests.decisions.spoken_phonemes import FRAME_S, heard, sounds

GRAMMAR = """
[intents]
light = ["turn the light {state}", "make the light {colour} [and {state}]"]
[slots]
state = ["on", "off"]
colour = ["yellow", "purple"]
"""
SAID = {
    "a.wav": ("turn the light off", {"intent": "light", "slots": {"state": "off"}}),
    "b.wav": ("make the light purple and on", {"intent": "light", "slots": {"colour": "purple", "state": "on"}}),
    "c.wav": ("make the light yellow", {"intent": "light", "slots": {"colour": "purple"}}),
}


def test_figures_count_commands_that_are_right_as_a_whole_and_slots_one_by_one():
    meant = Command("light", {"state": "on", "colour": "red"})
    found = [
        Command("light", {"colour": "red", "state": "on"}),
        Command("light", {"colour": "red"}),
        Command("music", {"state": "on", "colour": "red", "volume": "low"}),
        None,
    ]
    figures = command_figures([(meant, each) for each in found])
    assert {name: value for name, value in figures.items() if name != "right_interval"} == {
        "heard": 0.75,
        "intent": 0.5,
        "right": 0.25,
        "slots": 8,
        "slots_right": 5 / 8,
        "slots_invented": 0.25,
    }


@pytest.fixture
def folder(tmp_path):
    for name in (*SAID, "not a command.wav"):
        write_audio(tmp_path / name, np.zeros(16_000, np.float32), 16_000)
    (tmp_path / "commands.json").write_text(json.dumps({name: meant for name, (_, meant) in SAID.items()}))
    return tmp_path


def test_commands_are_judged_by_their_table(folder, monkeypatch):
    log_p = {name: heard(sounds(text), 3) for name, (text, _) in SAID.items()}
    monkeypatch.setattr(commands, "stream_clip", lambda _, clip: (log_p[clip.path.name], 16_000, 60 * FRAME_S))
    monkeypatch.setattr(commands, "scan_clip", lambda _, clip: log_p[clip.path.name])
    result = evaluate("phrases", folder, "phrases", decision={"grammar": GRAMMAR, "threshold": 0.3})
    assert result["clips"] == 3 and result["streaming"] == result["offline"]
    figures = result["streaming"]
    assert (figures["heard"], figures["intent"], figures["right"]) == (1, 1, pytest.approx(2 / 3))
    assert (figures["slots_right"], figures["slots_invented"]) == (0.75, 0)


def test_recordings_of_one_name_are_judged_by_the_table_of_their_own_folder(tmp_path):
    clips, states = [], {"x": "on", "y": "off", "y/far": "dim"}
    for name in states:
        (tmp_path / name).mkdir()
        clips.append(Clip(tmp_path / name / "1.wav"))
    for name, table in [("x", {"1.wav": "on"}), ("y", {"1": "off", "far/1.wav": "dim"})]:
        rows = {key: {"intent": "light", "slots": {"state": state}} for key, state in table.items()}
        (tmp_path / name / "commands.json").write_text("\ufeff" + json.dumps(rows), encoding="utf-8")
    found = commands._commands_of([tmp_path / "x", tmp_path / "y"], clips)
    assert [found[clip].slots["state"] for clip in clips] == list(states.values())


def test_recordings_of_elsewhere_are_judged_by_the_table_beside_their_manifest(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "commands.json").write_text('{"1.wav": {"intent": "light", "slots": {}}}')
    clip = Clip(tmp_path / "y" / "1.wav", place=f"{tmp_path}/x/manifest.csv, line 2")
    assert commands._commands_of([tmp_path / "x"], [clip, Clip(tmp_path / "y" / "1.wav", 1)]) == {
        clip: Command("light", {})
    }


@pytest.mark.parametrize(
    "table, error, told",
    [
        (None, FileNotFoundError, "has no commands.json"),
        ("[1]", ValueError, "is no table of commands"),
        ('{"a.wav": {"slots": {}}}', ValueError, "KeyError"),
        ('{"a.wav": {"intent": "light", "slots": {"colour": null}}}', ValueError, "None is no intent, and no value"),
        ("[" * 100_000, ValueError, "is no table of commands"),
        ('{"z.wav": {"intent": "light", "slots": {}}}', ValueError, "names none of 4 recordings, but z.wav"),
    ],
)
def test_tables_that_tell_nothing_are_refused(folder, table, error, told):
    (folder / "commands.json").unlink()
    if table is not None:
        (folder / "commands.json").write_text(table)
    with pytest.raises(error, match=told):
        evaluate("phrases", folder, "phrases", decision={"grammar": GRAMMAR})


def test_flags_that_do_not_go_together_are_refused(folder, tmp_path, capsys):
    from streamrnn.cli import main

    grammar = tmp_path / "g.toml"
    grammar.write_text(GRAMMAR)
    for flags, told in [
        (("phrases", "--threshold", "0.1"), "--threshold is for --situations and the commands of --grammar"),
        (("vad", "--grammar", str(grammar)), "--grammar is for phrases; vad has none"),
        (("phrases", "--grammar", str(grammar), "--save-calibration", "x"), "--save-calibration needs phrases"),
        (("phrases", "--grammar", str(grammar), "--negatives", str(folder)), "Commands are judged where they are said"),
    ]:
        assert main(["evaluate", flags[0], "--data", str(folder), *flags[1:]]) == 2
        assert told in capsys.readouterr().err
    assert main(["evaluate", "phrases", "--situations", str(folder), "--grammar", str(grammar)]) == 2
    assert "--situations goes with --only" in capsys.readouterr().err
