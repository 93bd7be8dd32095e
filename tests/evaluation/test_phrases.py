import json

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.decisions import PhraseSettings
from streamrnn.decisions.phrase_calibration import Calibration
from streamrnn.evaluation import evaluate
from streamrnn.evaluation.phrases import COUNTS, Heard, draw_phrases, phrase_figures
from streamrnn.phonetics import words_of
from tests.decisions.spoken_phonemes import FRAME_S, LABELS, babble, heard, sounds

TEXTS = [
    "she had never been told that it was the last train of the evening",
    "the morning paper says nothing about the weather in the mountains",
    "please put all of these old letters into the box under the table",
]


def misheard(phonemes: list[str], wrong: int) -> list[str]:
    others = babble(99, len(phonemes))
    return [
        other if number % 10 < wrong else phoneme
        for number, (phoneme, other) in enumerate(zip(phonemes, others, strict=True))
    ]


def as_heard(said: str, phonemes: list[str], seed: int) -> Heard:
    log_p = heard(phonemes, seed)
    return Heard(said, log_p, len(log_p) * FRAME_S)


def figures(wrong: int) -> dict:
    """Of texts of which `wrong` phonemes of every ten are heard as others."""
    spoken = [as_heard(text, misheard(sounds(text), wrong), seed) for seed, text in enumerate(TEXTS)]
    other = [as_heard("", babble(seed, 300), seed) for seed in range(8)]
    return phrase_figures(spoken + other, draw_phrases(TEXTS, 4), LABELS, FRAME_S)


def test_phrases_are_drawn_by_their_phonemes():
    drawn = draw_phrases(TEXTS, 4)
    assert set(drawn) <= set(COUNTS) and len(drawn) >= 6
    for count, phrases in drawn.items():
        assert all(sum(len(word.ways[0]) for word in words_of(phrase)) == count for phrase in phrases)
        assert all(any(f" {phrase} " in f" {text} " for text in TEXTS) for phrase in phrases)
    with pytest.raises(ValueError, match="no transcripts of English words"):
        draw_phrases(["", "zorblax"])


def test_what_is_clear_is_found_and_what_is_not_is_missed():
    clear, noisy = figures(0), figures(6)
    assert clear["said"] >= clear["phrases"] > 20
    assert set(clear["missed"].values()) == {0.0}
    assert noisy["missed"]["at 1 alarms/h"] > clear["missed"]["at 1 alarms/h"]


def test_its_calibration_is_one_of_settings_and_falls_with_the_length():
    rows = figures(3)["calibration"]
    settings = PhraseSettings(calibration=json.loads(json.dumps(rows)))
    thresholds = Calibration(settings.calibration).thresholds(1.0)
    assert thresholds[4] > thresholds[12]


def test_phrases_of_one_recording_alone_are_refused_as_no_other_sound_is_there():
    alone = [as_heard(TEXTS[0], sounds(TEXTS[0]), 0)]
    with pytest.raises(ValueError, match=r"no other sound .* said in all recordings.*--negatives FOLDER"):
        phrase_figures(alone, draw_phrases(TEXTS[:1], 4), LABELS, FRAME_S)


def test_another_model_is_refused(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000)
    (tmp_path / "manifest.csv").write_text("path,transcript\na.wav,hello there\n")
    with pytest.raises(ValueError, match="it needs a model of phonemes"):
        evaluate("phrases", tmp_path, "vad")
