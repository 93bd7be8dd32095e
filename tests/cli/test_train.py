"""`streamrnn train`: a model on disk, interruptions, and what goes wrong."""

import dataclasses
import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

from streamrnn.cli.plan import plan_of, shortened
from streamrnn.cli.progress import training_progress
from streamrnn.cli.train import main as train_main
from streamrnn.cli.train import trainer
from streamrnn.data import Clip
from streamrnn.data.recordings import Recordings
from streamrnn.learning import TrainingSettings
from streamrnn.learning.progress import Progress
from streamrnn.models import Keywords, KeywordsSettings, VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import describe, load
from streamrnn.recipes import CTCRecipe, KeywordsRecipe, like
from streamrnn.recipes.forecast import ForecastTraining
from streamrnn.recipes.keywords import KeywordsTraining


@dataclass(frozen=True)
class TinyTraining:
    """Settings of the tiny task."""

    training: TrainingSettings = field(default_factory=TrainingSettings)
    pull: float = 0.5
    """How much small weights are worth."""


class TinyRecipe:
    """Makes weights small, which compiles fast; the figures of the validations are given beforehand."""

    Settings = TinyTraining
    data: Sequence[Path] = ()
    recordings = Recordings((), {}, [], [], [])
    figures: Iterator[float | BaseException]
    signals: dict[int, int]

    def __init__(self, data: Sequence[Path], settings: TinyTraining):
        TinyRecipe.data = data
        self.settings, self.training = settings, settings.training

    def model(self, rngs: nnx.Rngs) -> VoiceActivity:
        return VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=rngs)

    def batches(self, start: int, stop: int):
        for step in range(start, stop):
            if step in self.signals:
                os.kill(os.getpid(), self.signals.pop(step))
            yield np.float32(self.settings.pull)

    def loss(self, model, batch):
        weights = jax.tree.leaves(nnx.state(model, nnx.Param))
        return batch * jnp.sum(jnp.stack([jnp.sum(leaf**2) for leaf in weights]))

    def validate(self, model) -> float:
        figure = next(self.figures)
        if isinstance(figure, BaseException):
            raise figure
        return figure


@pytest.fixture
def train(streamrnn, monkeypatch, tmp_path):
    """Trains the tiny task: train(*flags) -> exit status; what it writes lies in tmp_path / "run"."""
    tiny = SimpleNamespace(name="tiny", recipe="this file", resolve=lambda part: TinyRecipe)
    monkeypatch.setattr("streamrnn.cli.train.find_task", {"tiny": tiny}.get)
    TinyRecipe.signals = {}
    where = ("--data", tmp_path, tmp_path / "more", "--out", tmp_path / "run")
    return lambda *flags: streamrnn("train", "tiny", *where, *flags)


def test_training_writes_a_model_and_says_what_to_do_next(train, capsys, tmp_path):
    TinyRecipe.figures = iter([0.25, 0.75])
    assert train("--steps", "2", "--validate-every", "1", "--pull", "0.1") == 0
    weights = tmp_path / "run" / "tiny.safetensors"
    printed = capsys.readouterr().out
    assert "step 2: loss " in printed and ", validation 0.7500, best 0.7500\n" in printed
    assert f"validation 0.7500; wrote {weights}. Next: streamrnn run {weights} mic" in printed
    assert isinstance(load(weights), VoiceActivity)
    card = describe(weights)
    assert (card["task"], card["figures"]) == ("tiny", {"validation": 0.75})


def test_data_may_lie_in_several_folders(train, capsys, streamrnn, tmp_path):
    TinyRecipe.figures = iter([0.5])
    assert train("--steps", "1") == 0
    assert list(TinyRecipe.data) == [tmp_path, tmp_path / "more"]
    assert streamrnn("train", "tiny", "--data", "--out", tmp_path / "run") == 2
    assert "--data names no folder" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_training_that_is_ended_by_a_signal_saves_a_checkpoint_and_goes_on_from_there(
    train, capsys, tmp_path, number, status
):
    flags = ("--steps", "3")
    TinyRecipe.figures, TinyRecipe.signals = iter([0.75]), {2: number}
    assert train(*flags) == status
    assert f"stopped; {tmp_path / 'run'} holds step 2, and the same command resumes it" in capsys.readouterr().err
    assert not (tmp_path / "run" / "tiny.safetensors").exists()
    assert train(*flags) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'run'} holds a run at step 2; resuming it" in printed
    assert "validation 0.7500" in printed


