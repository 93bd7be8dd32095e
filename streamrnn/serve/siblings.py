"""The workers of one server on one machine: streams move between them, and metrics are reported together.

Each worker listens on a socket in a folder that only this user can access. A request is a line of JSON; the response is
a line with the length, and then that many bytes.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Answer = Callable[[dict[str, Any]], Awaitable[bytes]]

# A sibling that does not answer within this time counts as gone: it may be compiling, or killed.
ANSWER_S = 10.0


class Siblings:
    """This worker's link to the others.

    Args:
        folder: holds the sockets of all workers.
        index: this one's number, from 0.
        count: number of workers.
    """

    def __init__(self, folder: Path, index: int, count: int):
        self.folder, self.index, self.count = folder, index, count
        self._answers: Mapping[str, Answer] = {}
        self._listening: asyncio.Server | None = None

    async def begin(self, answers: Mapping[str, Answer]) -> None:
        """Starts answering the others, by the kind of request."""
        self._answers = answers
        path = self._path(self.index)
        # Left behind by a killed worker of this number.
        path.unlink(missing_ok=True)
        self._listening = await asyncio.start_unix_server(self._answer, path)

    async def end(self) -> None:
        """Stops answering."""
        if self._listening is not None:
            self._listening.close()
            self._path(self.index).unlink(missing_ok=True)

    async def ask_all(self, kind: str, **fields: Any) -> list[tuple[int, bytes]]:
        """The answers of all other workers, with their numbers; workers that do not answer are left out."""
        others = [index for index in range(self.count) if index != self.index]
        found = await asyncio.gather(*(self.ask(index, kind, **fields) for index in others))
        return [(index, answer) for index, answer in zip(others, found, strict=True) if answer is not None]

    async def ask(self, index: int, kind: str, **fields: Any) -> bytes | None:
        """Another worker's answer; None if there is none."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._path(index))
                try:
                    writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")
                    return await reader.readexactly(int(await reader.readline()))
                finally:
                    writer.close()
        # It is shutting down, was killed, or has not started.
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, KeyError):
            question = json.loads(await reader.readline())
            answer = await self._answers[question.pop("kind")](question)
            writer.write(f"{len(answer)}\n".encode() + answer)
            await writer.drain()
        writer.close()

    def _path(self, index: int) -> Path:
        return self.folder / f"{index}.sock"


def merged(texts: Mapping[int, str]) -> str:
    """Merges the Prometheus texts of several workers: each sample gets the label `worker`."""
    about: dict[str, list[str]] = {}
    figures: dict[str, list[str]] = {}
    for worker, text in texts.items():
        name = ""
        for line in text.splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                lines = about.setdefault(name, [])
                if line not in lines:
                    lines.append(line)
            elif line:
                figures.setdefault(name, []).append(_labelled(line, worker))
    return "".join(f"{line}\n" for name in about for line in (*about[name], *figures.get(name, [])))


def _labelled(line: str, worker: int) -> str:
    name, brace, rest = line.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'


__all__ = ["Siblings", "merged"]
