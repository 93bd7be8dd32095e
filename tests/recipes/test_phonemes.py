"""Training of phonemes, from folders of transcribed recordings to a model that has learned."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.data import AugmentSettings
from streamrnn.evaluation.evaluate import evaluate
from streamrnn.learning import TrainingSettings
from streamrnn.models import Phonemes, PhonemesSettings
from streamrnn.phonetics import IDS
from streamrnn.pretrained import save
from streamrnn.recipes import PhonemesRecipe
from streamrnn.recipes.phonemes import PhonemesTraining
from streamrnn.recipes.train import train

RATE = 2000
MODEL = PhonemesSettings(
    sample_rate=RATE,
    hop_samples=20,
    window_samples=100,
    mels=8,
    channels=16,
    hidden=24,
    layers=1,
    lookahead_frames=1,
    dropout=0.0,
    masked_frames=0,
)
SETTINGS = PhonemesTraining(
    model=MODEL,
    training=TrainingSettings(steps=60, learning_rate=0.02, warmup_steps=10, validate_every=60, log_every=10),
    augment=AugmentSettings(speed=(0.95, 1.05), noise_share=0.2, babble_share=0.0, band_limit_share=0.0),
    duration_s=1.2,
    batch_size=8,
    pause_s=0.1,
    workers=1,
)
# Two words of two sounds each: "she" and "owe" of one.
PITCHES_HZ = {"she": (800, 200), "owe": (400,)}


def said(text: str) -> np.ndarray:
    """Sounds as tones of 0.15 s."""
    t = np.arange(round(0.15 * RATE)) / RATE
    return np.concatenate(
        [0.3 * np.hanning(len(t)) * np.sin(2 * np.pi * hz * t) for word in text.split() for hz in PITCHES_HZ[word]]
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("data") / "talk"
    folder.mkdir()
    rows = []
    for number, (text, split) in enumerate(
        (("she", "train"), ("owe", "train"), ("she owe", "train"), ("owe she", "valid"), ("she", "valid"))
    ):
        write_audio(folder / f"{number}.wav", (1 - number / 100) * said(text), RATE)
        rows.append(f"{number}.wav,{text.upper()},{split},one\n")
    write_audio(folder / "x.wav", said("she"), RATE)
    rows.append("x.wav,XYZZYX,train,one\n")
    (folder / "manifest.csv").write_text("path,transcript,split,speaker\n" + "".join(rows))
    return folder


@pytest.mark.filterwarnings("ignore:.*speakers in more than one split")
def test_phonemes_are_learned_and_judged(data, tmp_path):
    with pytest.warns(AudioWarning, match=r"1 clips without English words are left out; the dictionary lacks xyzzyx"):
        recipe = PhonemesRecipe([data], SETTINGS)
    batch = next(recipe.batches(0, 1))
    assert batch["samples"].shape == (8, 120, 20)
    # SH IY and OW alone are said, as often as fit into a row.
    assert {*batch["labels"].ravel().tolist()} == {0, IDS["SH"], IDS["IY"], IDS["OW"]}
    np.testing.assert_array_equal(batch["labels"], next(recipe.batches(0, 1))["labels"])

    model, figure = train(recipe, "phonemes", tmp_path / "run")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    save(model, tmp_path / "phonemes.safetensors", task="phonemes")
    judged = evaluate("phonemes", data, tmp_path / "phonemes.safetensors", split="valid")
    assert judged["clips"] == 2
    for way in ("streaming", "offline"):
        assert judged[way]["phonemes"] == 5 and 0 <= judged[way]["per"] == judged["streaming"]["per"]
    assert np.isfinite(figure)


def test_outputs_are_log_probabilities_every_40_ms():
    model = Phonemes(PhonemesSettings(mels=8, channels=4, hidden=5, layers=1), rngs=nnx.Rngs(0))
    assert model.frame_s == 0.04 and model.out_features == 40 and model.labels[:2] == ("", "AA")
    _, logits = model.scan(model.init_state(1), jax.numpy.zeros((1, 8, 160)))
    np.testing.assert_allclose(jax.nn.logsumexp(model.readout(logits), axis=-1), 0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*without English words")
def test_data_without_english_words_are_refused(tmp_path):
    write_audio(tmp_path / "0.wav", said("she"), RATE)
    (tmp_path / "manifest.csv").write_text("path,transcript\n0.wav,Ζωή\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no clip of split train has a transcript in English words"):
        PhonemesRecipe([tmp_path], SETTINGS)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"duration_s is 0.5; a row needs 1 s or more"):
        PhonemesTraining(duration_s=0.5)
    with pytest.raises(ValueError, match=r"batch_size is 0; it must be at least 1"):
        PhonemesTraining(batch_size=0)
    with pytest.raises(ValueError, match=r"Pass --babble-share 0 for private training"):
        PhonemesTraining(training=TrainingSettings(dp_clip=1.0, dp_noise=1.0))
