"""Recurrent networks against transformers: what grows with the position and what does not; counts, never times."""

import io
import json
import math
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

import streamrnn
from streamrnn.bench import online, online_room
from streamrnn.bench.online import Effort, compare_online, late_from
from streamrnn.bench.online_counting import multiply_adds
from streamrnn.bench.online_report import conclusion, duration, print_report, size
from streamrnn.bench.online_room import available_bytes, read_speed, room_for, too_large
from streamrnn.bench.online_systems import GROWING, SYSTEMS, LiveStream, System
from streamrnn.models import VoiceActivity, VoiceActivitySettings

TINY = {"mels": 8, "channels": 6, "hidden": 8, "heads": 2}
SECOND, HOUR = 100, 360_000
STEADY = [name for name in SYSTEMS if name not in GROWING]


@cache
def tiny(core: str) -> System:
    """A system with shapes in the place of its weights: enough to count, and to compile."""
    model = nnx.eval_shape(lambda: VoiceActivity(VoiceActivitySettings(core=core, **TINY), rngs=nnx.Rngs(0)))
    model.eval()
    return System(core, model)


def counted(function, *shapes) -> int:
    return multiply_adds(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


def test_a_product_of_matrices_counts_rows_times_columns_times_what_is_summed():
    assert counted(jnp.matmul, (3, 5), (5, 7)) == 3 * 5 * 7
    assert counted(lambda a, b: jnp.einsum("bqhd,bkhd->bhqk", a, b), (2, 3, 4, 5), (2, 6, 4, 5)) == 2 * 3 * 4 * 5 * 6


def test_a_convolution_counts_its_kernel_for_each_output_also_in_groups():
    def grouped(x, kernel):
        numbers = ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=numbers, feature_group_count=2)

    assert counted(grouped, (1, 10, 4), (3, 2, 6)) == 8 * 6 * 3 * 2


def test_a_loop_counts_as_often_as_it_runs_and_of_branches_the_cheapest_does():
    def looped(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=11)[0]

    def branched(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x @ w)

    assert counted(jax.jit(jax.checkpoint(looped)), (2, 3), (3, 3)) == 11 * 2 * 3 * 3
    assert counted(branched, (2, 3), (3, 3)) == 2 * 3 * 3


def test_a_loop_whose_end_is_not_known_is_not_counted_as_one_round():
    with pytest.raises(ValueError, match="without a fixed number of rounds"):
        counted(lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ x, x), (2, 2))


@pytest.mark.parametrize("system", STEADY)
def test_what_forgets_or_sums_up_runs_the_same_program_at_every_position(system: str):
    made = tiny(system)
    assert made.at(SECOND) is made.at(HOUR)
    assert made.at(HOUR).room is None


@pytest.mark.parametrize(("system", "gates", "states"), [("elman", 1, 1), ("gru", 3, 1), ("lstm", 4, 2)])
def test_a_recurrent_network_s_core_multiplies_once_per_weight_and_keeps_its_hidden_state(system, gates, states):
    shallow = System(system, nnx.eval_shape(lambda: VoiceActivity(shallow_settings(system), rngs=nnx.Rngs(0))))
    # What the second of two layers adds: 8 numbers in, 8 hidden, for each gate.
    assert tiny(system).at(HOUR).multiply_adds - shallow.at(HOUR).multiply_adds == gates * 2 * 8 * 8
    assert tiny(system).at(HOUR).state_bytes - shallow.at(HOUR).state_bytes == 4 * states * 8


def shallow_settings(core: str) -> VoiceActivitySettings:
    return VoiceActivitySettings(core=core, layers=1, **TINY)


def test_a_recurrent_network_runs_one_executable_from_the_first_second_to_the_last_hour():
    made = tiny("gru")
    assert made.at(SECOND).executable is made.at(HOUR).executable


def test_a_cache_grows_with_what_was_heard_and_a_window_does_not():
    cache, window = tiny("transformer"), tiny("transformer-window")
    sizes = [cache.at(frames).state_bytes for frames in (1024, 2048, 4096)]
    # Two layers, keys and values, 8 numbers of 4 bytes a frame.
    assert np.diff(sizes).tolist() == [2 * 2 * 8 * 4 * 1024, 2 * 2 * 8 * 4 * 2048]
    assert window.at(1024).state_bytes == window.at(HOUR).state_bytes


def test_attending_to_all_costs_more_with_each_frame_and_beginning_anew_still_more():
    cache, anew = tiny("transformer"), tiny("transformer-recompute")
    cached = [cache.at(frames).multiply_adds for frames in (1024, 2048, 4096)]
    assert np.diff(cached).tolist() == [2 * 2 * 8 * 1024, 2 * 2 * 8 * 2048]
    short, long = (anew.at(frames).multiply_adds for frames in (1024, 4096))
    assert long > 4 * short and short > 100 * cached[0]


def test_a_stream_gives_the_model_s_outputs_and_stays_where_it_is():
    model = VoiceActivity(shallow_settings("transformer"), rngs=nnx.Rngs(0))
    model.eval()
    made = System("transformer", model)
    x = np.random.default_rng(0).normal(0, 0.1, (1, 1, 160)).astype(np.float32)
    program = made.at(4)
    stream = LiveStream(program, made.weights, iter([x, x, x]))
    stream.begin()
    _, logits = nnx.jit(lambda model, x: model.step(model.init_state(1), x))(made.model, x)
    np.testing.assert_allclose(stream(), made.model.readout(logits), atol=1e-6)
    stream.move_to(3)
    stream()
    memory, counters = program.filled(3)
    assert [int(counter[0]) for counter in stream._counters] == [int(counter[0]) for counter in counters] == [3, 3]
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(stream._memory, memory, strict=True))


