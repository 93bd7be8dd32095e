import json
import os

import jax
import numpy as np

from streamrnn.bench.machine import cpu_name, describe_machine, resident_mb


def test_the_machine_is_described_with_its_versions_and_thread_settings(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    machine = json.loads(json.dumps(describe_machine()))
    assert machine["cores"] == os.cpu_count()
    assert machine["packages"]["jax"] == jax.__version__
    assert machine["asynchronous_dispatch"] == jax.config.read("jax_cpu_enable_async_dispatch")
    assert machine["thread_settings"]["OMP_NUM_THREADS"] == "1"


def test_the_processor_is_named_as_linux_names_it(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast CPU: 3 GHz\nflags\t\t: fpu vme\n")
    assert cpu_name(tmp_path / "cpuinfo") == "Fast CPU: 3 GHz"


def test_a_processor_without_cpuinfo_has_a_name_too(tmp_path):
    assert cpu_name(tmp_path / "missing")


def test_resident_memory_is_counted_in_mb_of_pages(tmp_path):
    (tmp_path / "statm").write_text("9000 250 100 1 0 1 0\n")
    assert resident_mb(tmp_path / "statm") == 250 * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_resident_memory_is_unknown_without_proc(tmp_path):
    assert resident_mb(tmp_path / "missing") is None


def test_resident_memory_follows_what_is_allocated():
    before_mb = resident_mb()
    held = np.ones(30_000_000 // 8)
    after_mb = resident_mb()
    if before_mb is not None and after_mb is not None:
        assert after_mb - before_mb > held.nbytes / 2e6
