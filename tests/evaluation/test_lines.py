"""Figures of models of lines on data that are unlike those that they were trained on."""

import numpy as np
import pytest
from scipy.io import savemat

from streamrnn.data.series import read_text
from streamrnn.evaluation import evaluate


def test_strangers_alone_have_no_accuracy(tmp_path):
    (tmp_path / "test.tsv").write_text("what\t\n")
    found = evaluate("intent", tmp_path, "intent")
    assert set(found["streaming"]) == set(found["offline"]) == {"stranger_recall"}


def test_labels_that_no_threshold_can_be_chosen_for_are_named(tmp_path):
    for name in ("valid", "test"):
        (tmp_path / f"{name}.tsv").write_text("I love it\tjoy\n")
    with pytest.raises(ValueError, match=r"No example of the part valid, .* has the label anger"):
        evaluate("emotion", tmp_path, "emotion")


def test_rewards_that_a_live_stream_would_refuse_are_not_judged(tmp_path):
    rows = "".join(f"{n},{1 + i},{1000 * i}\n" for n in range(10) for i in range(3))
    (tmp_path / "people.csv").write_text("user,choice,reward\n" + rows)
    with pytest.raises(ValueError, match="rewards up to 2000; live, this model refuses those above 100"):
        evaluate("choices", tmp_path, "choices")


def test_all_words_of_an_entry_are_judged(tmp_path):
    (tmp_path / "test.tsv").write_text("cat\tK AE T\n")
    one = evaluate("say", tmp_path, "say-en")["streaming"]
    (tmp_path / "test.tsv").write_text("cat cat\tK AE T K AE T\n")
    assert evaluate("say", tmp_path, "say-en")["streaming"] == one


def test_keys_that_are_struck_with_a_velocity_are_refused(tmp_path):
    pieces = np.empty(1, object)
    pieces[0] = np.full((3, 88), 64.0)
    savemat(tmp_path / "x.mat", dict.fromkeys(("traindata", "validdata", "testdata"), pieces))
    with pytest.raises(ValueError, match="has other numbers than 0 and 1"):
        evaluate("music", tmp_path, "music")


def test_a_file_that_is_named_twice_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 100)
    assert read_text([tmp_path, tmp_path / "a.txt"]).parts == read_text([tmp_path]).parts


@pytest.mark.parametrize(
    ("task", "model", "name", "text", "there"),
    [
        ("choices", "choices", "people.csv", "user,choice,reward\n" + "1,1,0\n" * 3, "(train|valid|test)"),
        ("music", "music", "test.txt", "C4\nD4\n", "test"),
        ("intent", "intent", "test.tsv", "what\tgreeting\n", "test"),
        ("typing", "typing", "a.txt", "a" * 100, "train, valid, test"),
        ("say", "say-en", "test.tsv", "cat\tK AE T\n", "test"),
    ],
    ids=["choices", "music", "intent", "typing", "say"],
)
def test_a_part_that_is_not_there_is_named_with_those_that_are(tmp_path, task, model, name, text, there):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name} has no part 'tset'; the parts are: {there}\."):
        evaluate(task, tmp_path, model, split="tset")
