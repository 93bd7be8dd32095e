"""`streamrnn run` and `streamrnn serve` with phrases."""

import json

import pytest

from streamrnn.audio import write_audio
from streamrnn.cli.flags import parse
from streamrnn.cli.serve import Serve, _listening
from streamrnn.pretrained import save
from tests.decisions.spoken_phonemes import heard, sounds
from tests.phoneme_model import RATE, as_sound, phoneme_model

GRAMMAR = '[intents]\nlight = ["turn (on|off) the {place} light"]\n[slots]\nplace = ["kitchen", "hall"]\n'


@pytest.fixture(scope="module")
def phones(tmp_path_factory):
    """A saved model of phonemes, and a recording in which things are said."""
    folder = tmp_path_factory.mktemp("phones")
    save(phoneme_model(), folder / "phones")
    said = heard(sounds("hey computer turn on the hall light"), 3)
    write_audio(folder / "said.wav", as_sound(said), RATE)
    (folder / "lights.toml").write_text(GRAMMAR)
    return folder


def test_phrases_are_heard_in_a_file(streamrnn, capsys, phones):
    given = ("--phrase", "hey computer", "--phrase", "good morning", "--json")
    assert streamrnn("run", phones / "phones", phones / "said.wav", *given) == 0
    printed = capsys.readouterr()
    (event,) = map(json.loads, printed.out.splitlines())
    assert (event["kind"], event["label"]) == ("keyword", "hey computer") and "slots" not in event
    assert "1 word;" in printed.err


def test_commands_of_a_grammar_are_heard_with_their_slots(streamrnn, capsys, phones):
    assert streamrnn("run", phones / "phones", phones / "said.wav", "--grammar", phones / "lights.toml") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[-2:] == ["light", "place=hall"]


@pytest.mark.parametrize(
    "given, told",
    [
        ((), 'Say what to listen for: --phrase "hey computer", or --grammar FILE.'),
        (("--phrase", "hey zorblax"), "'zorblax' in 'hey zorblax' is not in the dictionary"),
        (("--phrase", ""), "has no required word"),
        (("--grammar", "nothing.toml"), "nothing.toml"),
        (("--grammar", "empty.toml"), "is empty"),
        (("--grammar", "said.wav"), "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_listened_for_is_said(streamrnn, capsys, phones, monkeypatch, given, told):
    monkeypatch.chdir(phones)
    (phones / "empty.toml").write_text("\n")
    assert streamrnn("run", "phones", "said.wav", *given) != 0
    assert told in capsys.readouterr().err


def test_another_model_takes_no_phrases(streamrnn, capsys, model_path, sound_path):
    assert streamrnn("run", model_path, sound_path, "--phrase", "hey you") != 0
    assert "has no setting phrases" in capsys.readouterr().err


def test_a_served_model_listens_for_phrases(phones, model_path):
    path = str(phones / "phones")
    flags = parse(Serve, "serve", [path, "vad", "--phrase", "hey computer"])
    assert {name: model.outlet().labels for name, model in _listening(flags).items()} == {
        "phones": ("hey computer",),
        "vad": ("speech",),
    }
    with pytest.raises(ValueError, match="--phrase and --grammar are for phrases; vad came"):
        _listening(parse(Serve, "serve", ["vad", "--phrase", "hey computer"]))
