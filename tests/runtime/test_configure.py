"""Settings of the whole process: made by configure() and by nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamrnn.runtime import configure, keep_memory

ROOT = Path(__file__).parents[2]
REPORT = """
import json, jax
names = "cpu_enable_async_dispatch", "compilation_cache_dir", "persistent_cache_min_compile_time_secs"
print(json.dumps([jax.config.values["jax_" + name] for name in names]))
"""


def reports(code, **environment):
    """[async dispatch, cache folder, least compile time] at each REPORT in the code, in a fresh interpreter."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_steps_run_in_the_calling_thread_and_programs_are_kept_in_the_given_folder_or_in_the_user_s_cache(tmp_path):
    code = f"""
import os
import streamrnn
streamrnn.configure(cache={str(tmp_path)!r})
{REPORT}
streamrnn.configure()
{REPORT}
os.environ["XDG_CACHE_HOME"] = ""
streamrnn.configure()
{REPORT}
"""
    given, in_cache, in_home = reports(code, XDG_CACHE_HOME=str(tmp_path / "cache"), HOME=str(tmp_path))
    assert given == [False, str(tmp_path), 0]
    assert in_cache[1] == str(tmp_path / "cache" / "streamrnn")
    assert in_home[1] == str(tmp_path / ".cache" / "streamrnn")


HOMELESS = """
import pathlib, warnings
def home():
    raise RuntimeError("Could not determine home directory.")
pathlib.Path.home = home
"""
STREAM = """
from flax import nnx
from streamrnn.layers import Dense
streamrnn.Stream(streamrnn.Model.of(Dense(8, 1, rngs=nnx.Rngs(0)), sample_rate=8000, hop_samples=8))
"""


def test_without_a_folder_to_write_to_programs_are_not_kept_and_that_is_said_once():
    code = f"""{HOMELESS}
import os
import streamrnn
for folder in ("", "/dev/null", "/proc/none"):
    os.environ["XDG_CACHE_HOME"] = folder
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        streamrnn.configure()
        {STREAM.strip().replace(chr(10), chr(10) + 8 * " ")}
    (warning,) = caught
    assert "XDG_CACHE_HOME" in str(warning.message), warning
    {REPORT.strip().replace(chr(10), chr(10) + 4 * " ")}
"""
    assert reports(code, JAX_COMPILATION_CACHE_DIR="") == 3 * [[False, None, 0]]


def test_a_step_is_shared_by_as_many_threads_as_were_asked_for_unless_the_environment_says_another_number(monkeypatch):
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    code = """
import pathlib, streamrnn
streamrnn.configure(threads={threads})
{stream}
names = [path.read_text() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
print(sum("XLAEigen" in name for name in names))
"""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("only Linux tells a process of its threads")
    (one,), (three,) = (reports(code.format(threads=threads, stream=STREAM.strip())) for threads in (1, 3))
    (two,) = reports(code.format(threads=1, stream=STREAM.strip()), PJRT_NPROC="2")
    assert (one, two, three) == (1, 2, 3)


def test_fewer_threads_than_one_are_refused():
    with pytest.raises(ValueError, match="threads=0"):
        configure(threads=0)


def test_the_command_line_works_without_a_home():
    code = f"""{HOMELESS}
import sys
from streamrnn.cli import main
sys.exit(main(["run", "vad", "audio_samples/stereo_44k.flac"]))
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": ""}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and "speech_start" in run.stdout
    assert run.stderr.count("compiled programs are not cached") == 1


def test_importing_everything_that_streams_changes_no_setting_of_jax():
    before, after = reports(f"{REPORT}import streamrnn.runtime, streamrnn.pretrained{REPORT}")
    assert before == after


def test_a_compiled_step_is_found_in_the_folder_by_the_next_process(tmp_path):
    code = f"import streamrnn{chr(10)}streamrnn.configure(cache={str(tmp_path)!r}){STREAM}"
    reports(code)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.name.endswith("-cache"))
    assert any("program" in name for name in kept)
    reports(code)
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
