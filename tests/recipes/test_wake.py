"""Training of wake words on the encoder of a tiny model of phonemes."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.contract import aligned
from streamrnn.data import AugmentSettings
from streamrnn.data.recordings import find_recordings
from streamrnn.evaluation.evaluate import evaluate
from streamrnn.models import Phonemes, PhonemesSettings, Wake, WakeSettings
from streamrnn.models.wake import joined, wake_head
from streamrnn.pretrained import load, save
from streamrnn.recipes.wake import OtherSound, Said, WakeTraining, threshold_for, train_wake
from streamrnn.runtime import run_file_events

RATE = 2000
LISTENER = PhonemesSettings(
    sample_rate=RATE, hop_samples=20, window_samples=100, mels=8, channels=8, hidden=12, layers=1, lookahead_frames=1
)
TRAINING = WakeTraining(
    rows=16,
    steps=40,
    heads=2,
    batch_size=8,
    head=8,
    head_dropout=0.0,
    row_s=4.0,
    hours=0.05,
    learning_rate=0.02,
    augment=AugmentSettings(speed=(0.98, 1.02), room_share=0, noise_share=0.2, music_share=0, babble_share=0),
)
# Of a model of phonemes that never learned them, so that they say nothing.
WAYS = [("OW", "Y", "EH", "Z"), ("OW", "Y", "EY")]


def tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.hanning(len(t)) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Talk without the word, with a clip of it that is to be left out, and the word said by people."""
    folder = tmp_path_factory.mktemp("data")
    rows = {"talk": [], "word": []}
    for kind in rows:
        (folder / kind).mkdir()
    for number in range(12):
        write_audio(folder / f"talk/{number}.wav", tone(120 + 10 * number, 3), RATE)
        rows["talk"].append(f"{number}.wav,talk,{'valid' if number % 3 == 0 else 'train'}\n")
    write_audio(folder / "talk/oyez.wav", tone(800), RATE)
    rows["talk"].append("oyez.wav,oyez oyez,train\n")
    for number in range(4):
        write_audio(folder / f"word/{number}.wav", tone(790 + 10 * number), RATE)
        rows["word"].append(f"{number}.wav,Oyez,test\n")
    for kind, of in rows.items():
        (folder / kind / "manifest.csv").write_text("path,transcript,split\n" + "".join(of))
    return folder


def test_a_head_learns_a_word_on_a_frozen_encoder_and_is_judged(other, tmp_path):
    listener = Phonemes(LISTENER, rngs=nnx.Rngs(0))
    listener.eval()
    said = Said(WAYS, [tone(hz) for hz in (780, 800, 820)], [tone(500)], [tone(810)])
    told = set()
    [(phrase, model, figures)] = train_wake(
        listener, {"oyez": said}, find_recordings([other / "talk"]), TRAINING, lambda what, done, total: told.add(what)
    )
    assert phrase == "oyez" and model.labels == ("silence", "oyez") and len(told) >= 4
    assert (
        0.5 <= model.decision.threshold == figures["threshold"] < 1
        and figures["words"] >= 40 > figures["recordings"] == 1
    )
    for own, given in zip(
        jax.tree.leaves(nnx.state(model.network.layers[0], nnx.Param)),
        jax.tree.leaves(nnx.state(listener.network.layers[0], nnx.Param)),
        strict=True,
    ):
        np.testing.assert_array_equal(own, given)

    save(model, tmp_path / "oyez.safetensors", task="wake")
    again = load(tmp_path / "oyez.safetensors")
    assert isinstance(again, Wake) and again.decision == model.decision
    run_file_events(again, other / "word/0.wav")
    with pytest.warns(AudioWarning, match="9 of 13 negatives are of split train"):
        judged = evaluate("wake", other / "word", tmp_path / "oyez.safetensors", negatives=[other / "talk"])
    live = judged["streaming"]
    # Of split valid alone; others may be training data.
    assert live["words"] == 4 and live["detection"]["hours"] == pytest.approx(4 * 3 / 3600, rel=0.01)
    assert live["detection"]["curve"][0]["miss_rate"] <= live["detection"]["curve"][-1]["miss_rate"]
    assert set(live["by_source"]) == {"talk"}


