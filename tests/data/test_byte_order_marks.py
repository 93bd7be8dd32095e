"""Text files of people: the byte order mark that spreadsheets and editors write before them changes nothing."""

import numpy as np
import pytest

from streamrnn.cli.decision import spoken
from streamrnn.data.choices import read_people
from streamrnn.data.examples import read_examples
from streamrnn.data.music import read_pieces
from streamrnn.data.pronunciations import read_pronunciations
from streamrnn.data.series import read_table, read_text
from streamrnn.decisions.phrase_grammar import grammar_from

STROKE = ",".join(["10", "50"] * 8)
FILES = {
    "choices": (read_people, {"a.csv": "user,choice,reward\nann,1,5\nann,2,3\nbob,1,0\n"}),
    "series": (read_table, {"a.csv": "date,a,b\n1,1,2\n2,3,4\n3,5,6\n4,7,8\n"}),
    "text": (read_text, {"a.txt": "the cat sat on the mat\n", "b.txt": "and the dog\n"}),
    "examples": (read_examples, {"train.tsv": "hello\t0\nbye\t1\n", "labels.txt": "greeting\nleave\n"}),
    "intents": (read_examples, {"data_full.json": '{"train": [["hello", "greeting"], ["bye", "leave"]]}'}),
    "strokes": (read_examples, {"pen.tra": f"{STROKE},1\n{STROKE},2\n", "pen.tes": f"{STROKE},3\n"}),
    "dictionary": (read_pronunciations, {"cmudict": "abbey 1 AE1 B IY0\nabbot 1 AE1 B AH0 T\n"}),
    "words": (read_pronunciations, {"dut_train.tsv": "aan\ta n\n", "dut_test.tsv": "een\te n\n"}),
    "music": (read_pieces, {"train.txt": "C4 E4\nC4 F4\n", "test.txt": "D4\n"}),
}


@pytest.mark.parametrize(("read", "files"), FILES.values(), ids=FILES.keys())
def test_a_file_with_a_byte_order_mark_is_read_like_one_without(read, files, tmp_path):
    parts = []
    for folder, encoding in ((tmp_path / "plain", "utf-8"), (tmp_path / "marked", "utf-8-sig")):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding=encoding, newline="")
        found = vars(read([folder]))
        parts.append({name: value for name, value in found.items() if name != "files"})
    plain, marked = parts
    np.testing.assert_equal(marked, plain)


@pytest.mark.parametrize(("read", "files"), FILES.values(), ids=FILES.keys())
def test_a_file_in_another_encoding_is_refused_by_its_name(read, files, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode() + b"caf\xe9")
    with pytest.raises(ValueError, match=r"is not in UTF-8: byte \d+ is 0xe9\. Save it as UTF-8") as refused:
        read([tmp_path])
    assert any(name in str(refused.value) for name in files)


def test_a_grammar_with_a_byte_order_mark_is_read_like_one_without(tmp_path):
    text = '[intents]\nlight = ["turn on the light"]\n'
    (tmp_path / "lights.toml").write_text(text, encoding="utf-8-sig")
    assert spoken((), tmp_path / "lights.toml") == {"grammar": text}
    assert grammar_from("\ufeff" + text) == grammar_from(text)