@pytest.mark.parametrize(("frames", "room"), [(1, 2), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_a_memory_that_doubles_has_room_for_the_next_power_of_two(frames: int, room: int):
    assert room_for(frames) == room


def test_free_memory_is_the_least_of_what_the_machine_and_the_container_leave(tmp_path: Path):
    (tmp_path / "proc").mkdir()
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    assert available_bytes(tmp_path) is None
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("900000\n")
    assert available_bytes(tmp_path) == 4_096_000
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.stat").write_text("anon 5\ninactive_file 50000\n")
    assert available_bytes(tmp_path) == 150_000


def test_what_does_not_fit_is_said_with_both_numbers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(online_room, "available_bytes", lambda: 2_000_000_000)
    assert too_large(3_500_000_000) == "needs 3.5 GB of memory; 2 GB are free"
    assert too_large(2_000_000_000) is None
    monkeypatch.setattr(online_room, "available_bytes", lambda: None)
    assert too_large(10**15) is None


def test_memory_is_read_at_more_than_a_disk_s_speed():
    speed = read_speed()
    assert speed is not None and speed > 1e8


def test_a_system_is_late_where_its_time_crosses_the_deadline():
    rows = [{"position_s": s, "p50_us": us} for s, us in ((1, 100.0), (10, 1_000.0), (100, 100_000.0))]
    assert late_from(rows, 10_000.0) == pytest.approx(10 * math.sqrt(10), rel=1e-3)
    assert late_from(rows, 50.0) == 1
    assert late_from(rows[:2], 10_000.0) is None


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = VoiceActivity(VoiceActivitySettings(**TINY | {"hidden": 24, "layers": 1}), rngs=nnx.Rngs(0))
    streamrnn.save(model, path := tmp_path_factory.mktemp("models") / "gru.safetensors", task="vad")
    return path


@pytest.fixture(scope="module")
def report(tiny_path: Path) -> dict:
    effort = Effort((0.04, 10.0), {"transformer-recompute": 0}, 2, 0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "configure", lambda: None)
        patch.setattr(online, "too_large", lambda needed: "too little" if needed > 100_000 else None)
        systems = ("gru", "transformer", "transformer-recompute")
        report = compare_online(systems, effort, model_name=tiny_path)
    return json.loads(json.dumps(report))


def test_every_system_has_a_row_at_every_position(report: dict):
    rows = {(row["system"], row["position_s"]): row for row in report["rows"]}
    assert list(rows) == [(row["system"], position) for row in report["systems"] for position in (0.04, 10.0)]
    gru, later = rows["gru", 0.04], rows["gru", 10.0]
    for figure in ("state_bytes", "multiply_adds", "room_frames"):
        assert gru[figure] == later[figure]
    assert rows["transformer", 0.04]["room_frames"] == 4
    for row in (gru, later, rows["transformer", 0.04]):
        assert 0 < row["p10_us"] <= row["p90_us"] and 0 < row["p50_us"] <= row["p99_us"]
        assert row["streams_per_core"] * row["p50_us"] == pytest.approx(10_000, rel=1e-3)
        assert row["streams_per_gb"] * row["state_bytes"] == pytest.approx(1e9, rel=1e-3)
        assert row["first_block_ms"] > 0 and row["note"] is None


def test_what_is_not_timed_is_counted_and_says_why(report: dict):
    rows = {(row["system"], row["position_s"]): row for row in report["rows"]}
    for system, note in (("transformer", "too little"), ("transformer-recompute", "counted, not timed")):
        row = rows[system, 10.0]
        assert row["note"] == note and "p50_us" not in row
        assert row["multiply_adds"] > rows[system, 0.04]["multiply_adds"]


def test_each_system_is_summed_up(report: dict):
    gru, cache, anew = report["systems"]
    assert (gru["timed_to_s"], cache["timed_to_s"], anew["timed_to_s"]) == (10.0, 0.04, None)
    assert cache["parameters"] == pytest.approx(gru["parameters"], rel=0.05)


def test_the_report_is_printed_as_tables(report: dict):
    console = Console(record=True, width=160, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    assert printed.count("transformer-recompute") == 2 + 1
    for text in (report["machine"]["cpu"], "too little", "counted, not timed", "late from", conclusion(report)[:60]):
        assert text in printed


def test_a_report_in_a_pipe_is_wide_enough_for_its_numbers(report: dict, capsys: pytest.CaptureFixture[str]):
    print_report(report)
    assert "…" not in capsys.readouterr().out


def test_long_times_and_large_numbers_are_written_as_one_reads_them():
    assert [duration(s) for s in (None, 0.04, 10, 90, 5400)] == ["", "0.04 s", "10 s", "1.5 min", "1.5 h"]
    assert [size(n) for n in (None, 0.16, 37.5, 2_050, 92_300_000, 6.06e13)] == (
        ["", "0.16", "37.5", "2.05 k", "92.3 M", "60.6 T"]
    )


def test_an_unknown_system_names_the_known_ones():
    with pytest.raises(
        ValueError, match=r"There is no system 'gruu'. Did you mean 'gru'\? Systems are: elman, gru, .*tcn"
    ):
        compare_online(("gru", "gruu"))
    with pytest.raises(ValueError, match="No system is named"):
        compare_online(())
