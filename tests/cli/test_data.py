"""`streamrnn data fetch`: what it says and where it puts things; tests/data/test_fetch.py has how."""

import re
import tarfile

import pytest

from streamrnn.cli.data import NEXT
from streamrnn.data.corpora import CORPORA, Archive, Corpus


@pytest.fixture
def words(monkeypatch, tmp_path) -> str:
    """A corpus of two parts in place of speech-commands; the URL of a folder that has them."""
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "yes.wav").touch()
        with tarfile.open(tmp_path / f"{part}.tar.gz", "w:gz") as tar:
            tar.add(tmp_path / part, part)
    parts = {
        part: Archive(f"https://nowhere.invalid/{part}.tar.gz", None, None, part, f"words/{part}") for part in "ab"
    }
    monkeypatch.setitem(CORPORA, "speech-commands", Corpus("words", "CC0", parts, ("a",)))
    return tmp_path.as_uri()


def test_what_is_fetched_is_named_with_its_licence_and_what_to_do_next(streamrnn, capsys, words, tmp_path):
    out = tmp_path / "out"
    assert streamrnn("data", "fetch", "speech-commands", out, "--base-url", words) == 0
    assert [path.name for path in (out / "words").iterdir()] == ["a"]
    printed = capsys.readouterr().out
    assert "fetching a.tar.gz\n" in printed
    assert f"{out / 'words'} is ready (licence: CC0). Next: streamrnn train keywords --data {out / 'words'} " in printed


def test_a_second_run_says_that_all_is_there(streamrnn, capsys, words, tmp_path):
    for _ in range(2):
        assert streamrnn("data", "fetch", "speech-commands", tmp_path / "out", "--base-url", words) == 0
    assert f"{tmp_path / 'out' / 'words' / 'a'} is there already\n" in capsys.readouterr().out


def test_parts_are_fetched_as_asked_for(streamrnn, words, tmp_path):
    asked = ("--part", "a", "b", "--base-url", words)
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "out", *asked) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "words").iterdir()) == ["a", "b"]


def test_contents_are_held_to_the_sum_that_was_printed_before(streamrnn, capsys, words, tmp_path):
    base = ("--base-url", words)
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "one", *base) == 0
    [contents] = re.findall(r"contents of a\.tar\.gz: ([0-9a-f]{64})\n", capsys.readouterr().out)
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "two", *base, "--contents", contents) == 0
    # What was fetched before is not what --contents is of, and this is said.
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "two", *base, "--contents", "0" * 64) == 0
    assert "is there already, and was not checked" in capsys.readouterr().out
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "three", *base, "--contents", "0" * 64) == 2
    assert f"the sum of its contents is {contents}, and {'0' * 64} is asked for" in capsys.readouterr().err
    both = ("--part", "a", "b", "--contents", contents)
    assert streamrnn("data", "fetch", "speech-commands", tmp_path / "four", *base, *both) == 2
    assert "contents is the sum of one part; a, b are asked for" in capsys.readouterr().err


def test_an_unknown_corpus_and_an_unknown_part_name_the_known_ones(streamrnn, capsys, tmp_path):
    assert streamrnn("data", "fetch", "songs", tmp_path) == 2
    assert f"there is no corpus 'songs'. Corpora are: {', '.join(CORPORA)}." in capsys.readouterr().err
    assert streamrnn("data", "fetch", "librispeech", tmp_path, "--part", "dev-dirty") == 2
    assert "LibriSpeech has no part dev-dirty. Its parts are: dev-clean, " in capsys.readouterr().err


def test_a_failure_is_one_clear_line(streamrnn, capsys, words, tmp_path):
    assert streamrnn("data", "fetch", "fsdd", tmp_path / "out", "--base-url", "http://127.0.0.1:1") == 2
    error = capsys.readouterr().err
    assert error.startswith("streamrnn: http://127.0.0.1:1/v1.0.10.tar.gz could not be downloaded: ")
    assert error.count("\n") == 1


def test_every_corpus_says_what_to_do_next():
    assert NEXT.keys() == CORPORA.keys()
