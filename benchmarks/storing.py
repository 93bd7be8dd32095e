"""What it costs to keep the states of many live streams in a store: each once a second, as `serve --store` does it."""

import asyncio
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from streamrnn.pretrained import load
from streamrnn.runtime import Pool
from streamrnn.serve.handover import Handover, sealed
from streamrnn.serve.store import Store
from streamrnn.serve.storing import AT_ONCE

KEEP_S, START_S = 60.0, 10.0
CHUNK_S = 0.1


def bench_storing(model: str = "vad", streams: int = 1000, rounds: int = 5, url: str | None = None) -> dict[str, Any]:
    """Stores the states of this many live streams some times over, as fast as it goes.

    Args:
        model: a shipped one's name, or a path.
        streams: live streams, each of which has heard a second of noise of its own.
        rounds: times that all are stored.
        url: of the store; None: a redis-server or valkey-server that is started for it.

    Returns:
        streams, rounds; states_per_s; wall_s; of a thousand states, the processor seconds: snapshot, seal and save of
        this process, store of the server's; bytes_per_state on the way and memory_per_state in the store.

    Raises:
        ValueError: a number is below 1.
        FileNotFoundError: there is neither redis-server nor valkey-server.
        StoreFailed: the store fails.
    """
    if streams < 1 or rounds < 1:
        raise ValueError(f"streams is {streams} and rounds {rounds}; both must be 1 or more.")
    loaded = load(model)
    pool, rng = Pool(loaded, capacity=streams), np.random.default_rng(0)
    opened = [pool.open() for _ in range(streams)]
    rate = opened[0].sample_rate
    for _ in range(round(1 / CHUNK_S)):
        for stream in opened:
            stream.feed(rng.uniform(-0.1, 0.1, round(CHUNK_S * rate)).astype(np.float32))
        while pool.tick():
            pass
    with _store(url) as where:
        return {"model": model, **asyncio.run(_measured(pool, opened, model, where, rounds))}


async def _measured(pool: Pool, opened: list[Any], model: str, url: str, rounds: int) -> dict[str, Any]:
    store, key = Store(url, KEEP_S), secrets.token_bytes(32)
    # The server's own figures, by the client that the store has already.
    ask = store._redis.info
    await store.check()
    names = {stream: (secrets.token_hex(16), secrets.token_hex(16)) for stream in opened}
    spent = dict.fromkeys(("snapshot", "seal", "save"), 0.0)
    before, began_s, stored = await ask(), time.perf_counter(), 0
    for _ in range(rounds):
        for start in range(0, len(opened), AT_ONCE):
            marks = [time.process_time()]
            found = pool.snapshots(opened[start : start + AT_ONCE])
            marks.append(time.process_time())
            states = [
                (names[stream][0], store.next_version(), _sealed(model, stream, snapshot, names[stream], key))
                for stream, snapshot in found.items()
            ]
            marks.append(time.process_time())
            stored += sum(await store.save(states))
            marks.append(time.process_time())
            for name, first, last in zip(spent, marks[:-1], marks[1:], strict=True):
                spent[name] += last - first
    wall_s, after = time.perf_counter() - began_s, await ask()
    await store.end()
    cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    per = {name: 1000 * seconds / stored for name, seconds in {**spent, "store": cpu}.items()}
    return {
        "streams": len(opened),
        "rounds": rounds,
        "states_per_s": stored / wall_s,
        "wall_s": wall_s,
        "processor_s_per_1000": per,
        "bytes_per_state": (after["total_net_input_bytes"] - before["total_net_input_bytes"]) / stored,
        "memory_per_state": (after["used_memory"] - before["used_memory"]) / len(opened),
    }


def _sealed(model: str, stream: Any, snapshot: Any, names: tuple[str, str], key: bytes) -> bytes:
    taken = snapshot.inlet["taken"]
    return sealed(Handover(model, stream.sample_rate, "s16le", 1, {}, taken, 0, 0, snapshot, *names), key)


@contextmanager
def _store(url: str | None) -> Iterator[str]:
    """The address of the store; without one, of a server in memory that lives as long as the context."""
    if url is not None:
        yield url
        return
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise FileNotFoundError("there is neither redis-server nor valkey-server. Install one, or pass --url.")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder)
        with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
            try:
                _wait_until_open(port)
                yield f"redis://127.0.0.1:{port}"
            finally:
                process.terminate()


def _wait_until_open(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > until:
            raise TimeoutError(f"the store did not listen at port {port} within {START_S:g} s.")
        time.sleep(0.05)


def print_report(report: dict[str, Any], console: Console) -> None:
    """Prints what bench_storing() returned as a table."""
    per = report["processor_s_per_1000"]
    own = per["snapshot"] + per["seal"] + per["save"]
    title = f"{report['model']}: {report['streams']:,} streams stored {report['rounds']} times"
    table = Table(title=title, title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("", justify="right")
    for name, value in (
        ("states per second, as fast as it goes", f"{report['states_per_s']:,.0f}"),
        ("processor time of 1,000 states, this process", f"{own:.3f} s"),
        ("  of it: snapshots, sealing, sending", f"{per['snapshot']:.3f}, {per['seal']:.3f}, {per['save']:.3f} s"),
        ("processor time of 1,000 states, the store", f"{per['store']:.3f} s"),
        ("bytes of a state on its way", f"{report['bytes_per_state']:,.0f}"),
        ("memory of a stream in the store", f"{report['memory_per_state']:,.0f} B"),
    ):
        table.add_row(name, value)
    console.print(table)


__all__ = ["bench_storing", "print_report"]
