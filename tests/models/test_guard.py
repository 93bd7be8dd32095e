"""Models with a guard: words are suppressed where it hears no speech, and no training changes it."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from flax import nnx

import streamrnn
from streamrnn.cli.guard import main
from streamrnn.contract import Frozen, aligned
from streamrnn.data.recordings import Recordings
from streamrnn.layers import Chain, Dense, Guarded, Lookahead, StackFrames
from streamrnn.learning import TrainingSettings
from streamrnn.models import CTC, CTCSettings, Keywords, KeywordsSettings, TransducerSettings, VoiceActivity, guarded
from streamrnn.models.guard import FRAMES, GUARD, WEIGHT
from streamrnn.pretrained import load, save
from streamrnn.recipes.train import train

TINY = CTCSettings(symbols=("yes", "no"), mels=8, channels=6, hidden=8, layers=1, lookahead_frames=5)


@pytest.fixture(scope="module")
def vad() -> VoiceActivity:
    return load("vad", VoiceActivity)


@pytest.fixture(scope="module")
def model() -> CTC:
    made = CTC(TINY, rngs=nnx.Rngs(3))
    made.eval()
    return made


@pytest.fixture(scope="module")
def watched(model, vad) -> CTC:
    return guarded(model, vad, 0.5)


@pytest.fixture(scope="module")
def sound() -> jax.Array:
    """4 s: silence, speech, silence; [1, frames, hop]."""
    samples = soundfile.read(streamrnn.sample("conversation"), dtype="float32")[0]
    quiet = np.zeros(16_000, np.float32)
    return jnp.asarray(np.concatenate([quiet, samples[16_000:48_000], quiet])).reshape(1, -1, 160)


def test_the_blank_gains_what_the_guard_lacks_and_nothing_else_changes(model, watched, vad, sound):
    speech = np.asarray(aligned(vad, sound))[0, :, 0]
    # The guard's logits up to 17 frames after an output's own: it looks 3 frames ahead, the model 20.
    ends = range(4 + 17, len(speech) - 20, 4)
    missing = np.maximum(0, -np.array([speech[max(0, end - FRAMES) : end].max() for end in ends]))
    # The first windows reach back into the guard's warm-up.
    known = slice(FRAMES // 4, len(missing))
    alone, both = (np.asarray(aligned(each, sound))[0, known] for each in (model, watched))
    missing = missing[known]
    assert missing.min() == 0 < 5 < missing.max()
    np.testing.assert_allclose(both[:, 0], alone[:, 0] + WEIGHT * missing, atol=2e-3)
    np.testing.assert_array_equal(both[:, 1:], alone[:, 1:])


def test_training_leaves_the_guard_out_and_does_not_change_it(watched, sound):
    frozen = {path for path, _ in nnx.to_flat_state(nnx.state(watched, Frozen))}
    assert frozen and not frozen & {path for path, _ in nnx.to_flat_state(nnx.state(watched, nnx.Param))}
    training = nnx.clone(watched)
    training.train()
    assert training.network.deterministic is False
    state = training.init_state(1)
    kept, _ = training.network.scan(state, sound)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(kept[1:]), jax.tree.leaves(state[1:]), strict=True))


def test_a_guarded_model_is_saved_and_loaded_and_gives_its_guard_to_what_starts_from_it(watched, sound, tmp_path):
    save(watched, tmp_path / "watched.safetensors", task="digits")
    again = load(tmp_path / "watched.safetensors", CTC)
    np.testing.assert_array_equal(aligned(again, sound), aligned(watched, sound))
    other = CTC(dataclasses.replace(TINY, symbols=("left", "right", "up"), guard=0.5), rngs=nnx.Rngs(9))
    left = other.initialise_from(again)
    assert left == ["network.layers.1.bias", "network.layers.1.kernel"]
    for mine, given in zip(*(jax.tree.leaves(nnx.state(each.network.guard)) for each in (other, again)), strict=True):
        np.testing.assert_array_equal(mine, given)
    # An unguarded model gives what it has, and an unguarded one takes no guard.
    assert not any("guard" in name for name in CTC(TINY, rngs=nnx.Rngs(9)).initialise_from(again))


class GuardedRecipe:
    """Of a model with a guard; its training ends before the first batch."""

    Settings = TrainingSettings
    recordings = Recordings((), {}, [], [], [])

    def __init__(self, data: Sequence[Path], settings: TrainingSettings):
        self.settings = self.training = settings

    def model(self, rngs: nnx.Rngs) -> CTC:
        return CTC(dataclasses.replace(TINY, guard=0.5), rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        raise AssertionError("no batch is needed")

    def loss(self, model, batch) -> jax.Array:
        raise AssertionError("no loss is needed")

    def validate(self, model) -> float:
        raise AssertionError("no validation is needed")


def test_weights_of_a_guard_that_nobody_trains_are_refused(tmp_path, model):
    for start in (None, model):
        with pytest.raises(ValueError, match=r"whose weights this training cannot find\. Leave --guard out"):
            train(GuardedRecipe((), TrainingSettings()), "digits", tmp_path, start=start)


def test_the_command_writes_a_model_that_decides_alike_in_speech_and_says_nothing_in_a_tone(tmp_path, capsys):
    main(["digits", str(tmp_path / "mine")])
    assert f"wrote {tmp_path / 'mine.safetensors'}: CTC(" in capsys.readouterr().out
    mine = streamrnn.load(tmp_path / "mine")
    assert mine.task == "digits" and mine.lookahead == streamrnn.load("digits").lookahead
    words = [[e.label for e in streamrnn.listen(m, streamrnn.sample("digits"))] for m in (mine, load("digits"))]
    assert words[0] == words[1] and "seven" in words[0]
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000).astype(np.float32)
    listener = streamrnn.Listener(mine)
    assert [event for event in [*listener.feed(tone), *listener.finish()] if event.kind == "word"] == []


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: CTCSettings(guard=1.0), "guard is 1.0; it needs a probability of speech in"),
        (lambda: CTCSettings(guard=-0.1), "guard is -0.1"),
        (lambda: KeywordsSettings(words=("a",), guard=0.5, sample_rate=8000), "the sound has 8000 Hz in hops of 160"),
        (lambda: TransducerSettings(guard=0.5), "a transducer cannot be guarded"),
    ],
)
def test_settings_without_a_guard_that_fits_are_refused(build, says):
    with pytest.raises(ValueError, match=says):
        build()


def test_what_cannot_guard_or_be_guarded_is_refused(vad, model):
    with pytest.raises(TypeError, match="VoiceActivity cannot be guarded"):
        guarded(vad, vad)
    with pytest.raises(TypeError, match="CTC came as a guard"):
        guarded(model, model)
    with pytest.raises(ValueError, match="threshold is 1"):
        guarded(model, vad, 1.0)
    small = VoiceActivity(dataclasses.replace(GUARD, hidden=8), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="needs those of the shipped vad"):
        guarded(Keywords(KeywordsSettings(words=("a",)), rngs=nnx.Rngs(0)), small)


@pytest.mark.parametrize("guard", [StackFrames(2), Lookahead(9)])
def test_a_layer_is_guarded_by_one_that_answers_each_frame_in_time(guard):
    with pytest.raises(ValueError, match="it needs a stride of 1 and no longer look-ahead"):
        Guarded(Dense(3, 2, rngs=nnx.Rngs(0)), guard=Chain(guard), threshold=0.0, weight=1.0, frames=2)
    with pytest.raises(ValueError, match="weight=0"):
        Guarded(Dense(3, 2, rngs=nnx.Rngs(0)), guard=Dense(3, 1, rngs=nnx.Rngs(0)), threshold=0, weight=0, frames=2)
