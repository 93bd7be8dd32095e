"""Judges of situations, with stand-ins whose answers are known, and situations read from disk."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.data.situations import Recording, read_situations
from streamrnn.decisions import Event, SpeechSettings
from streamrnn.evaluation.situations import SpeechJudge, WordJudge, evaluate_situations, judge_situations
from streamrnn.evaluation.situations.speech import speech_judge, utterances
from streamrnn.evaluation.situations.words import keyword_judge, matches, transcript_judge
from streamrnn.models import Keywords, KeywordsSettings, VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import save

RATE = 16_000


class Loudness:
    """Hears speech where cells of 10 ms are loud; after `deaf_after` loud cells of a stream it hears no more."""

    frame_s = 0.01
    decision = SpeechSettings(min_silence_ms=100, padding_ms=0)

    def __init__(self, deaf_after: int = 10**9):
        self.deaf_after = deaf_after

    def hear(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        cells = np.pad(samples, (0, -len(samples) % (sample_rate // 100))).reshape(-1, sample_rate // 100)
        loud = np.mean(cells**2, axis=1) > 0.01
        return np.where(loud & (np.cumsum(loud) <= self.deaf_after), 0.9, 0.1)


def recording(*loud_s: tuple[float, float], spoken_s=(), duration_s=10.0, judged_from_s=0.0, kind="", compared=False):
    samples = np.zeros(round(duration_s * RATE), np.float32)
    for start_s, end_s in loud_s:
        samples[round(start_s * RATE) : round(end_s * RATE)] = 0.5
    segments = [(round(a * RATE), round(b * RATE)) for a, b in spoken_s]
    return Recording(samples, RATE, segments, [], round(judged_from_s * RATE), kind, compared)


def row_of(*recordings: Recording, detector=None) -> dict:
    judge = SpeechJudge(detector or Loudness())
    for heard in recordings:
        judge.hear(heard)
    return judge.row()


def test_what_is_heard_where_nobody_speaks_is_counted_per_hour():
    row = row_of(recording((1, 3), (5, 6)), recording(duration_s=20.0))
    assert row["false_starts_per_hour"] == pytest.approx(2 / (30 / 3600))
    assert row["false_speech_s_per_hour"] == pytest.approx(3 / (30 / 3600))
    assert row["recordings_with_false_start"] == 0.5
    assert not {"speech_found", "roc_auc", "decisions_changed", "false_starts_by_kind"} & set(row)


def test_false_starts_are_told_apart_by_kind():
    row = row_of(recording((1, 2), (4, 5), kind="rain"), recording(kind="wind"))
    assert row["false_starts_by_kind"] == {"rain": 2, "wind": 0}


def test_what_is_near_to_speech_is_neither_false_nor_judged():
    row = row_of(recording((1.9, 5.1), (7, 8), spoken_s=[(2, 5)]))
    assert row["false_starts_per_hour"] == pytest.approx(1 / (6.5 / 3600), rel=0.01)
    assert row["speech_found"] == 1


def test_a_start_in_good_time_before_speech_is_false():
    assert row_of(recording((1, 5), spoken_s=[(2, 5)]))["false_starts_per_hour"] > 0


def test_what_leads_up_to_the_judged_part_does_not_count():
    row = row_of(recording((1, 4), spoken_s=[(6, 7)], judged_from_s=5.0))
    assert row["false_starts_per_hour"] == 0 and row["minutes"] == pytest.approx(5 / 60)


def test_speech_that_begins_unheard_loses_its_first_milliseconds():
    row = row_of(recording((2.3, 4), (6, 7), spoken_s=[(2, 4), (6, 7), (8, 9)]))
    assert row["speech_found"] == pytest.approx(2.7 / 4)
    assert row["first_ms_lost_median"] == pytest.approx(300)
    assert row["first_ms_lost_p90"] > 800
    assert row["utterances_missed"] == pytest.approx(1 / 3)
    assert 0.5 < row["roc_auc"] < 1


def test_a_stream_that_remembers_is_compared_with_a_fresh_one():
    heard = recording((1, 3), (6, 8), spoken_s=[(6, 8)], judged_from_s=5.0, compared=True)
    assert row_of(heard)["decisions_changed"] == 0
    assert row_of(heard, detector=Loudness(deaf_after=250))["decisions_changed"] == pytest.approx(1.5 / 5)


def test_a_row_forgets_the_one_before():
    judge = SpeechJudge(Loudness())
    judge.hear(recording((1, 2)))
    assert judge.row()["false_starts_per_hour"] > 0
    judge.hear(recording())
    assert judge.row()["false_starts_per_hour"] == 0


def test_pauses_of_up_to_300_ms_belong_to_an_utterance():
    truth = np.zeros(300, bool)
    for start, end in ((10, 50), (80, 100), (131, 150)):
        truth[start:end] = True
    assert utterances(truth) == [(10, 100), (131, 150)]
    assert utterances(truth[10:]) == [(121, 140)]


def word(label: str, start_s: float, end_s: float) -> Event:
    return Event("keyword", label, start_s, end_s, 0.9, end_s)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([word("yes", 1.2, 1.4)], 1),
        ([word("Yes", 1.7, 1.9)], 1),
        ([word("yes", 2.2, 2.3)], 0),
        ([word("no", 1.2, 1.4)], 0),
        ([word("no", 3.1, 3.3), word("yes", 1.2, 1.4)], 2),
        ([word("yes", 1.1, 1.2), word("yes", 1.3, 1.4)], 1),
    ],
)
def test_a_word_is_found_by_one_event_of_its_label_at_its_place(events, found):
    assert matches([(1.0, 1.5, "yes"), (3.0, 3.4, "no")], events) == found


@pytest.fixture(scope="module")
def keywords() -> Keywords:
    return Keywords(KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5), rngs=nnx.Rngs(3))


def words_row(monkeypatch, keywords, events: list[Event], heard: Recording) -> dict:
    judge = WordJudge(keywords, ["up", "down"])
    monkeypatch.setattr(judge, "_events", lambda _: events)
    judge.hear(heard)
    return judge.row()


def said(*words: tuple[float, float, str], duration_s: float = 36.0, spoken=True) -> Recording:
    placed = [(round(a * RATE), round(b * RATE), label) for a, b, label in words]
    segments = [(a, b) for a, b, _ in placed] if placed or not spoken else [(0, RATE)]
    return Recording(np.zeros(round(duration_s * RATE), np.float32), RATE, segments, placed, 0, "", False)


def test_words_of_the_vocabulary_are_found_and_all_else_is_false(monkeypatch, keywords):
    heard = said((1, 2, "up"), (5, 6, "down"), (9, 10, "left"))
    row = words_row(monkeypatch, keywords, [word("up", 1, 2), word("down", 9, 10)], heard)
    assert (row["words"], row["words_found"]) == (2, 0.5)
    assert row["false_words_per_hour"] == pytest.approx(100)


def test_where_nobody_wrote_down_what_is_said_words_are_not_called_false(monkeypatch, keywords):
    row = words_row(monkeypatch, keywords, [word("up", 1, 2)], said())
    assert row["words_heard_per_hour"] == pytest.approx(100) and "false_words_per_hour" not in row
    quiet = words_row(monkeypatch, keywords, [word("up", 1, 2)], said(spoken=False))
    assert quiet["false_words_per_hour"] == pytest.approx(100) and "words_found" not in quiet


def test_a_keyword_model_is_judged_at_every_threshold_by_what_it_would_have_decided(monkeypatch, keywords):
    judge = keyword_judge(keywords)
    heard = said((1, 1.4, "up"), (3, 3.4, "down"), duration_s=36.0)
    posteriors = np.zeros((1800, 4), np.float32)
    posteriors[60:75, 2], posteriors[160:175, 3], posteriors[500:515, 2] = 0.98, 0.75, 0.65
    stream = SimpleNamespace(reset=lambda: None, process=lambda chunk: posteriors[:0], flush=lambda: posteriors)
    monkeypatch.setattr(judge, "_streams", {RATE: stream})
    judge.hear(heard)
    row = judge.row()
    assert (row["words_found"], row["false_words_per_hour"]) == (1, pytest.approx(100))
    curve = {point["threshold"]: (point["words_found"], point["false_words_per_hour"]) for point in row["curve"]}
    assert curve[0.6] == (1, pytest.approx(100)) and curve[0.7] == (1, 0) and curve[0.8] == (0.5, 0)
    assert row["words_found_at_10_per_hour"] == 1


def test_a_keyword_model_hears_situations_live(keywords):
    judge = keyword_judge(keywords)
    judge.hear(said((1, 1.4, "up"), duration_s=2.0))
    assert len(judge.row()["curve"]) == 10


def write_situation(folder: Path, name: str, compared: int, segments: str = "") -> None:
    place = folder / name
    place.mkdir(parents=True)
    write_audio(place / "a.flac", recording((1, 2), duration_s=3.0).samples, RATE)
    (place / "manifest.csv").write_text("path,label,judged_from\na.flac,loud,8000\n")
    (place / "vad_segments.csv").write_text("path,start,end,quality\n" + segments)
    (place / "words.csv").write_text("path,start,end,word\n" + segments.replace("A", "up"))
    table = folder / "situations.csv"
    told = table.read_text() if table.exists() else "situation,says,compared\n"
    table.write_text(f"{told}{name},something,{compared}\n")


@pytest.fixture
def folder(tmp_path) -> Path:
    write_situation(tmp_path, "silent", 0)
    write_situation(tmp_path, "spoken", 1, "a.flac,16000,32000,A\n")
    return tmp_path


def test_situations_are_read_with_their_truth(folder):
    silent, spoken = read_situations(folder)
    [quiet], [heard] = silent.recordings(), spoken.recordings()
    assert (quiet.segments, quiet.words, quiet.compared, quiet.judged_from, quiet.kind) == ([], [], False, 8000, "loud")
    assert (heard.segments, heard.words, heard.compared) == ([(16000, 32000)], [(16000, 32000, "up")], True)
    assert len(heard.samples) == 3 * RATE


def test_all_judges_hear_every_situation(folder):
    moved = []
    judges = {"sharp": SpeechJudge(Loudness()), "deaf": SpeechJudge(Loudness(0))}
    rows = judge_situations(judges, folder, progress=lambda *done: moved.append(done))
    assert rows["spoken"]["sharp"]["speech_found"] == 1 and rows["spoken"]["deaf"]["speech_found"] == 0
    assert rows["silent"]["sharp"]["false_starts_per_hour"] > 0 == rows["silent"]["deaf"]["false_starts_per_hour"]
    assert moved == [(1, 2), (2, 2)]


def test_unknown_situations_are_named_with_those_that_are_there(folder):
    with pytest.raises(ValueError, match=r"has no situation storms\. It has: silent, spoken\."):
        judge_situations({}, folder, ["storms"])


def test_a_model_is_judged_by_its_task(folder, keywords):
    path, speech = folder / "words.safetensors", folder / "speech.safetensors"
    save(keywords, path, task="keywords")
    save(VoiceActivity(VoiceActivitySettings(mels=8, channels=6, hidden=5), rngs=nnx.Rngs(0)), speech, task="vad")
    words = evaluate_situations("keywords", folder, path, ["spoken"])
    assert words["rows"]["spoken"]["words"] == 1 and set(words) == {"task", "model", "situations", "rows"}
    assert {"speech_found", "decisions_changed"} <= set(evaluate_situations("vad", folder, speech)["rows"]["spoken"])
    found = [
        evaluate_situations("vad", folder, speech, ["spoken"], decision={"threshold": threshold})["rows"]["spoken"]
        for threshold in (0.01, 1.0)
    ]
    assert [row["speech_found"] for row in found] == [1.0, 0.0]


def test_models_of_other_tasks_are_refused(keywords):
    with pytest.raises(ValueError, match="needs a voice activity model"):
        speech_judge(keywords)
    with pytest.raises(ValueError, match="needs a transcription model"):
        transcript_judge(keywords)
    assert isinstance(keyword_judge(keywords), WordJudge)


def test_a_task_without_situations_names_those_that_have_them(folder):
    with pytest.raises(
        ValueError, match=r"'denoise' has no situations\. Tasks that have one: vad, vad-compact, keywords"
    ):
        evaluate_situations("denoise", folder, "denoise")