def test_an_interrupted_validation_is_made_again(train, capsys, tmp_path):
    flags = ("--steps", "3", "--validate-every", "1")
    TinyRecipe.figures = iter([0.5, KeyboardInterrupt(), 0.75, 0.625])
    assert train(*flags) == 130
    assert f"stopped; {tmp_path / 'run'} holds step 1, and the same command resumes it" in capsys.readouterr().err
    assert train(*flags) == 0
    assert "validation 0.7500" in capsys.readouterr().out


def test_the_best_model_so_far_runs_while_training_goes_on(train, capsys, tmp_path):
    TinyRecipe.figures = iter([0.5, 0.25, KeyboardInterrupt()])
    assert train("--steps", "3", "--validate-every", "1") == 130
    path = tmp_path / "run" / "tiny.safetensors"
    assert f"{path} has the best weights so far" in capsys.readouterr().err
    assert describe(path)["figures"] == {"validation": 0.5} and isinstance(load(path), VoiceActivity)


def test_a_training_that_starts_from_a_model_has_its_sizes_and_other_words():
    settings = KeywordsSettings(words=("a",), encoder=True, hidden=20, layers=3, lookahead_frames=20)
    start = Keywords(settings, rngs=nnx.Rngs(0))
    taken = like(KeywordsTraining(), start).model
    assert taken == dataclasses.replace(settings, words=())
    ours = CTCRecipe.Settings()
    assert like(ours, start) == ours, "models of another kind have other sizes"
    lines = ForecastTraining()
    assert like(lines, start) == lines


def test_flags_have_the_sizes_of_the_model_to_start_from_as_defaults():
    run = trainer("keywords", KeywordsRecipe, length_is_chosen=False, defaults_of="keywords-en")
    assert run.__kwdefaults__["settings"].model.hidden == load("keywords-en").settings.hidden
    assert "settings" not in trainer("keywords", KeywordsRecipe, length_is_chosen=False).__kwdefaults__


def test_training_that_begins_with_weights_is_short():
    usual = TinyTraining(training=TrainingSettings(steps=8000, validate_every=500, warmup_steps=200))
    short = shortened(usual).training
    assert (short.steps, short.patience, short.validate_every, short.warmup_steps) == (600, 4, 100, 50)
    brief = TinyTraining(training=TrainingSettings(steps=500))
    assert shortened(brief) == brief


@pytest.mark.parametrize("flags, updates", [((), 600), (("--steps", "USUAL"), 0), (("--patience=0",), 0)])
def test_who_chooses_the_length_of_a_training_that_begins_with_weights_keeps_it(train, capsys, flags, updates):
    usual = TinyTraining().training.steps
    flags = [flag.replace("USUAL", str(usual)) for flag in flags]
    assert train("--start", "vad", "--dry-run", *flags) == 0
    assert f"{updates or usual:,} updates" in capsys.readouterr().out


def test_a_plan_counts_clips_and_speakers_of_each_label_by_split(tmp_path):
    def clip(label, split, speaker=""):
        return Clip(tmp_path / "a.wav", label=label, split=split, speaker=speaker)

    clips = [clip("yes", "train", "a"), clip("yes", "train", "b"), clip("yes", "valid", "b"), clip("no", "test", "a")]
    clips.append(clip("", "valid"))
    recipe = TinyRecipe([], TinyTraining(training=TrainingSettings(steps=1500)))
    recipe.recordings = Recordings((), {tmp_path: clips}, [clip("", "train")], [], [])
    head, *rows, sentence = plan_of(recipe, tmp_path / "tiny.safetensors").splitlines()
    assert head.split() == ["train", "valid", "test", "speakers"]
    assert [row.split() for row in rows] == [
        ["no", "-", "-", "1", "1"],
        ["yes", "2", "1", "-", "2"],
        ["no", "label", "-", "1", "-", "-"],
        ["noise", "1", "-", "-", "-"],
    ]
    assert sentence.startswith("1,500 updates, validated every 100.") and "tiny.safetensors" in sentence


