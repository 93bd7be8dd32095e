"""The text forms of events."""

import json

import pytest

from streamrnn.decisions.events import Event
from streamrnn.decisions.formats import as_json_line, as_text, audacity_labels, srt, write_events

START = Event("speech_start", "speech", 0.5, None, 0.75, 0.6)
END = Event("speech_end", "speech", 0.5, 1.25, 0.875, 1.6)
WORD = Event("word", "naïve", 3661.0004, 3661.9996, 0.5, 3662.0)


def test_text_shows_times_kind_score_and_label_in_columns():
    assert as_text(END) == "     0.500 s       1.250 s  speech_end    0.88  speech"


def test_text_shows_a_dash_where_the_end_is_unknown():
    assert as_text(START).split() == ["0.500", "s", "-", "speech_start", "0.75", "speech"]


def test_columns_of_text_stand_below_each_other():
    assert as_text(START).index("speech_start") == as_text(END).index("speech_end") == as_text(WORD).index("word")


def test_a_json_line_holds_the_event_and_no_newline():
    line = as_json_line(WORD)
    assert "\n" not in line
    assert "naïve" in line
    assert Event(**json.loads(line)) == WORD


def test_a_json_line_refuses_what_json_cannot_hold():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json_line(Event("word", "a", 0.0, 1.0, float("nan"), 1.0))


def test_audacity_labels_are_tab_separated_seconds():
    assert audacity_labels([START, END]) == "0.500000\t1.250000\tspeech\n"


def test_open_speech_ends_at_the_duration():
    assert audacity_labels([START], duration_s=2.0) == "0.500000\t2.000000\tspeech\n"


def test_subtitles_are_numbered_cues_with_rounded_milliseconds():
    assert srt([START, END, WORD]) == (
        "1\n00:00:00,500 --> 00:00:01,500\nspeech\n\n2\n01:01:01,000 --> 01:01:02,000\nnaïve\n"
    )


def test_a_subtitle_stays_for_a_second_unless_the_next_one_or_the_end_comes_first():
    words = [Event("keyword", "up", t, t + 0.04, 0.9, t) for t in (1.0, 1.6, 4.5)]
    times = [line for line in srt(words, duration_s=5.0).splitlines() if "-->" in line]
    assert times == [
        "00:00:01,000 --> 00:00:01,600",
        "00:00:01,600 --> 00:00:02,600",
        "00:00:04,500 --> 00:00:05,000",
    ]


def test_an_utterance_that_has_ended_is_one_subtitle_but_a_label_for_each_word():
    zero, one = (Event("word", label, t, t + 0.5, 0.75, t + 0.5) for label, t in (("zero", 1.0), ("one", 2.0)))
    end = Event("endpoint", "zero one", 1.0, 2.5, 0.75, 3.0)
    open_word = Event("word", "two", 4.0, 4.5, 0.75, 4.5)
    events = [Event("partial", "zero", 1.0, None, 0.75, 1.2), zero, one, end, open_word]
    assert srt(events) == "1\n00:00:01,000 --> 00:00:02,500\nzero one\n\n2\n00:00:04,000 --> 00:00:05,000\ntwo\n"
    assert [line.split("\t")[2] for line in audacity_labels(events).splitlines()] == ["zero", "one", "two"]


def test_keywords_are_subtitles_and_labels_of_their_own():
    yes = Event("keyword", "yes", 0.5, 0.75, 0.9, 0.8)
    assert srt([yes, END]).count("-->") == 2
    assert audacity_labels([yes]) == "0.500000\t0.750000\tyes\n"


def test_no_events_give_empty_text():
    assert audacity_labels([]) == srt([]) == ""


@pytest.mark.parametrize("render", [audacity_labels, srt])
def test_tabs_and_line_breaks_in_a_label_do_not_break_the_format(render):
    plain, broken = (Event("word", label, 0.0, 1.0, 1.0, 1.0) for label in ("two words", "two\t\n\nwords\n"))
    assert render([broken]) == render([plain])


@pytest.mark.parametrize("render", [audacity_labels, srt])
def test_an_iterator_of_events_serves_as_well_as_a_list(render):
    assert render(iter([START, END])) == render([START, END])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", audacity_labels([START, END, WORD])),
        ("a.SRT", srt([START, END, WORD])),
        ("a.jsonl", "".join(as_json_line(event) + "\n" for event in (START, END, WORD))),
    ],
)
def test_the_suffix_of_a_file_names_its_format(tmp_path, name, text):
    write_events(tmp_path / name, iter([START, END, WORD]))
    assert (tmp_path / name).read_bytes() == text.encode()


def test_a_path_may_be_a_string_and_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old and longer than what follows\n" * 9)
    write_events(str(path), [START], duration_s=1.0)
    assert path.read_text() == "0.500000\t1.000000\tspeech\n"


def test_an_unknown_suffix_is_refused_and_the_known_ones_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"'a\.vtt'.*\.txt.*\.srt.*\.jsonl"):
        write_events(tmp_path / "a.vtt", [START, END])
    assert list(tmp_path.iterdir()) == []


def test_events_that_cannot_be_paired_leave_the_old_file_alone(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("old")
    with pytest.raises(ValueError, match="that never ends"):
        write_events(path, [START])
    assert path.read_text() == "old"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Cannot write events.*existing, writable folder.*missing"):
        write_events(tmp_path / "missing" / "a.txt", [START, END])


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"Cannot write events.*a\.txt"):
        write_events(tmp_path / "a.txt", [START, END])
