"""A batch that is worked off in parts has the loss and the gradients of the whole, whatever each part weighs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.learning import TrainingSettings
from streamrnn.learning.learner import Learner
from streamrnn.losses import Mean
from streamrnn.models import (
    CTC,
    Choices,
    ChoicesSettings,
    Classifier,
    ClassifierSettings,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Forecast,
    ForecastSettings,
    Keywords,
    KeywordsSettings,
    Music,
    MusicSettings,
    NextItem,
    NextItemSettings,
    Phonemes,
    PhonemesSettings,
    Speller,
    SpellerSettings,
    Transducer,
    TransducerSettings,
    VoiceActivity,
    VoiceActivitySettings,
)
from streamrnn.tasks import tasks

ROWS, FRAMES = 4, 48
ENCODER = {"symbols": ("a", "b", "c"), "mels": 5, "channels": 4, "hidden": 4, "lookahead_frames": 1}


def sound(hop: int) -> np.ndarray:
    loudness = np.float32([0.3, 0.1, 0.02, 0.2])[:, None, None]
    return loudness * np.random.default_rng(0).standard_normal((ROWS, FRAMES, hop)).astype(np.float32)


def voice_activity():
    settings = VoiceActivitySettings(mels=5, channels=4, hidden=4, lookahead_frames=1)
    targets = np.random.default_rng(1).integers(0, 2, (ROWS, FRAMES)).astype(np.float32)
    weights = (np.arange(FRAMES) < np.array([[48], [3], [40], [0]])).astype(np.float32)
    batch = {"samples": sound(160), "targets": targets, "weights": weights, "reset": np.array([1, 0, 0, 1], bool)}
    return VoiceActivity(settings, rngs=nnx.Rngs(0)), batch


def keywords():
    settings = KeywordsSettings(words=("a", "b"), mels=5, channels=(4, 4), hidden=4, lookahead_frames=2)
    weights = np.ones((ROWS, FRAMES // 2), np.float32)
    weights[1] = 0
    batch = {"samples": sound(160), "labels": np.int32([0, 1, 2, 3]), "weights": weights}
    return Keywords(settings, rngs=nnx.Rngs(0)), batch


def ctc():
    return CTC(CTCSettings(**ENCODER), rngs=nnx.Rngs(0)), transcribed(np.int32([1, 12, 2, 12]))


def transducer():
    return Transducer(TransducerSettings(joint=4, **ENCODER), rngs=nnx.Rngs(0)), transcribed(np.int32([0, 5, 0, 6]))


def transcribed(lengths: np.ndarray) -> dict[str, np.ndarray]:
    # Of the same symbol in a row, 12 need 23 frames, and there are 12: CTC leaves them out.
    labels = np.where(lengths[:, None] < 12, np.random.default_rng(2).integers(1, 4, (ROWS, 12)), 1).astype(np.int32)
    return {"samples": sound(160), "labels": labels, "label_lengths": lengths}


def denoising():
    settings = DenoisingSettings(window_samples=96, hop_samples=32, bands=6, hidden=4, sample_rate=8000)
    noisy = sound(32)
    clean = 0.5 * np.roll(noisy, 3, axis=-1)
    clean[[0, 2]] = 0
    return Denoising(settings, rngs=nnx.Rngs(0)), {
        "noisy": noisy,
        "clean": clean,
        "reset": np.array([1, 0, 1, 0], bool),
    }


def forecast():
    columns = {"columns": ("a", "b"), "mean": (0.0, 1.0), "scale": (1.0, 2.0)}
    settings = ForecastSettings(**columns, horizon=3, period=2, level_rows=4, hidden=4)
    # As many rows as the recipe's settings count, and those that are forecast.
    rows = np.random.default_rng(0).standard_normal((ROWS, 168 + 96 + 3, 2)).astype(np.float32)
    return Forecast(settings, rngs=nnx.Rngs(0)), {"rows": rows}


def classifier(several: bool = False, **items):
    settings = ClassifierSettings(labels=("a", "b", "c"), several=several, hidden=4, embedding=3, **items)
    rng = np.random.default_rng(0)
    shape = (ROWS, 8, settings.features)
    drawn = rng.integers(0, settings.ids, shape, np.int32) if settings.ids else rng.normal(size=shape)
    wanted = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, several]], bool)
    batch = {"items": drawn.astype(np.int32 if settings.ids else np.float32), "wanted": wanted}
    return Classifier(settings, rngs=nnx.Rngs(0)), {**batch, "lengths": np.int32([8, 3, 1, 5])}


def next_item():
    rng = np.random.default_rng(0)
    batch = {"items": rng.integers(0, 5, (ROWS, 8, 1), np.int32), "next": rng.integers(0, 5, (ROWS, 8), np.int32)}
    settings = NextItemSettings(symbols=tuple("abcde"), embedding=3, hidden=4)
    return NextItem(settings, rngs=nnx.Rngs(0)), {**batch, "reset": np.array([1, 0, 1, 0], bool)}


def speller():
    rng = np.random.default_rng(0)
    batch = {"letters": rng.integers(0, 4, (ROWS, 12, 1), np.int32), "labels": rng.integers(1, 3, (ROWS, 12), np.int32)}
    settings = SpellerSettings(letters=tuple("abc"), phonemes=("X", "Y"), embedding=3, hidden=4, lookahead_letters=1)
    lengths = {"lengths": np.int32([12, 2, 8, 4]), "label_lengths": np.int32([4, 1, 3, 2])}
    return Speller(settings, rngs=nnx.Rngs(0)), {**batch, **lengths}


def phonemes():
    rng = np.random.default_rng(0)
    model = Phonemes(PhonemesSettings(mels=8, channels=4, hidden=5, layers=1), rngs=nnx.Rngs(0))
    samples = rng.normal(0, 0.1, (ROWS, 40, 160)).astype(np.float32)
    labels = {"labels": rng.integers(1, 40, (ROWS, 5), np.int32), "label_lengths": np.int32([5, 2, 4, 0])}
    return model, {"samples": samples, **labels}


def choices():
    rng = np.random.default_rng(0)
    made = np.where(np.arange(8) < np.array([[8], [3], [1], [5]]), rng.integers(1, 5, (ROWS, 8)), 0)
    frames = np.stack([made, rng.integers(0, 100, (ROWS, 8))], axis=-1).astype(np.float32)
    return Choices(ChoicesSettings(hidden=4), rngs=nnx.Rngs(0)), {"choices": frames}


def music():
    keys = np.random.default_rng(0).integers(0, 2, (ROWS, 8, 5)).astype(np.float32)
    model = Music(MusicSettings(keys=5, hidden=4, head=6), rngs=nnx.Rngs(0))
    return model, {"keys": keys, "lengths": np.int32([8, 3, 1, 5])}


CASES = {
    "choices": choices,
    "music": music,
    "phonemes": phonemes,
    "vad": voice_activity,
    "keywords": keywords,
    "digits": ctc,
    "digits-transducer": transducer,
    "denoise": denoising,
    "forecast": forecast,
    "intent": lambda: classifier(features=2, ids=9),
    "emotion": lambda: classifier(several=True, features=2, ids=9),
    "pen": lambda: classifier(features=2, window=2),
    "typing": next_item,
    "say": speller,
}
CARRIED = ["vad", "denoise", "typing"]


def updated(task: str, accumulate: int, carried: bool):
    """(loss, carry) and gradients of one update."""
    model, batch = CASES[task]()
    recipe_class = next(each for each in tasks() if each.name == task).resolve("recipe")
    # The loss reads its settings alone, and no recordings.
    recipe = recipe_class.__new__(recipe_class)
    recipe.settings = recipe_class.Settings(model=model.settings)

    def loss(model, batch, *carry):
        # Dropout and masks would differ.
        model.eval()
        return recipe.loss(model, batch, *carry)

    def fresh(model, batch):
        return model.init_state(len(batch["reset"]))

    learner = Learner(model, loss, TrainingSettings(accumulate=accumulate), fresh if carried else None)
    shared = learner.share(batch)
    learned = learner.begin(shared)
    gradients = jax.jit(learner._gradients)
    return gradients(learned.weights, learner.keys, learner.rest, shared, learned.carry)


@pytest.mark.parametrize("task", CASES)
def test_parts_of_uneven_weight_give_the_loss_and_gradients_of_the_whole(task):
    whole, parts = (updated(task, accumulate, task in CARRIED) for accumulate in (1, 2))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(whole[0]))
    for found, expected in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max(initial=0)))


def test_every_task_that_is_trained_is_here():
    losses = {task.name: task.resolve("recipe").loss for task in tasks() if task.recipe is not None}
    assert set(losses.values()) == {losses[name] for name in CASES}


def test_a_mean_adds_up_over_parts_and_with_others():
    x, weights = jnp.float32([1, 2, jnp.nan, 4]), jnp.float32([1, 3, 0, 2])
    whole = Mean.of(x, weights)
    parts = [Mean.of(x[part], weights[part]) for part in (slice(0, 1), slice(1, 4))]
    assert float(whole.value) == pytest.approx(15 / 6)
    assert sum(float(part.over(whole.weights)) for part in parts) == pytest.approx(15 / 6)
    assert float((whole + 2 * -parts[0]).value) == pytest.approx(15 / 6 - 2)
    assert float(Mean.of(x, jnp.zeros(4)).value) == 0


def test_weighing_the_parts_runs_no_model():
    def multiplications(accumulate: int) -> int:
        model, batch = CASES["vad"]()

        def loss(model, batch):
            logits = model.scan(model.init_state(len(batch["reset"])), batch["samples"])[1][..., 0]
            return Mean.of((logits - batch["targets"]) ** 2, batch["weights"])

        learner = Learner(model, loss, TrainingSettings(accumulate=accumulate))
        shared = learner.share(batch)
        return learner.compile(learner.begin(shared), shared).as_text().count(" dot(")

    assert multiplications(2) == multiplications(1)
