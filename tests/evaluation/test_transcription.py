"""Figures of transcription models: errors, their interval, and how soon words come."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.data import Clip, read_folder
from streamrnn.decisions import Event
from streamrnn.evaluation.transcription import JudgedClip, evaluate_transcription, transcription_figures
from streamrnn.models import CTC, CTCSettings, Model, VoiceActivity, VoiceActivitySettings


@pytest.fixture(scope="module")
def transcriber() -> CTC:
    """Untrained: what it writes is random."""
    settings = CTCSettings(symbols=("yes", "no"), mels=8, channels=6, hidden=6, layers=1, lookahead_frames=1)
    model = CTC(settings, rngs=nnx.Rngs(1))
    model.eval()
    return model


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav", "c.wav"):
        write_audio(folder / name, 0.1 * rng.standard_normal(16_000), 16_000)
    rows = "a.wav,anna,YES NO,\nb.wav,ben,,no\nc.wav,ben,yes or no,\n"
    (folder / "manifest.csv").write_text(f"path,speaker,transcript,label\n{rows}")
    (folder / "words.csv").write_text("path,word,start,end\na.wav,yes,100,4000\na.wav,no,5000,8000\n")
    return folder


def word(label: str, decided_s: float) -> Event:
    return Event("word", label, decided_s - 0.1, decided_s - 0.05, 0.9, decided_s)


def judged(reference: str, heard: dict[str, float], ends_s: tuple[float, ...] = (), speaker: str = "") -> JudgedClip:
    """A clip in which words are heard, each decided at a moment, live and offline alike."""
    events = [word(label.rstrip("'"), decided_s) for label, decided_s in heard.items()]
    return JudgedClip(Clip(Path("clip.wav"), speaker=speaker), reference, ends_s, events, events)


def figures(*clips: JudgedClip) -> dict[str, Any]:
    return transcription_figures(clips, lambda clip: clip.streaming)


def test_errors_are_those_of_all_clips_together():
    found = figures(
        judged("yes no yes", {"yes": 1.0, "no": 2.0}), judged("no", {"yes": 1.0}), judged("no", {"no": 1.0, "no'": 2.0})
    )
    assert (found["substitutions"], found["insertions"], found["deletions"], found["words"]) == (1, 1, 1, 5)
    assert found["wer"] == pytest.approx(3 / 5)
    # " yes" is missing, "no" became "yes" (3 edits), " no" is too much, of 10 + 2 + 2 characters.
    assert found["cer"] == pytest.approx((4 + 3 + 3) / 14)
    low, high = found["wer_interval"]
    assert low <= found["wer"] <= high


def test_the_interval_is_that_of_speakers_not_of_their_clips():
    right, wrong = judged("yes", {"yes": 1.0}, speaker="anna"), judged("yes", {"no": 1.0}, speaker="anna")
    assert figures(right, wrong)["wer_interval"] == [0.5, 0.5]
    # A speaker is nobody whose clip has this number.
    unknown, numbered = judged("yes", {"yes": 1.0}), judged("yes", {"no": 1.0}, speaker="0")
    assert figures(unknown, numbered)["wer_interval"] == [0.0, 1.0]


def test_the_delay_is_the_median_over_words_of_clips_without_a_mistake():
    sure = judged("yes no", {"yes": 1.2, "no": 2.3}, (1.0, 2.0))
    wrong = judged("yes no", {"no": 9.0, "yes": 9.5}, (1.0, 2.0))
    assert figures(sure, wrong)["emission_delay_ms"] == pytest.approx(250)


def test_without_a_table_of_words_no_delay_is_told():
    assert "emission_delay_ms" not in figures(judged("yes", {"yes": 1.2}))


def test_a_folder_is_judged_live_and_offline_and_what_has_other_words_is_left_out(transcriber, data):
    with pytest.warns(AudioWarning, match="1 of 3 clips are left out: 'or'"):
        found = evaluate_transcription(transcriber, [data], read_folder(data))
    assert list(found) == ["clips", "streaming", "offline", "mistakes"]
    assert found["clips"] == 2 and found["streaming"]["words"] == 3
    assert found["streaming"] == found["offline"]
    assert [mistake["reference"] for mistake in found["mistakes"]] == ["yes no", "no"]


def test_single_words_that_are_no_symbols_are_left_out_and_named(transcriber, data):
    clips = [Clip(data / "a.wav", transcript="yes"), *(Clip(data / "b.wav", label=word) for word in ("maybe", "maybe"))]
    with pytest.warns(AudioWarning, match=r"2 of 3 clips are left out, .* no symbols of the model: maybe \(2\)\."):
        assert evaluate_transcription(transcriber, [], clips)["clips"] == 1


def test_ends_of_words_that_are_no_numbers_are_named_with_their_line(transcriber, tmp_path, data):
    (tmp_path / "words.csv").write_text("path,word,start,end\na.wav,yes,0.1,0.5\n")
    with pytest.raises(ValueError, match=r"words\.csv, line 2: start is '0\.1' .* whole samples"):
        evaluate_transcription(transcriber, [tmp_path], [Clip(data / "a.wav", transcript="yes")])


def test_another_model_and_other_words_are_refused(transcriber, data):
    other: Model = VoiceActivity(VoiceActivitySettings(channels=4, hidden=4), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="needs a transcription model"):
        evaluate_transcription(other, [data], [Clip(data / "a.wav", transcript="yes")])
    with pytest.raises(ValueError, match="None of 1 clips has a transcript"):
        evaluate_transcription(transcriber, [data], [Clip(data / "a.wav", label="maybe")])
