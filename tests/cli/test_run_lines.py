"""Models of lines on the command line: trained, evaluated and run, from files and from standard input."""

import io
import json
import sys

import numpy as np
import pytest
import soundfile
from flax import nnx

from streamrnn.models import Forecast, ForecastSettings, NextItem, NextItemSettings
from streamrnn.pretrained import save

SMALL = ("--hidden", 8, "--layers", 1)
SHORT = ("--steps", 40, "--validate-every", 40, "--warmup-steps", 4, "--learning-rate", 0.03)


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    """Strokes to the right (1) and to the left (2), in the form of pendigits."""
    folder, rng = tmp_path_factory.mktemp("strokes"), np.random.default_rng(0)
    for name, count in (("pen.tra", 60), ("pen.tes", 10)):
        rows = []
        for number in range(count):
            right = np.stack([np.linspace(0, 100, 8), 50 + 10 * rng.standard_normal(8)], axis=1)
            points = right if number % 2 else right[::-1]
            rows.append(",".join(f"{cell:.0f}" for cell in points.ravel()) + f", {2 - number % 2}")
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def typed(monkeypatch):
    """Lines for standard input."""

    def give(text):
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode() if isinstance(text, str) else text))
        )

    return give


@pytest.fixture(scope="module")
def pen(tmp_path_factory):
    return tmp_path_factory.mktemp("pen")


def test_a_shipped_model_is_run_by_its_own_name_as_by_its_tasks(streamrnn, capsys, typed):
    for name in ("say", "say-en"):
        typed("hello\n")
        assert streamrnn("run", name, "-") == 0
        assert capsys.readouterr().out == "hello: HH EH L OW\n"


