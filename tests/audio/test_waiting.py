import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import ArraySource, AudioError, ChunkSource, PipeSource, Source, samples_of


async def collected(source, channel=None):
    return [samples async for samples in samples_of(source, channel)]


def test_the_chunks_come_as_they_do_without_asyncio():
    stereo = np.random.default_rng(0).uniform(-1, 1, (5000, 2)).astype(np.float32)
    source = ArraySource(stereo, 16_000)
    np.testing.assert_array_equal(np.concatenate(asyncio.run(collected(source))), stereo.mean(axis=1))
    np.testing.assert_array_equal(np.concatenate(asyncio.run(collected(source, 1))), stereo[:, 1])


def test_a_task_that_is_cancelled_on_a_silent_pipe_ends_at_once():
    reader, writer = os.pipe()
    os.write(writer, bytes(3200))

    async def listen(source):
        task = asyncio.create_task(collected(source))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    with os.fdopen(reader, "rb", buffering=0) as stream:
        # Returning at all is the point: the pipe is closed only after.
        assert asyncio.run(listen(PipeSource(stream)))
        os.close(writer)
        for thread in threading.enumerate():
            if thread.name == "streamrnn source":
                thread.join(10)


def test_a_process_ends_while_a_thread_still_waits_for_standard_input():
    code = (
        "import asyncio\n"
        "from streamrnn.audio import open_source, samples_of\n"
        "async def hear():\n"
        "    async for _ in samples_of(open_source('-')): pass\n"
        "async def main():\n"
        "    try: await asyncio.wait_for(hear(), 0.2)\n"
        "    except TimeoutError: print('silent')\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdin.write(bytes(3200))
    process.stdin.flush()
    try:
        assert process.wait(30) == 0
        assert (process.stdout.read(), process.stderr.read()) == (b"silent\n", b"")
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


class Closing(Source):
    sample_rate = 16_000

    def __init__(self, chunks):
        self.chunks, self.closed = chunks, False

    def __iter__(self):
        yield from self.chunks
        raise AudioError("it broke")

    def close(self):
        self.closed = True


def test_an_error_of_the_source_arrives_and_the_source_is_closed():
    source = Closing([np.zeros(10, np.float32)])
    with pytest.raises(AudioError, match="it broke"):
        asyncio.run(collected(source))
    assert source.closed


def test_whoever_stops_early_closes_the_source_and_nothing_is_read_ahead():
    taken = []

    def chunks():
        for i in range(10):
            taken.append(i)
            yield np.zeros(10, np.float32)

    async def first():
        chunks_of = samples_of(ChunkSource(chunks(), 16_000))
        async for _ in chunks_of:
            break
        await chunks_of.aclose()

    asyncio.run(first())
    assert taken == [0]