def test_joined_heads_are_their_mean():
    sizes, rngs = (3, 5), nnx.Rngs(7)
    apart = [wake_head(WakeSettings(head=size, hidden=6), rngs) for size in sizes]
    for head in apart:
        for leaf in jax.tree.leaves(nnx.state(head, nnx.Param), is_leaf=lambda each: isinstance(each, nnx.Variable)):
            leaf[...] = leaf[...] + 0.1 * jax.random.normal(rngs.params(), leaf.shape)
        head.eval()
    whole = joined(apart, WakeSettings(head=8, hidden=6), nnx.Rngs(0))
    whole.eval()
    x = jax.random.normal(jax.random.key(1), (2, 9, 6))
    each = [np.asarray(aligned(head, x)) for head in apart]
    np.testing.assert_allclose(aligned(whole, x), np.mean(each, axis=0), atol=1e-5)
    with pytest.raises(ValueError, match=r"heads of \[3, 5\] units; the settings' head has 9"):
        joined(apart, WakeSettings(head=9, hidden=6), nnx.Rngs(0))


def test_it_names_the_recordings_that_come_closest_to_a_phrase(other, tmp_path):
    """Here one in which it is said, of which no transcript tells."""
    folder = tmp_path / "talk"
    shutil.copytree(other / "talk", folder)
    write_audio(folder / "secret.wav", np.concatenate([tone(150, 1.0), tone(800), tone(130, 0.8)]), RATE)
    with (folder / "manifest.csv").open("a") as file:
        file.write("secret.wav,talk,valid\n")
    listener = Phonemes(LISTENER, rngs=nnx.Rngs(0))
    listener.eval()
    said = Said(WAYS, [tone(hz) for hz in (780, 800, 820)], [tone(500)], [tone(810)])
    [(_, _, figures)] = train_wake(listener, {"oyez": said}, find_recordings([folder]), TRAINING)
    first = figures["closest"]["valid"][0]
    assert Path(first["recording"]).name == "secret.wav" and 0.4 < first["at_s"] < 1.8


@pytest.mark.parametrize("transcript", ["Oyez, oyez!", "they cry “oyez”", "OYEZ"])
def test_talk_in_whose_transcript_the_phrase_is_is_left_out(transcript: str, tmp_path):
    write_audio(tmp_path / "a.wav", tone(150, 1.0), RATE)
    (tmp_path / "manifest.csv").write_text(f'path,transcript,split\na.wav,"{transcript}",train\n', encoding="utf-8")
    with pytest.raises(ValueError, match="no sound of split train without oyez"):
        OtherSound.of(find_recordings([tmp_path]), "train", TRAINING, RATE, ["oyez"])


def test_without_other_sound_or_recordings_of_the_phrase_nothing_is_trained(other):
    listener, found = Phonemes(LISTENER, rngs=nnx.Rngs(0)), find_recordings([other / "word"])
    with pytest.raises(ValueError, match=r"0 recordings of 'oyez' to train with and 1 to validate with"):
        next(train_wake(listener, {"oyez": Said(WAYS, [], [], [tone(800)])}, found, TRAINING))
    with pytest.raises(ValueError, match=r"no sound of split train without oyez.*the more different the better"):
        next(train_wake(listener, {"oyez": Said(WAYS, [tone(800)], [], [tone(800)])}, found, TRAINING))


def test_the_threshold_lets_through_what_is_accepted():
    alarms = [0.99, 0.9, 0.8, 0.3]
    assert threshold_for(alarms, 4.0, 0.5) == pytest.approx(0.82)
    assert 0.99 < threshold_for(alarms, 1.0, 0.5) < 1
    assert threshold_for([], 1.0, 0.5) == 0.5


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"hours is 0; it must be above 0"):
        WakeTraining(hours=0)
    with pytest.raises(ValueError, match=r"steps is 2 and rounds 3; there must be a step for each round"):
        WakeTraining(steps=2, rounds=3)
