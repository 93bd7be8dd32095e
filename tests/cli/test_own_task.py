"""A task of a package of one's own: three files and an entry point, and all commands know it."""

import importlib
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn import tasks
from streamrnn.audio import write_audio
from streamrnn.decisions import SpeechSettings, segments
from streamrnn.models import Model, of_layers
from streamrnn.pretrained import load, save
from streamrnn.runtime import Listener

PACKAGES = Path(__file__).parents[1] / "packages"
RATE = 8000


@pytest.fixture
def install(monkeypatch, tmp_path) -> Callable[[str, str, str], None]:
    """Makes a package of tests/packages, or one that has only a description, importable and its entry point known."""

    def installed(distribution: str, name: str, value: str) -> None:
        described = tmp_path / "site" / f"{distribution.replace('-', '_')}-1.2.dist-info"
        described.mkdir(parents=True)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (described / "entry_points.txt").write_text(f"[streamrnn.tasks]\n{name} = {value}\n")
        for folder in (tmp_path / "site", PACKAGES):
            monkeypatch.syspath_prepend(folder)

    yield installed
    tasks._loaded.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] in ("three_files", "marked")]:
        del sys.modules[module]


@pytest.fixture
def three_files(install) -> None:
    """The package as its pyproject.toml describes it."""
    project = tomllib.loads((PACKAGES / "three_files" / "pyproject.toml").read_text())["project"]
    [(name, value)] = project["entry-points"][tasks.GROUP].items()
    install(project["name"], name, value)


@pytest.fixture
def tones(tmp_path) -> Path:
    """Twelve recordings of a tone each, in a folder per label; the last of either is for validation."""
    rng, n = np.random.default_rng(0), np.arange(RATE)
    for label, hz in (("low", 300), ("high", 1800)):
        for number in range(6):
            tone = 0.2 * np.sin(2 * np.pi * hz * rng.uniform(0.8, 1.2) * n / RATE) + 0.01 * rng.standard_normal(RATE)
            (tmp_path / "tones" / label).mkdir(parents=True, exist_ok=True)
            write_audio(tmp_path / "tones" / label / f"{number}.wav", tone, RATE)
    return tmp_path / "tones"


def test_it_is_trained_evaluated_loaded_and_run(streamrnn, capsys, three_files, tones, tmp_path):
    flags = ("--steps", 60, "--validate-every", 60, "--learning-rate", 0.05, "--warmup-steps", 5)
    assert streamrnn("train", "pitch", "--data", tones, "--out", tmp_path / "run", *flags) == 0
    weights = tmp_path / "run" / "pitch.safetensors"
    capsys.readouterr()
    assert streamrnn("evaluate", "pitch", "--data", tones, "--model", weights, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["streaming"]["accuracy"], result["offline"]["accuracy"]) == (12, 1.0, 1.0)
    audited = ("audit", "groups", weights, "--task", "pitch", "--data", tones, "--by", "split", "--each-clip-alone")
    assert streamrnn(*audited, "--json") == 2 and "each group needs 8" in capsys.readouterr().err

    one_second = {hz: 0.2 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) for hz in (300, 1800)}
    sound = np.concatenate([one_second[300], one_second[1800]]).astype(np.float32)
    listener = Listener(load(weights), smoothing_ms=200)
    found = segments(listener.feed(sound) + listener.finish())
    assert [segment.label for segment in found] == ["low", "high"]
    # Trained on one tone at a time, it takes a moment to change its mind.
    assert found[0].end_s == pytest.approx(1.0, abs=0.3) and found[1].end_s == pytest.approx(2.0)

    write_audio(tmp_path / "both.wav", sound, RATE)
    assert streamrnn("run", weights, tmp_path / "both.wav", "--smoothing-ms", 200, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["kind"], event["label"]) for event in events] == [("label", "low")] * 2 + [("label", "high")] * 2


def test_it_stands_in_the_table_behind_streamrnn_s_own(three_files):
    assert [task.name for task in tasks.tasks()][-1] == "pitch"
    assert tasks.task_of("pitch").resolve("model").__name__ == "Pitch"
    with pytest.raises(ValueError, match=r"'pitch' has no test_set. Tasks that have one: vad, digits, denoise"):
        tasks.task_of("pitch").resolve("test_set")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pitch", "three_files_gone:PITCH", r"can't be loaded: ModuleNotFoundError.*Fix the package, or uninstall it"),
        ("pitch", "three_files:NOTHING", "can't be loaded: AttributeError"),
        ("pitch", "json:dumps", "is a function; it must be a streamrnn.tasks.Task named 'pitch'"),
        ("tone", "three_files:PITCH", "is a Task named 'pitch'; it must be"),
        ("vad", "three_files:PITCH", "has a name that is already taken"),
    ],
)
def test_an_entry_point_that_fails_names_its_package_and_harms_no_other_task(install, name, value, said):
    install("broken-tasks", name, value)
    with pytest.warns(UserWarning, match=rf"package broken-tasks 1\.2 .*{said}.*The other tasks work"):
        assert [task.name for task in tasks.tasks()] == [task.name for task in tasks.OWN]
    if name != "vad":
        with pytest.raises(ImportError, match=said):
            tasks.find_task(name)
    assert tasks.task_of("vad").resolve("model").__name__ == "VoiceActivity"


def test_a_part_that_cannot_be_imported_is_named(install):
    task = tasks.Task("lost", "nowhere.model:Lost", "streamrnn.decisions:LabelSettings")
    with pytest.raises(ImportError, match=r"The model of the task 'lost', nowhere.model:Lost, can't be imported"):
        task.resolve("model")


@pytest.mark.parametrize("task", tasks.OWN, ids=lambda task: task.name)
def test_every_part_of_every_task_is_there(task):
    # The weights of a task without a recipe come from another package.
    trained = ("recipe", "evaluate", "lines" if task.lines else "teller") if task.recipe else ()
    for part in ("model", *trained):
        assert callable(task.resolve(part))
    assert task.resolve("model").Decision is (task.resolve("decision") if task.decision else None)
    assert task.default is None or load(task.name)


def test_the_table_imports_nothing_heavy_and_a_lookup_no_other_package(three_files):
    tasks.find_task("vad")
    assert "three_files" not in sys.modules


def test_a_model_of_layers_is_run_where_its_task_is_installed(streamrnn, capsys, install, tmp_path, monkeypatch):
    install("marked", "marked", "marked:MARKED")
    layers = importlib.import_module("marked").layers(rngs=nnx.Rngs(0))
    model = Model.of(layers, sample_rate=RATE, hop_samples=80, readout="sigmoid", decision=SpeechSettings())
    save(model, tmp_path / "own", task="marked")
    # As in a process that has not imported the package.
    monkeypatch.delitem(of_layers._BUILDERS, "marked:layers")
    monkeypatch.delitem(sys.modules, "marked")
    tasks._loaded.cache_clear()
    write_audio(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.3, 0.3, RATE), RATE)
    assert streamrnn("run", tmp_path / "own.safetensors", tmp_path / "noise.wav", "--json") == 0, (
        capsys.readouterr().err
    )
