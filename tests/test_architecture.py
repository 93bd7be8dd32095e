"""The shape of the project: light imports, locked public names, short files. `lint-imports` checks who imports whom."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import jaxtyping
import pytest

import streamrnn
from streamrnn.contract import Layer, split_blocks

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "streamrnn"
PYTHON_FILES = sorted(
    path for folder in ("streamrnn", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
)
MODULES = sorted(path for folder in ("streamrnn", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
LINES_PER_FILE = 400
CATCH_ALL_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}

# A name that goes or changes here breaks somebody's program: it belongs in the changelog.
PUBLIC_NAMES: list[str] = [
    "Enhancer",
    "Event",
    "Layer",
    "Listener",
    "Model",
    "Pool",
    "Segment",
    "Snapshot",
    "Stream",
    "Utterances",
    "aligned",
    "builder",
    "check_contract",
    "configure",
    "enhance_file",
    "generate",
    "listen",
    "load",
    "run_file",
    "sample",
    "save",
    "segments",
    "speech_segments",
    "utterances",
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def modules_after_importing(names: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `import <names>`."""
    code = f"import sys, {names}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.split())


def says_what_it_exports(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__all__" for node in ast.walk(tree))


def test_importing_streamrnn_imports_no_heavy_package():
    heavy = {"jax", "flax", "librosa", "matplotlib", "optax", "scipy", "sounddevice"}
    assert modules_after_importing("streamrnn") & heavy == set()


def test_audio_and_decisions_run_without_jax():
    loaded = modules_after_importing("streamrnn.audio, streamrnn.decisions")
    assert loaded & {"jax", "jaxlib", "flax", "optax"} == set()


def test_the_public_names_are_these():
    assert sorted(streamrnn.__all__) == sorted(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_public_name_is_there_and_documented(name: str):
    assert name in dir(streamrnn)
    assert getattr(streamrnn, name).__doc__


@pytest.mark.parametrize("room", sorted(path.parent for path in PACKAGE.rglob("__init__.py")), ids=relative)
def test_no_file_takes_the_place_of_a_public_name_of_its_room(room: Path):
    package = importlib.import_module(".".join(room.relative_to(ROOT).parts))
    for name in getattr(package, "__all__", ()):
        if (room / f"{name}.py").exists():
            importlib.import_module(f"{package.__name__}.{name}")
            assert not isinstance(getattr(package, name), ModuleType), f"{package.__name__}.{name} is its file"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_a_file_can_be_read_in_one_sitting(path: Path):
    assert len(path.read_text().splitlines()) < LINES_PER_FILE


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_a_file_is_named_after_what_it_holds(path: Path):
    assert path.stem not in CATCH_ALL_NAMES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_that_defines_something_says_what_it_exports(path: Path):
    tree = ast.parse(path.read_text())
    assert says_what_it_exports(tree) or len(tree.body) <= 1


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_opens_with_a_docstring(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_shapes_are_checked_while_testing():
    flat = jnp.zeros(16)
    with pytest.raises(jaxtyping.TypeCheckError, match="split_blocks"):
        split_blocks(Layer(), flat)


def test_the_test_folders_mirror_the_rooms():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders <= rooms | {"benchmarks", "system", "examples"}