def test_a_classifier_is_trained_evaluated_and_run(streamrnn, capsys, strokes, pen, typed):
    assert streamrnn("train", "pen", "--data", strokes, "--out", pen, *SMALL, *SHORT) == 0
    assert "pen.safetensors FILE" in capsys.readouterr().out
    assert streamrnn("evaluate", "pen", "--data", strokes, "--model", pen / "pen", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["split"], result["lines"], result["streaming"]["accuracy"]) == ("test", 10, 1.0)
    assert result["streaming"] == result["offline"]
    assert streamrnn("evaluate", "pen", "--data", strokes, "--model", pen / "pen") == 0
    assert "10 lines of" in " ".join(capsys.readouterr().out.split())

    typed("0,50,20,50,40,50,60,50,80,50,100,50\n\nup\n100,50,60")
    assert streamrnn("run", pen / "pen", "-", "--json", "--threshold", 0.01) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["label"] == "1" and len(answer["after"]) == 6
    assert "line 3 is left out: it has 1 number; a point has two" in err
    assert "line 4 is left out: it has 3 numbers" in err and "4 lines: 1 answered, 2 refused" in err

    assert streamrnn("run", pen / "pen", strokes / "pen.tes") == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_a_forecaster_is_evaluated_and_run(streamrnn, capsys, tmp_path, typed):
    settings = ForecastSettings(("a", "b"), (0.0, 0.0), (1.0, 1.0), horizon=3, period=4, level_rows=8, hidden=8)
    save(Forecast(settings, rngs=nnx.Rngs(0)), weights := tmp_path / "small", task="forecast")
    table, hours = tmp_path / "load.csv", np.arange(600)
    rows = [f"2020-01-01 {h % 24:02d}:00,{np.sin(h / 4):.3f},{np.cos(h / 4):.3f}" for h in hours]
    table.write_text("\n".join(["date,a,b", *rows]))
    assert streamrnn("evaluate", "forecast", "--data", table, "--model", weights, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["lines"] == 118 and set(result["streaming"]["below"]) == {"0.1", "0.5", "0.9"}
    for figure in ("mse", "mae", "mse_target", "mae_median", "repeat_last_mse", "coverage"):
        assert result["streaming"][figure] == pytest.approx(result["offline"][figure], rel=1e-3)

    for name in (weights, f"{weights}.json", f"{weights}.safetensors"):
        typed("date,a,b\n2020-01-01 00:00,0,1\n2020-01-01 01:00,0.2")
        assert streamrnn("run", name, "-") == 0
        out, err = capsys.readouterr()
    typed("date,a,b\n1,2\n".encode("utf-16"))
    assert streamrnn("run", weights, "-") == 2
    assert "line 1 is left out: it has zero bytes, and is no text in UTF-8" in capsys.readouterr().err
    # Neither is the table to blame, which is no sound.
    assert streamrnn("run", tmp_path / "smal", table) == 2
    assert "There is no file" in capsys.readouterr().err
    assert streamrnn("export", weights, tmp_path / "small.onnx") == 0
    capsys.readouterr()
    assert streamrnn("run", tmp_path / "small.onnx", table) == 2
    assert "takes no sound. If it reads lines, pass the .safetensors file" in capsys.readouterr().err
    typed("date,a,b\n2020-01-01 00:00,0,1\n2020-01-01 01:00,0.2")
    assert streamrnn("run", weights, "-") == 0
    out, err = capsys.readouterr()
    assert out.startswith("2020-01-01 00:00  b now 1.0; in 3 h ") and "line 3 is left out" in err
    picture = tmp_path / "fans.png"
    assert streamrnn("run", weights, table, "--plot", picture) == 0
    assert f"; wrote {picture}" in capsys.readouterr().err and picture.read_bytes().startswith(b"\x89PNG")
    assert streamrnn("run", weights, table, "--plot", tmp_path / "fans.txt") == 2
    typed("date,b,a\n1,2\n")
    assert streamrnn("run", weights, "-") == 2
    assert "line 1: the table's columns are date, b, a; this model forecasts a, b" in capsys.readouterr().err


def test_a_model_of_characters_is_evaluated_run_and_writes(streamrnn, capsys, tmp_path, typed):
    settings = NextItemSettings(symbols=tuple("\n abcehimnostu"), embedding=4, hidden=8)
    save(NextItem(settings, rngs=nnx.Rngs(0)), weights := tmp_path / "small", task="typing")
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 40)
    assert streamrnn("evaluate", "typing", "--data", text, "--model", weights, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    live, offline = result["streaming"], result["offline"]
    assert live["nats_per_item"] == pytest.approx(offline["nats_per_item"]) == pytest.approx(np.log(14), abs=0.3)
    assert live["keystrokes_saved"] == pytest.approx(0, abs=0.1)

    # Accents that are characters of their own are read with their letters, and move nothing.
    (tmp_path / "accents.txt").write_text("the cat\u0301 sat on the mat\n" * 40)
    assert streamrnn("evaluate", "typing", "--data", tmp_path / "accents.txt", "--model", weights) == 0
    capsys.readouterr()

    (tmp_path / "short.txt").write_text("the cat")
    assert streamrnn("evaluate", "typing", "--data", tmp_path / "short.txt", "--model", weights) == 2
    assert "Part 'test' of the text has fewer than two characters" in capsys.readouterr().err

    typed(b"the c\xff\r\n")
    assert streamrnn("run", weights, "-", "--json") == 0
    assert json.loads(capsys.readouterr().out)["unknown"] == ["\ufffd"]

    for _ in range(2):
        assert streamrnn("generate", weights, "the ", "--items", 12, "--seed", 3, "--temperature", 0.5) == 0
    assert len(written := capsys.readouterr().out) == 2 * 17 and written[:17] == written[17:]
    assert streamrnn("generate", weights, "", "--items", 12) == 2
    assert "empty prompt" in capsys.readouterr().err


def test_flags_and_sources_of_sound_are_refused(streamrnn, capsys):
    assert streamrnn("run", "pen", "-", "--sample-rate", 8000) == 2
    assert "--sample-rate is for models of sound" in capsys.readouterr().err
    for flag, value in [("--channel", 0), ("--encoding", "mulaw"), ("--utterances", "said"), ("--longest-s", 0.0)]:
        assert streamrnn("run", "pen", "-", flag, value) == 2
        assert f"{flag} is for models of sound" in capsys.readouterr().err
    assert streamrnn("run", "pen", "-", "--phrase", "hey computer") == 2
    assert "has no setting phrases" in capsys.readouterr().err
    assert streamrnn("run", "pen", "-", "--plot", "pen.png") == 2
    assert "pen has no plot" in capsys.readouterr().err
    assert streamrnn("run", "pen", "mic") == 2
    assert "reads lines of text and hears nothing" in capsys.readouterr().err
    assert streamrnn("run", "pen", "nowhere.csv") == 2
    assert "nowhere.csv" in capsys.readouterr().err


def test_settings_of_decisions_are_refused_by_models_that_decide_nothing(streamrnn, capsys, typed):
    typed("the c\n")
    flags = ("--threshold", 0.9, "--min-speech-ms", 10, "--phrase", "hey computer")
    assert streamrnn("run", "typing", "-", *flags) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert all(flag in told for flag in flags[::2]) and "typing gives an answer per line" in told


def test_an_endless_line_is_left_out_and_the_next_one_read(streamrnn, capsys, typed):
    typed("1," * 200_000 + "\n0,50,100,50\n")
    assert streamrnn("run", "pen", "-", "--json") == 0
    out, err = capsys.readouterr()
    assert "line 1 is left out: it has more than 100,000 characters" in err and len(out.splitlines()) == 1
    assert "2 lines" in err


def test_long_lines_of_any_script_are_read_whole_or_not_at_all(typed, capsys, streamrnn):
    # A character of these has three bytes.
    typed("\u5b57" * 60_000 + "\n" + "\u5b57" * 100_001 + "\r\nfine\n" + "\u5b57" * 300_000)
    assert streamrnn("run", "typing", "-", "--json") == 0
    out, err = capsys.readouterr()
    assert [len(json.loads(line)["line"]) for line in out.splitlines()] == [60_000, 4]
    assert "line 2 is left out: it has more than 100,000" in err and "line 4 is left out" in err and "4 lines" in err


@pytest.mark.parametrize("flag", ["--smoothing-ms", "--off-threshold", "--hand-over"])
def test_settings_of_events_are_refused_by_answers_to_lines(streamrnn, capsys, flag):
    assert streamrnn("run", "intent", "-", flag, 0.1) == 2
    assert f"{flag} is for events in time; intent gives an answer per line" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", ["2", "nan", "0"])
def test_thresholds_of_answers_are_probabilities(streamrnn, capsys, threshold):
    assert streamrnn("run", "intent", "-", "--threshold", threshold) == 2
    assert "it must be above 0 and at most 1" in " ".join(capsys.readouterr().err.split())


def test_a_picture_that_cannot_be_written_is_refused_before_the_first_line(streamrnn, capsys, tmp_path):
    (tmp_path / "rows.csv").write_text("1,2,3,4,5,6,7\n")
    picture = tmp_path / "nowhere" / "fans.png"
    assert streamrnn("run", "forecast", tmp_path / "rows.csv", "--plot", picture) == 2
    out, err = capsys.readouterr()
    assert not out and "cannot write" in err


def test_a_model_of_choices_is_trained_evaluated_and_plays(streamrnn, capsys, tmp_path, typed):
    people = ["user,choice,reward"]
    for person in range(20):
        people += [f"{person},{1 + (n + person) % 3},{10 * (n % 5)}" for n in range(12)]
    (tmp_path / "people.csv").write_text("\n".join(people))
    small = ("--options", 3, "--hidden", 8, "--people", 8)
    assert streamrnn("train", "choices", "--data", tmp_path, "--out", tmp_path, *small, *SHORT) == 0
    capsys.readouterr()
    assert streamrnn("evaluate", "choices", "--data", tmp_path, "--model", tmp_path / "choices", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["lines"] == 4 * 12
    for figure in ("accuracy", "nats"):
        assert result["streaming"][figure] == pytest.approx(result["offline"][figure], rel=1e-4)
    # Whoever always goes on to the next one is found out.
    assert result["streaming"]["accuracy"] > 0.9 and result["streaming"]["repeat"] == 0

    typed("1\n2\n7\n2,50\n")
    assert streamrnn("run", tmp_path / "choices", "-") == 0
    out, err = capsys.readouterr()
    first, second, third = out.splitlines()
    assert first.startswith("1 gave ") and second.endswith("as I guessed (1 of 1 right)")
    assert third == "2 gave 50; not 3, as I guessed (1 of 2 right)"
    assert "line 3 is left out: its choice is 7; it must be one of 1 to 3" in err


def test_a_model_of_music_is_trained_evaluated_run_and_plays_on(streamrnn, capsys, tmp_path, typed):
    # Two chords take turns, now in one key, now in another.
    for name, pieces in (("train", 12), ("valid", 2), ("test", 2)):
        chords = [["C4 E4", "C4 F4"], ["D4 F#4", "D4 G4"]]
        text = "\n\n".join("\n".join(chords[piece % 2] * 6) for piece in range(pieces))
        (tmp_path / f"{name}.txt").write_text(text)
    small, music = ("--hidden", 16, "--head", 8, "--pieces", 8, "--frames", 8, "--dropout", 0), tmp_path / "music"
    assert streamrnn("train", "music", "--data", tmp_path, "--out", tmp_path, *small, *SHORT, "--steps", 80) == 0
    capsys.readouterr()
    assert streamrnn("evaluate", "music", "--data", tmp_path, "--model", music, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["lines"] == 24 and result["streaming"]["nats_per_frame"] == pytest.approx(
        result["offline"]["nats_per_frame"], rel=1e-3
    )
    assert result["streaming"]["nats_per_frame"] < 5 and result["streaming"]["repeat"] == 0

    typed("C4 E4\nC4 F4\nX4\n")
    assert streamrnn("run", music, "-") == 0
    out, err = capsys.readouterr()
    assert out.startswith("C4 E4; expected next: ") and "line 3 is left out: 'X4' is no note" in err
    sound, picture = tmp_path / "song.wav", tmp_path / "song.svg"
    for _ in range(2):
        assert streamrnn("generate", music, "C4 E4, C4 F4", "--items", 3, "--out", sound, "--plot", picture) == 0
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 6 and written[:3] == written[3:]
    assert soundfile.info(sound).duration == pytest.approx(5 / 2 + 0.5) and "<svg" in picture.read_text()
    assert streamrnn("generate", music, "C4", "--out", tmp_path / "nowhere" / "song.wav") == 2
    out, err = capsys.readouterr()
    assert not out and "cannot write" in err
    assert streamrnn("generate", music, "C4", "--out", tmp_path / "song.midi") == 2
    out, err = capsys.readouterr()
    assert not out and "no format '.midi'" in err
    assert streamrnn("generate", music, " ", "--items", 3) == 2
    assert "nothing to start from" in capsys.readouterr().err


def test_files_of_which_nothing_can_be_used_fail(streamrnn, capsys, tmp_path):
    (tmp_path / "words.csv").write_text("up\ndown 3\n")
    assert streamrnn("run", "pen", tmp_path / "words.csv") == 2
    told = capsys.readouterr().err
    assert "words.csv could be used" in told and "'down 3' stands" not in told and "2 lines: 0 answered" in told
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\n")
    assert streamrnn("run", "pen", tmp_path / "sound.wav") == 2
    assert "holds no text: it has zero bytes" in capsys.readouterr().err
    assert streamrnn("run", "pen", tmp_path) == 2
    assert "is a directory; pass one of the files in it" in capsys.readouterr().err
    for text in ("", "\n\n", "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n"):
        (tmp_path / "nothing.csv").write_text(text)
        assert streamrnn("run", "forecast", tmp_path / "nothing.csv", "--plot", tmp_path / "fans.png") == 2
        told = capsys.readouterr().err
        assert "nothing.csv has no line that is answered" in " ".join(told.split()) and "wrote" not in told
    (tmp_path / "spaces.csv").write_text("1 30\n2,40\n")
    assert streamrnn("run", "choices", tmp_path / "spaces.csv") == 0
    assert "numbers are separated by commas" in capsys.readouterr().err
