"""The score from which on a model may answer is found, and stored with the model."""

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audit.oversight import audit_oversight, store_hand_over
from streamrnn.audit.telling import Tellings, Told
from streamrnn.audit.words import WordTeller
from streamrnn.data import Clip
from streamrnn.models import Denoising, DenoisingSettings, Keywords, KeywordsSettings
from streamrnn.pretrained import describe, load, save


def tellings(n: int, seed: int, answers: str = "word") -> Tellings:
    """One answer per clip, as often right as its score says."""
    teller = WordTeller.__new__(WordTeller)
    teller.answers = answers
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.5, 1, n)
    told = [Told(np.ones(2), 0.0, np.array([p]), np.array([rng.random() < p])) for p in scores]
    return Tellings("keywords", "model", teller, [Clip(Path(f"{i}.wav")) for i in range(n)], told, {})


def test_what_is_answered_is_right_as_often_as_was_wanted():
    report = audit_oversight(tellings(2000, 0), tellings(20_000, 1), wanted=0.85)
    assert report["answered_right"] >= 0.85 > report["right"] and 0.3 < report["coverage"] < 0.65
    assert report["ece"] < 0.02 and report["temperature"] == pytest.approx(1, abs=0.1)
    coverage, risk = report["risk_coverage"]
    assert len(coverage) == 101 and risk[-1] == pytest.approx(1 - report["right"])


def test_models_without_scores_and_without_answers_are_refused():
    with pytest.raises(ValueError, match="without scores"):
        audit_oversight(tellings(10, 0, answers=""), tellings(10, 0), 0.9)
    none = tellings(3, 0)
    none.told[:] = [Told(np.ones(2), 0.0)] * 3
    with pytest.raises(ValueError, match="made no answer in 3 recordings"):
        audit_oversight(none, none, 0.9)


def test_the_threshold_is_stored_with_the_model_and_heeded(tmp_path):
    model = Keywords(KeywordsSettings(words=("up",), mels=8, channels=(6, 6), hidden=5), rngs=nnx.Rngs(0))
    model.eval()
    save(model, tmp_path / "m", task="keywords", figures={"validation": 0.5})
    report = audit_oversight(tellings(2000, 0), tellings(2000, 1), wanted=0.85)
    store_hand_over(tmp_path / "m", tmp_path / "sure", report)
    stored = load(tmp_path / "sure")
    assert stored.decision.hand_over == report["hand_over"] and "abstain" in stored.outlet().kinds
    card = describe(tmp_path / "sure.safetensors")
    assert card["task"] == "keywords" and card["oversight"]["wanted"] == 0.85


def test_a_model_that_cannot_hand_over_is_refused(tmp_path):
    save(Denoising(DenoisingSettings(hidden=8), rngs=nnx.Rngs(0)), tmp_path / "m", task="denoise")
    with pytest.raises(ValueError, match="SoundSettings has no setting hand_over"):
        store_hand_over(tmp_path / "m", tmp_path / "sure", {"hand_over": 0.5})
