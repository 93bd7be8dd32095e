"""Settings of the whole process: made by configure() and by nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

from streamrnn.runtime import keep_memory

ROOT = Path(__file__).parents[2]
REPORT = """
import json, jax
names = "cpu_enable_async_dispatch", "compilation_cache_dir", "persistent_cache_min_compile_time_secs"
print(json.dumps([jax.config.values["jax_" + name] for name in names]))
"""


def settings_after(code, **environment):
    """[async dispatch, cache folder, least compile time] in a fresh interpreter that ran the code."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-c", code + REPORT]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(run.stdout)


def test_steps_run_in_the_calling_thread_and_programs_are_kept_in_the_given_folder(tmp_path):
    code = f"import streamrnn; streamrnn.configure(cache={str(tmp_path)!r})"
    assert settings_after(code) == [False, str(tmp_path), 0]


def test_programs_are_kept_in_the_users_cache_by_default(tmp_path):
    code = "import streamrnn; streamrnn.configure()"
    assert settings_after(code, XDG_CACHE_HOME=str(tmp_path))[1] == str(tmp_path / "streamrnn")
    assert settings_after(code, XDG_CACHE_HOME="", HOME=str(tmp_path))[1] == str(tmp_path / ".cache" / "streamrnn")


def test_importing_everything_that_streams_changes_no_setting_of_jax():
    assert settings_after("import streamrnn.runtime, streamrnn.pretrained") == settings_after("")


def test_a_compiled_step_is_found_in_the_folder_by_the_next_process(tmp_path):
    code = f"""
import streamrnn
streamrnn.configure(cache={str(tmp_path)!r})
from flax import nnx
from streamrnn.models import VoiceActivity, VoiceActivitySettings
streamrnn.Stream(VoiceActivity(VoiceActivitySettings(hidden=8, channels=8, mels=8), rngs=nnx.Rngs(0)))
"""
    settings_after(code)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.name.endswith("-cache"))
    assert any("program" in name for name in kept)
    settings_after(code)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith("-cache")) == kept


def test_memory_that_was_used_is_kept_for_its_next_use():
    code = """
import resource
import numpy as np
from streamrnn.runtime import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back, is_kept = faults(), keep_memory()
faults()
print(is_kept, given_back, faults())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    is_kept, given_back, kept = run.stdout.split()
    if is_kept == "True":
        assert int(kept) < int(given_back) / 10


def test_where_memory_cannot_be_kept_nothing_happens(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_memory() is False