def test_settings_that_are_refused_are_named_as_they_are_called_with_the_help_of_their_own_task(capsys):
    with pytest.raises(SystemExit):
        train_main(["keywords", "--data", ".", "--hop-samples", "0"])
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "settings: hop_samples is 0; it must be at least 1." in told and "tyro" not in told
    assert "see streamrnn train keywords --help" in told


def test_training_that_is_interrupted_before_its_first_checkpoint_says_so(train, capsys):
    TinyRecipe.figures = iter([KeyboardInterrupt()])
    assert train("--steps", "1") == 130
    assert "stopped before the first checkpoint; the same command starts over" in capsys.readouterr().err


def test_training_refuses_the_folder_of_another_run(train, capsys):
    TinyRecipe.figures = iter([0.5])
    assert train("--steps", "1") == 0
    assert train("--steps", "1", "--pull", "0.9") == 2
    assert "holds another run: settings.pull is 0.5 there and 0.9 here." in capsys.readouterr().err


def test_how_often_is_logged_makes_no_other_run(train):
    TinyRecipe.figures = iter([0.5])
    assert train("--steps", "1") == 0
    assert train("--steps", "1", "--log-every", "7") == 0


def test_training_refuses_a_folder_that_another_process_trains_into(train, capsys, tmp_path):
    (tmp_path / "run").mkdir()
    with (tmp_path / "run/.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert train() == 2
    assert f"{tmp_path / 'run'} is being trained into by process 4711. Wait for it" in capsys.readouterr().err


def test_a_dry_run_tells_what_it_would_take_and_writes_nothing(train, capsys, tmp_path):
    assert train("--dry-run", "--steps", "1234") == 0
    printed = capsys.readouterr().out
    assert "parameters          1,681\n" in printed and "updates             1,234\n" in printed
    assert re.search(r"time                about \d+ min", printed)
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_written_where_it_is_asked_for(train, tmp_path):
    TinyRecipe.figures = iter([0.5])
    assert train("--steps", "1", "--tensorboard") == 0
    assert list((tmp_path / "run/tensorboard").iterdir())
    assert json.loads((tmp_path / "run/metrics.jsonl").read_text())["validation"] == 0.5


@pytest.mark.parametrize(
    ("flags", "joined"),
    [
        ((), []),
        (("--distributed",), [(None, None, None)]),
        (("--coordinator", "a:1", "--num-processes", "2", "--process-id", "1"), [("a:1", 2, 1)]),
    ],
)
def test_processes_are_joined_as_asked_for(train, monkeypatch, flags, joined):
    asked: list[tuple] = []
    monkeypatch.setattr("streamrnn.cli.train.join_processes", lambda *place: asked.append(place))
    assert train("--dry-run", *flags) == 0
    assert asked == joined


def test_a_process_without_a_place_is_one_clear_line(train, capsys):
    assert train("--process-id", "1") == 2
    assert "--coordinator and --num-processes missing. Each process needs" in capsys.readouterr().err


def test_on_a_terminal_a_bar_shows_loss_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(
        "streamrnn.cli.progress.Console", lambda stderr: Console(stderr=stderr, force_terminal=True, width=120)
    )
    with training_progress() as watch:
        watch(Progress(step=30, steps=90, loss=0.125, best=0.5, validation=0.5, steps_per_s=0.5))
    printed = capsys.readouterr()
    assert "30/90" in printed.err
    assert "loss 0.1250  best 0.5000  0.50 steps/s  0:02:00 left" in printed.err
    assert printed.out == ""
