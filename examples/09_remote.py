"""A model on another machine: a microphone here, the model there, and events as soon as they are decided.

python examples/09_remote.py [ws://SERVER:PORT]

Without an address, the example starts a server of its own: `streamrnn serve vad`. The client needs neither JAX nor the
model. One task sends sound as it is recorded, another one takes the events; if the connection is lost, both wait while
the client finds back to its stream, and nothing is heard or said twice.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamrnn.audio import FileSource
from streamrnn.serve import connect_async

RECORDING = Path(__file__).parents[1] / "audio_samples" / "telephone_8k.wav"


@contextmanager
def a_server() -> Iterator[str]:
    """The address of a server on this machine, at a free port."""
    command = [sys.executable, "-m", "streamrnn", "serve", "vad", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            # It says "serving at http://127.0.0.1:40123" once it does.
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


async def hear(url: str) -> None:
    # realtime: the file comes like sound from a microphone, 100 ms at a time.
    with FileSource(RECORDING, realtime=True) as source:
        async with connect_async(url, "vad", source.sample_rate, min_silence_ms=200) as listener:

            async def send() -> None:
                chunks = iter(source)
                while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                    await listener.feed(chunk)
                await listener.finish()

            sending = asyncio.create_task(send())
            async for event in listener:
                print(f"{event.decided_s:6.2f} s  {event.kind}")
            await sending
            latency = listener.latency
    print(f"Latency: {latency.algorithmic_ms:.0f} ms by design, {latency.answer_p50_ms:.0f} ms by network and server.")


if len(sys.argv) > 1:
    asyncio.run(hear(sys.argv[1]))
else:
    with a_server() as address:
        asyncio.run(hear(address))
