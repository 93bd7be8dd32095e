# ruff: noqa: RUF001
"""Synthetic voices, of programs that are stood in for by scripts."""

import os
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.data import voices
from streamrnn.data.voices import Espeak, Festival, Flite, Kokoro, kokoro_symbols, voices_that_are_there


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """A folder that is the whole PATH, with a recording that programs say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    write_audio(tmp_path / "said.wav", 0.5 * np.sin(np.arange(8000) / 5), 8000)
    return folder


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    os.chmod(folder / name, 0o755)


def test_a_voice_says_a_text_at_the_asked_rate(programs, tmp_path):
    install(programs, "espeak-ng", f'/bin/cp {tmp_path / "said.wav"} "$8"; echo "$9" > {tmp_path / "text"}')
    said = Espeak().say(np.random.default_rng(0), "hello there", 16_000)
    assert len(said.samples) == 16_000 and said.voice.startswith("espeak_")
    assert (tmp_path / "text").read_text() == "hello there\n"
    assert [one.name for one in voices_that_are_there()] == ["espeak-ng"]


def test_voices_for_validation_are_never_heard_in_training(programs, tmp_path):
    install(programs, "espeak-ng", f'/bin/cp {tmp_path / "said.wav"} "$8"')
    rng = np.random.default_rng(0)
    heard = {held: {Espeak().say(rng, "a", 8000, held_out=held).voice for _ in range(12)} for held in (True, False)}
    assert not heard[True] & heard[False]


def test_a_program_that_fails_is_quoted(programs):
    install(programs, "flite", "echo no such voice >&2; exit 3")
    with pytest.raises(RuntimeError, match="flite failed with 3: no such voice"):
        Flite().say(np.random.default_rng(0), "hello", 16_000)


def test_what_is_missing_is_named(programs, tmp_path):
    with pytest.raises(RuntimeError, match=r"No voice can speak here. Install the program espeak-ng .* or .*flite"):
        voices_that_are_there()
    assert "apt install festival" in Festival().missing
    install(programs, "espeak-ng", "")
    with pytest.raises(RuntimeError, match=r"Kokoro can't speak: the file kokoro.onnx in .* is missing"):
        voices_that_are_there(tmp_path)
    for name in ("kokoro.onnx", "vocab.json"):
        (tmp_path / name).touch()
    assert "styles of English voices" in Kokoro(tmp_path).missing


def test_kokoro_gets_single_letters_for_diphthongs_and_affricates(monkeypatch):
    monkeypatch.setattr(voices, "_run", lambda command: "d^ʒˈʌd^ʒ ðə lˈa^ɪt".encode())
    assert kokoro_symbols("judge the light") == "ʤˈʌʤ ðə lˈIt"
