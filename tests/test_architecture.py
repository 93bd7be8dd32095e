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


def test_public_names_are_there_and_documented():
    assert set(PUBLIC_NAMES) <= set(dir(streamrnn))
    assert [name for name in PUBLIC_NAMES if not getattr(streamrnn, name).__doc__] == []


def test_no_file_takes_the_place_of_a_public_name_of_its_room():
    hidden = []
    for room in sorted(path.parent for path in PACKAGE.rglob("__init__.py")):
        package = importlib.import_module(".".join(room.relative_to(ROOT).parts))
        names = [name for name in getattr(package, "__all__", ()) if (room / f"{name}.py").exists()]
        for name in names:
            importlib.import_module(f"{package.__name__}.{name}")
        hidden += [f"{package.__name__}.{name}" for name in names if isinstance(getattr(package, name), ModuleType)]
    assert hidden == []


def test_files_can_be_read_in_one_sitting():
    assert [relative(path) for path in PYTHON_FILES if len(path.read_text().splitlines()) >= LINES_PER_FILE] == []


def test_files_are_named_after_what_they_hold():
    assert [relative(path) for path in PYTHON_FILES if path.stem in CATCH_ALL_NAMES] == []


def test_modules_open_with_a_docstring_and_say_what_they_export():
    trees = {relative(path): ast.parse(path.read_text()) for path in MODULES}
    assert trees
    assert [path for path, tree in trees.items() if not ast.get_docstring(tree)] == []
    # A docstring alone defines nothing.
    assert [path for path, tree in trees.items() if not says_what_it_exports(tree) and len(tree.body) > 1] == []


def test_shapes_are_checked_while_testing():
    flat = jnp.zeros(16)
    with pytest.raises(jaxtyping.TypeCheckError, match="split_blocks"):
        split_blocks(Layer(), flat)


def test_the_test_folders_mirror_the_rooms():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders <= rooms | {"benchmarks", "system", "examples"}
