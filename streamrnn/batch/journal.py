"""The records of an output folder: which model wrote it, what is done, and which processes are writing.

Under OUT/.streamrnn: batch.json (the model and its settings), done/*.jsonl (a line per recording, appended by the
process that finished it, so that crashes of others lose none), lock files, and parts/ (files that are being written).
"""

import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from streamrnn.batch.recordings import BatchRecording, Shard
from streamrnn.comparing import as_kept
from streamrnn.replacing import replace_file

FOLDER = ".streamrnn"
READ_BYTES = 1 << 20
# How long workers may keep running after their batch was killed.
WORKERS_S, WAIT_S = 60.0, 0.2


class OtherBatch(ValueError):
    """The folder has the outputs of another model, or another batch is writing to it."""


@dataclass(frozen=True)
class Entry:
    """A finished recording.

    Attributes:
        name: the recording's.
        size, mtime_ns: of its file.
        content: digest of its file; "" if not requested.
        duration_s: of its sound.
        outputs: the files written, by name relative to the output folder -> size in bytes.
    """

    name: str
    size: int
    mtime_ns: int
    content: str
    duration_s: float
    outputs: dict[str, int]


class Journal:
    """The records of an output folder. Each process has its own Journal.

    Args:
        out: the folder; made if missing.
    """

    def __init__(self, out: Path):
        self.out, self.folder = out, out / FOLDER
        self._lock, self._file = threading.Lock(), None

    def claim(self, identity: dict[str, Any]) -> None:
        """Claims the folder for this batch. Raises OtherBatch if it belongs to another one, or its owner is unknown."""
        path, identity = self.folder / "batch.json", as_kept(identity)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            replace_file(path, json.dumps(identity, indent=1, sort_keys=True).encode())
            return
        theirs = _read_object(path)
        if wrong := sorted(key for key in identity.keys() | theirs.keys() if identity.get(key) != theirs.get(key)):
            told = "; ".join(f"{key} is {identity.get(key)!r} now and was {theirs.get(key)!r}" for key in wrong)
            raise OtherBatch(f"{self.out} has the outputs of another batch: {told}. Choose another folder for --out.")

    @contextmanager
    def held(self, shard: Shard) -> Iterator[None]:
        """Holds the lock on the outputs of this shard. Raises OtherBatch if another process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Shards may be written side by side; a shard and the whole batch may not.
        all_of_it = _locked(self.folder / "lock", self.out, shared=shard.count > 1)
        with all_of_it, _locked(self.folder / f"lock{shard.suffix}.part", self.out, shared=False):
            self._wait_for_workers(shard)
            # Files that a killed process had not finished.
            shutil.rmtree(self.parts(shard), ignore_errors=True)
            try:
                yield
            finally:
                shutil.rmtree(self.parts(shard), ignore_errors=True)

    @contextmanager
    def at_work(self, shard: Shard) -> Iterator[None]:
        """Registers a worker process of this shard, which may outlive the process that holds the lock."""
        with _locked(self._workers(shard), self.out, shared=True):
            yield

    def _workers(self, shard: Shard) -> Path:
        return self.folder / f"workers{shard.suffix}"

    def _wait_for_workers(self, shard: Shard) -> None:
        """Waits until workers of a killed batch have finished their current recordings."""
        until = time.monotonic() + WORKERS_S
        while True:
            try:
                with _locked(self._workers(shard), self.out, shared=False):
                    return
            except OtherBatch:
                if time.monotonic() > until:
                    raise OtherBatch(
                        f"workers of a batch that was killed still write to {self.out}. End them, or wait."
                    ) from None
                time.sleep(WAIT_S)

    def parts(self, shard: Shard) -> Path:
        """The folder for files of this shard that are being written."""
        return self.folder / f"parts{shard.suffix}"

    def entries(self) -> dict[str, Entry]:
        """The last entry of each recording, by name."""
        found: dict[str, Entry] = {}
        for path in sorted((self.folder / "done").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            for line in path.read_bytes().splitlines():
                # The last line of a killed process may be incomplete.
                try:
                    entry = Entry(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                # A line that was damaged on disk may still be JSON.
                if isinstance(entry.name, str) and isinstance(entry.outputs, dict):
                    found[entry.name] = entry
        return found

    def add(self, entry: Entry) -> None:
        """Records that a recording is done; from any thread."""
        line = json.dumps(asdict(entry)).encode() + b"\n"
        with self._lock:
            if self._file is None:
                (self.folder / "done").mkdir(parents=True, exist_ok=True)
                self._file = self._fresh()
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        """Closes the file; the next entry begins a new one."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def has(self, entry: Entry | None, recording: BatchRecording, outputs: list[str], by_content: bool) -> bool:
        """Whether the recording is done and unchanged, and all outputs of these names are complete."""
        if entry is None or not set(outputs) <= entry.outputs.keys():
            return False
        if any(_size(self.out / name) != entry.outputs[name] for name in outputs):
            return False
        try:
            if by_content:
                return bool(entry.content) and content_of(recording.path) == entry.content
            stat = recording.path.stat()
        except OSError:
            # Processing it will report what is wrong.
            return False
        return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns)

    def _fresh(self) -> IO[bytes]:
        return open(self.folder / "done" / f"{os.getpid()}-{secrets.token_hex(6)}.jsonl", "ab")


def content_of(path: Path) -> str:
    """A digest of a file's bytes."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OtherBatch(
            f"{path} is damaged, so that nobody knows which model wrote here. Choose another folder for --out, or "
            f"delete {path.parent} to do all anew."
        )
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


@contextmanager
def _locked(path: Path, out: Path, shared: bool) -> Iterator[None]:
    # The system releases the lock when its holder dies, for whatever reason.
    with path.open("a+") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "in parts, by --shard"
            raise OtherBatch(
                f"another batch writes to {out} ({who}). Wait for its end, or choose another folder for --out."
            ) from None
        # With several holders none is named, least of all one that is gone.
        file.truncate(0)
        if not shared:
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield


__all__ = ["Entry", "Journal", "OtherBatch", "content_of"]
