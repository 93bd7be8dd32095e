"""The command `streamrnn evaluate`: tables and JSON of every kind of figure."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.cli.thresholds import recommended
from streamrnn.decisions import KeywordSettings
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.pretrained import load, save


@pytest.fixture(scope="module")
def words_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "words.safetensors"
    settings = KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5)
    save(Keywords(settings, rngs=nnx.Rngs(3)), path, task="keywords")
    return path


def write_folder(folder: Path, labels: list[str]) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (len(labels), 8000)).astype(np.float32)
    for number, samples in enumerate(noise):
        write_audio(folder / f"{number}.wav", samples, 16_000)
    rows = "".join(f"{number}.wav,{label},test\n" for number, label in enumerate(labels))
    (folder / "manifest.csv").write_text("path,label,split\n" + rows)
    return folder


def test_figures_of_words_are_a_table_with_classes_and_a_detection_curve(streamrnn, capsys, tmp_path, words_path):
    words, noise = write_folder(tmp_path / "words", ["up", "down"]), write_folder(tmp_path / "noise", ["", ""])
    assert streamrnn("evaluate", "keywords", "--data", words, "--negatives", noise, "--model", words_path) == 0
    table = capsys.readouterr().out
    for part in ("accuracy", "per_class up", "detection hours", "missed, alarms/h at 0.50"):
        assert part in table


def test_a_table_says_how_many_recordings_are_not_in_it(streamrnn, capsys, tmp_path, words_path):
    words = write_folder(tmp_path / "words", ["up", "down"])
    (words / "1.wav").write_bytes(b"no sound")
    assert streamrnn("evaluate", "keywords", "--data", words, "--model", words_path) == 0
    said = capsys.readouterr()
    assert "1 more could not be judged" in said.out and "1.wav is damaged" in said.err


def test_several_folders_are_judged_together(streamrnn, capsys, tmp_path, words_path):
    folders = [write_folder(tmp_path / name, ["up", "down"]) for name in ("a", "b")]
    assert streamrnn("evaluate", "keywords", "--data", *folders, "--model", words_path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["clips"] == 4 and answer["data"] == [str(folder) for folder in folders]


def test_data_without_a_folder_is_refused(streamrnn, capsys, words_path):
    assert streamrnn("evaluate", "keywords", "--model", words_path, "--data") == 2
    assert "--data names no folder" in capsys.readouterr().err


def test_several_splits_are_judged_together_without_the_recordings_that_are_left_out(
    streamrnn, capsys, tmp_path, words_path
):
    folder = write_folder(tmp_path / "words", ["up", "down", "up", "down"])
    (folder / "manifest.csv").write_text(
        "path,label,split\n0.wav,up,valid\n1.wav,down,test\n2.wav,up,test\n3.wav,up,\n"
    )
    asked = ("--split", "valid", "test", "--exclude", "2", "--model", words_path, "--json")
    assert streamrnn("evaluate", "keywords", "--data", folder, *asked) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["clips"], answer["split"], answer["excluded"]) == (2, ["valid", "test"], ["2"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--split", "test", "tset"), "no recording of split 'tset'; the splits are: test"),
        (("--exclude", "up.wav"), "exclude names up.wav, but there is no such recording"),
    ],
)
def test_what_is_not_there_is_named(streamrnn, capsys, tmp_path, words_path, flags, message):
    folder = write_folder(tmp_path / "words", ["up", "down"])
    assert streamrnn("evaluate", "keywords", "--data", folder, "--model", words_path, *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_recordings_outside_of_their_folder_are_judged_only_if_asked_for(streamrnn, capsys, tmp_path, words_path):
    words = write_folder(tmp_path / "words", ["up", "down"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.csv").write_text(f"path,label\n../words/0.wav,up\n{words / '1.wav'},down\n")
    asked = ("evaluate", "keywords", "--data", other, "--model", words_path)
    assert streamrnn(*asked) == 2
    assert "manifest.csv, line 2: the path ../words/0.wav leads out of " in capsys.readouterr().err
    assert streamrnn(*asked, "--read-outside") == 0
    assert "on 2 recordings" in capsys.readouterr().out


@pytest.fixture
def situations(tmp_path) -> Path:
    (tmp_path / "situations").mkdir()
    place = write_folder(tmp_path / "situations/words-in-rain", ["steady"])
    (place / "manifest.csv").write_text("path,label,judged_from\n0.wav,steady,0\n")
    (place / "vad_segments.csv").write_text("path,start,end,quality\n0.wav,100,7000,A\n")
    (place / "words.csv").write_text("path,start,end,word\n0.wav,100,7000,up\n")
    (tmp_path / "situations/situations.csv").write_text("situation,says,compared\nwords-in-rain,words,0\n")
    return tmp_path / "situations"


def test_situations_are_rows_of_a_table_or_of_json(streamrnn, capsys, situations, words_path):
    asked = ("evaluate", "keywords", "--situations", situations, "--model", words_path)
    assert streamrnn(*asked) == 0
    table = capsys.readouterr().out
    assert "words-in-rain" in table and "words found" in table
    assert streamrnn(*asked, "--only", "words-in-rain", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"]["words-in-rain"]["words"] == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--situations", "SITUATIONS", "--data", "SITUATIONS"),
            "--situations goes with --only, --model, --threshold and --json alone",
        ),
        (
            ("--situations", "SITUATIONS", "--hand-over", "0.9", "--plot", "x.png", "--read-outside"),
            "alone. Leave out --hand-over, --plot, --read-outside.",
        ),
        (("--data", "SITUATIONS", "--only", "rain"), "--only names situations. Pass --situations too"),
        (
            ("--situations", "SITUATIONS", "--only", "rain"),
            "has no situation rain. Did you mean 'words-in-rain'? It has: words-in-rain.",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_named(streamrnn, capsys, situations, words_path, flags, message):
    flags = [situations if flag == "SITUATIONS" else flag for flag in flags]
    assert streamrnn("evaluate", "keywords", "--model", words_path, *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_scores_are_measured_and_the_model_is_stored_with_what_it_hands_over(streamrnn, capsys, tmp_path, words_path):
    """Of an untrained model with a low threshold, whose answers are right one time in two."""
    model = load(words_path)
    model.decision = KeywordSettings(threshold=0.01)
    save(model, tmp_path / "low", task="keywords")
    folder = write_folder(tmp_path / "words", ["up", "down"] * 6)
    (folder / "manifest.csv").write_text(
        "path,label,split\n"
        + "".join(f"{n}.wav,{'up' if n % 2 else 'down'},{'test' if n < 6 else 'valid'}\n" for n in range(12))
    )
    asked = ("evaluate", "keywords", "--data", folder, "--split", "test", "--model", tmp_path / "low.safetensors")
    out, picture = tmp_path / "sure", tmp_path / "sure.png"
    assert streamrnn(*asked, "--hand-over", 0.2, "--out", out, "--plot", picture) == 0
    assert "area under risk-coverage" in capsys.readouterr().out and picture.stat().st_size > 10_000
    assert load(out).decision.hand_over > 0
    assert streamrnn(*asked, "--hand-over", 0.95) == 2
    said = capsys.readouterr()
    assert "No score guarantees that 0.95 of the answers are right" in said.err
    assert "accuracy" in said.out, "the figures are lost"
    assert streamrnn(*asked, "--out", out) == 2
    assert "Pass --hand-over too" in capsys.readouterr().err
    assert streamrnn(*asked, "--fit", "test") == 2
    assert "--fit needs --hand-over. Pass --hand-over too" in capsys.readouterr().err
    assert streamrnn(*asked, "--hand-over", 0.2, "--fit", "valid", "test") == 2
    assert "--fit and --split both name test" in capsys.readouterr().err
    # Without --split, on all but those of --fit; the recordings of the evaluation itself are all.
    assert streamrnn(*asked[:4], *asked[-2:], "--hand-over", 0.2, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["clips"], answer["oversight"]["answers"]) == (12, 6)


def test_scores_are_judged_only_where_recordings_are_left_beside_those_that_they_are_found_on(
    streamrnn, capsys, tmp_path, words_path
):
    words = write_folder(tmp_path / "words", ["up", "down"])
    asked = ("evaluate", "keywords", "--data", words, "--model", words_path, "--hand-over", 0.9)
    assert streamrnn(*asked, "--fit", "test") == 2
    assert "All recordings are of split test, on which --hand-over finds its score" in capsys.readouterr().err
    assert streamrnn(*asked) == 2
    assert "no recording of split 'valid'; the splits are: test." in capsys.readouterr().err
    assert streamrnn("evaluate", "intent", "--data", words, "--hand-over", 0.9) == 2
    assert "--hand-over is for tasks of sound; intent reads lines" in capsys.readouterr().err


def test_a_threshold_for_so_many_false_alarms_is_recommended_and_saved(streamrnn, capsys, tmp_path, words_path):
    words = write_folder(tmp_path / "words", ["up", "down", "other", "other"])
    saved, picture = tmp_path / "quiet.safetensors", tmp_path / "words.png"
    asked = ("evaluate", "keywords", "--data", words, "--model", words_path, "--max-alarms-per-hour", "1")
    assert streamrnn(*asked, "--save-threshold", saved, "--plot", picture, "--json") == 0
    found = json.loads(capsys.readouterr().out)["recommended"]
    assert found["false_alarms"] == 0 and load(saved).decision.threshold == found["threshold"]
    assert picture.stat().st_size > 10_000
    assert streamrnn(*asked) == 0
    assert f"threshold {found['threshold']:.2f}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("vad", "--max-alarms-per-hour", "1"), "--max-alarms-per-hour is for keywords"),
        (("keywords", "--max-alarms-per-hour", "nan"), "--max-alarms-per-hour is nan; it must be 0 or above"),
        (("keywords", "--save-threshold", "x.safetensors"), "Pass both, or neither"),
        (("vad", "--plot", "x.png"), "--plot needs --hand-over for vad"),
        (("keywords", "--plot", "nowhere/x.png"), "nowhere/x.png: cannot write"),
        (("keywords", "--save-threshold", "x", "--max-alarms-per-hour", "1", "--model", ""), "There is no model ''"),
        (("vad", "--hand-over", "1.5"), "--hand-over is 1.5; it is a share above 0 and below 1"),
        (("keywords", "--hand-over", "0.9", "--out", "pyproject.toml/x"), "pyproject.toml: it is a file"),
    ],
)
def test_flags_that_do_not_fit_are_named(streamrnn, capsys, tmp_path, flags, says):
    assert streamrnn("evaluate", *flags, "--data", tmp_path) == 2
    assert says in capsys.readouterr().err


def test_a_threshold_needs_sound_without_words_and_a_curve_that_falls():
    with pytest.raises(ValueError, match="no sound without words"):
        recommended(None, 1.0)
    point = {"threshold": 0.95, "false_alarms_per_hour": 7.0, "miss_rate": 0.5, "bound_per_hour": None}
    with pytest.raises(ValueError, match=r"Even at the threshold 0\.95 there are 7\.0 false alarms"):
        recommended({"hours": 1, "curve": [point]}, 1.0)
