"""The examples run, and what they print is true. The one with the microphone is run by tests/system."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

import streamrnn

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "anything").glob("*.py")])
SAMPLES = ROOT / "audio_samples"
LINES_PER_EXAMPLE = 60


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """printed("01_stream_file", *arguments): the lines that the example prints."""

    def run(name: str, *arguments: str) -> list[str]:
        path = str(ROOT / "examples" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+|\d+", line)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) < LINES_PER_EXAMPLE
    assert f"\n\npython {path.relative_to(ROOT)}" in (ast.get_docstring(ast.parse(text)) or "")


@pytest.mark.parametrize(
    "arguments", [[], ["telephone_8k.wav"]], ids=["the conversation by default", "a telephone call"]
)
def test_the_streamed_file_shows_the_segments_that_are_found_offline(printed, arguments: list[str]):
    lines = printed("01_stream_file", *(str(SAMPLES / name) for name in arguments))
    recording, *_ = [*arguments, "conversation.flac"]
    found = streamrnn.speech_segments(streamrnn.load("vad"), SAMPLES / recording)
    assert found
    assert [numbers(line)[1:] for line in lines[::2]] == [[round(s.start_s, 2)] for s in found]
    assert [numbers(line)[1:] for line in lines[1::2]] == [[round(s.start_s, 2), round(s.end_s, 2)] for s in found]


def test_two_calls_are_heard_at_once_and_a_move_changes_no_event(printed):
    *lines, verdict = printed("03_chunks_from_anywhere")
    alice, bob, again = ([line for line in lines if line.startswith(caller)] for caller in ("Alice", "Bob", "again"))
    (move,) = (line for line in alice if "moved" in line)
    assert numbers(move)[0] == 1.5
    assert [line.split()[1:] for line in alice if line != move] == [line.split()[1:] for line in again] != []
    assert verdict == "The same events with and without the move: True"
    decided_s = [numbers(line)[0] for line in lines if line in alice + bob]
    assert bob
    # In the order in which they are spoken, but for the 20 ms of a packet.
    assert decided_s == pytest.approx(sorted(decided_s), abs=0.02)


def test_a_layer_of_ones_own_learns_and_streams(printed):
    learned, agreement = printed("04_your_own_layer")
    assert numbers(learned) == pytest.approx([20, 300], rel=0.05)
    assert numbers(agreement)[0] < 1e-3


def test_a_transcript_grows_word_by_word_until_the_utterance_is_over(printed):
    *growing, end = printed("06_transcribe_digits")
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert [line.split(": ")[1] for line in growing] == [f"{' '.join(words[:n])} ..." for n in range(1, 11)]
    assert end.split(": ")[1].startswith(f"{' '.join(words)}, said from")
    decided_s = [numbers(line)[0] for line in [*growing, end]]
    assert decided_s == sorted(decided_s)


def test_two_new_words_are_learned_and_heard(printed):
    learning, right, said, *heard = printed("05_train_two_words")
    assert learning == "learning compass and lantern from two_words"
    assert numbers(right)[0] >= 60
    starts_s = [(clip.split(" at ")[0], numbers(clip)[0]) for clip in said.removeprefix("said: ").split(", ")]
    words = [(label, start_s) for label, start_s in starts_s if label != "unknown"]
    found = [
        any(f" {label}, " in line and start_s <= numbers(line)[0] < start_s + 2 for line in heard)
        for label, start_s in words
    ]
    assert len(words) == 10 and sum(found) >= 8


def test_a_recording_is_cleaned_up(printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert printed("07_clean_up_a_recording")
    assert list(tmp_path.iterdir())


def test_many_calls_at_once_are_heard_as_each_alone(printed):
    *lines, verdict = printed("08_pool", "4")
    model = streamrnn.load("vad")
    for number, name in enumerate(["conversation.flac", "telephone_8k.wav", "stereo_44k.flac", "conversation.flac"]):
        heard = [line.split()[2:] for line in lines if line.startswith(f"call {number}")]
        events = streamrnn.listen(model, SAMPLES / name)
        assert heard == [f"{event.decided_s:.2f} s {event.kind}".split() for event in events] != []
    assert numbers(verdict)[1] > 0


def test_a_server_hears_what_a_listener_hears(printed):
    *lines, latency = printed("09_remote")
    events = streamrnn.listen(streamrnn.load("vad"), SAMPLES / "telephone_8k.wav", min_silence_ms=200)
    assert (
        [line.split() for line in lines] == [f"{event.decided_s:.2f} s {event.kind}".split() for event in events] != []
    )
    assert numbers(latency)[0] == 44 and numbers(latency)[1] > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forecast", [r"^504 rows; the last one: OT now", "1000 sites forecast 96 h ahead"]),
        ("completion", [r"noble fri\[end", "at a temperature of 1.0:"]),
        ("intent", ["^-> transfer$", "^-> weather$", "^-> a person takes over$"]),
        ("anomalies", [r"^2000: .*, \d\d deviations$"]),
        ("say", ["^kowalski .*K AW AH L S K IY", '"hey /N OW V AH L AY T/"$']),
        ("remote", ["please transfer a hundred  .*transfer 0", "^goes on after 4 words$", "to savings transfer 0"]),
        ("emotion", ["^-> joy$", "^-> anger$", "^-> sadness"]),
        (
            "spoken_intent",
            ["my ballots +1 new: ", "checking +3 new: balance", "^as of the whole text at once: True$"],
        ),
        ("music", ["^C3 G3 E4 C5; expected next: ", r"^F#3 A#3 C#4 F#4  \d+\.\d nats", "^plays on: "]),
        ("choices", [r"^99 presses, \d+ guessed", "^the arms gave "]),
        ("pen", ["^-> 7 ", "^-> 3 "]),
        ("translate 10", ["^siebenhundertachtunddreißig = ", r"^\d+ of 100 numbers"]),
    ],
)
def test_streams_of_anything_are_answered(printed, name, said):
    lines = printed(*f"anything/{name}".split())
    assert all(any(re.search(pattern, line) for line in lines) for pattern in said)


def test_tables_and_texts_of_examples_may_end_with_an_empty_line(printed, tmp_path):
    (tmp_path / "partials.txt").write_text("what is\nwhat is my balance\n\n")
    assert printed("anything/spoken_intent", str(tmp_path / "partials.txt"))[-1].endswith(": True")
    (tmp_path / "series.csv").write_text("\ufefftime,value\n1,2\n2,3\n\n", encoding="utf-8")
    assert len(printed("anything/anomalies", str(tmp_path / "series.csv"))) == 2
