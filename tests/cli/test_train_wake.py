"""`streamrnn train wake`: what it refuses, before hours of work."""

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.cli import train, train_wake
from streamrnn.data.voices import Said
from streamrnn.models import Phonemes, PhonemesSettings


def test_no_phrase_and_no_other_sound_are_refused(capsys):
    with pytest.raises(ValueError, match="no phrase came"):
        train_wake.main([])
    with pytest.raises(ValueError, match=r"--data names no folder. A wake word is told apart from other sound"):
        train_wake.main(["hey computer"])
    assert capsys.readouterr().out == ""


def test_a_short_phrase_is_warned_of_and_an_unknown_word_named(capsys):
    with pytest.raises(ValueError, match="--data names no folder"):
        train_wake.main(["hi"])
    assert "'hi' has 2 sounds; so short a phrase is in much of what people say" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"'xyzzyx' .*is not in the dictionary"):
        train_wake.main(["xyzzyx computer"])


def test_another_model_is_no_encoder(tmp_path):
    with pytest.raises(ValueError, match="--encoder vad is a VoiceActivity; it needs a model of phonemes"):
        train_wake.main(["hey computer", "--data", str(tmp_path), "--encoder", "vad"])


def test_no_program_that_speaks_is_said_with_what_to_install(tmp_path, monkeypatch):
    write_audio(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000)
    monkeypatch.setattr("streamrnn.data.voices.shutil.which", lambda _name: None)
    with pytest.raises(ValueError, match=r"No voice can speak here. Install the program espeak-ng"):
        train_wake.main(["hey computer", "--data", str(tmp_path), "--out", str(tmp_path / "out")])


class Talker:
    name, missing = "talker", ""

    def say(self, rng, text, sample_rate, *, held_out=False):
        return Said(np.sin(np.arange(2000) / 5).astype(np.float32), "held" if held_out else "heard")


class Whisperer(Talker):
    name = "whisperer"


def test_recordings_are_counted_beside_how_often_they_were_laid_among_other_sound():
    point = {"threshold": 0.5, "miss_rate": 0.1, "false_alarms": 1, "false_alarms_per_hour": 2.0, "hours": 0.5}
    told = train_wake._told("oyez", {"recordings": 3, "words": 120, "threshold": 0.5, "curve": [point]}, 10)
    assert "10.0 % missed of 3 recordings that training never heard, laid 120 times among other sound" in told


@pytest.mark.filterwarnings("ignore:.*no split")
def test_what_voices_say_of_each_phrase_is_read_beside_recordings_of_people(tmp_path):
    (tmp_path / "people").mkdir()
    for number in range(2):
        write_audio(tmp_path / f"people/{number}.wav", np.sin(np.arange(4000) / (7 + number)).astype(np.float32), 8000)
    flags = train_wake.TrainWake(
        ("hey computer",), out=tmp_path / "run", clips=20, near=30, recordings=tmp_path / "people"
    )
    told = set()
    said = train_wake._said(flags, "hey computer", [Talker()], 8000, lambda what, done, total: told.add((what, total)))
    assert len(said.words) + len(said.valid_words) == 22 and len(said.near) + len(said.valid_near) == 30
    assert said.valid_words and told == {("'hey computer', said", 20), ("what sounds like 'hey computer', said", 30)}
    assert Path(tmp_path / "run/near/hey-computer/manifest.csv").is_file()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """command(*flags) runs `streamrnn train wake "hey computer"` with a small encoder, one voice, and no training."""
    listener = Phonemes(PhonemesSettings(hidden=8, mels=8), rngs=nnx.Rngs(0))
    monkeypatch.setattr(train_wake, "load_weights", lambda name: listener)
    monkeypatch.setattr(train_wake, "voices_that_are_there", lambda kokoro: [Talker()])
    monkeypatch.setattr(train_wake, "configure", lambda: None)
    monkeypatch.setattr(train_wake, "train_wake", lambda *given: iter(()))
    (tmp_path / "noise").mkdir()
    write_audio(tmp_path / "noise/a.wav", np.zeros(16_000, np.float32), 16_000)
    where = ("--data", str(tmp_path / "noise"), "--out", str(tmp_path / "run"), "--clips", "4", "--near", "3")
    return lambda *flags: train_wake.main(["hey computer", *where, *flags])


@pytest.mark.filterwarnings("ignore:.*no split")
def test_a_dry_run_tells_what_would_be_done_and_how_long_it_takes_and_writes_nothing(command, tmp_path, capsys):
    command("--dry-run", "--hours", "0.01")
    told = capsys.readouterr().out
    assert "4 times said by talker, 3 times what sounds like it" in told and "600 updates" in told
    assert f"Written at the end: {tmp_path / 'run' / 'hey-computer.safetensors'}" in told
    assert "about 1 min for voices to speak, 1 min to hear rows" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*no split")
def test_another_run_in_the_same_folder_is_refused_and_the_same_goes_on(command, tmp_path, monkeypatch):
    command()
    said = {path: path.read_bytes() for path in (tmp_path / "run" / "said").rglob("*.flac")}
    assert len(said) == 4
    with pytest.raises(ValueError, match=r"run holds another run: settings.seed is 0 there and 1 here.*--out"):
        command("--seed", "1")
    command()
    assert {path: path.read_bytes() for path in (tmp_path / "run" / "said").rglob("*.flac")} == said
    command("--clips", "6")
    more = {path: path.read_bytes() for path in (tmp_path / "run" / "said").rglob("*.flac")}
    assert len(more) == 6 and more.items() > said.items()
    monkeypatch.setattr(train_wake, "voices_that_are_there", lambda kokoro: [Talker(), Whisperer()])
    with pytest.raises(ValueError, match=r"voices is \['talker'\] there and \['talker', 'whisperer'\] here"):
        command()


@pytest.mark.filterwarnings("ignore:.*no split")
def test_a_model_of_no_known_run_is_not_overwritten(command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/hey-computer.safetensors").write_bytes(b"mine")
    with pytest.raises(ValueError, match="exists and belongs to no known run"):
        command()
    assert (tmp_path / "run/hey-computer.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("flags", "said"), [(("--clips", "0"), "--clips is 0; it must be at least 1"), (("--near", "-1"), "--near is -1")]
)
def test_counts_that_mean_nothing_are_refused_before_a_plan_is_told(command, capsys, flags, said):
    with pytest.raises(ValueError, match=said):
        command("--dry-run", *flags)
    assert "times said by" not in capsys.readouterr().out


def test_a_folder_that_is_a_file_is_refused_before_a_plan_is_told(command, tmp_path):
    (tmp_path / "run").write_text("notes")
    with pytest.raises(NotADirectoryError, match="a folder is needed"):
        command("--dry-run")


def test_it_is_listed_among_what_can_be_trained(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    listed = capsys.readouterr().out
    assert "• wake" in listed and "A wake word from its text" in listed
    assert "max-pooling loss on words" in listed
