"""Evaluation in composed situations: sudden noise, tones, mute, codecs, whispers, words in running sound."""

from streamrnn.data.situations import Recording, read_situations
from streamrnn.evaluation.situations.evaluate import Judge, evaluate_situations, judge_situations
from streamrnn.evaluation.situations.speech import LiveDetector, SpeechDetector, SpeechJudge
from streamrnn.evaluation.situations.words import WordJudge

__all__ = [
    "Judge",
    "LiveDetector",
    "Recording",
    "SpeechDetector",
    "SpeechJudge",
    "WordJudge",
    "evaluate_situations",
    "judge_situations",
    "read_situations",
]
