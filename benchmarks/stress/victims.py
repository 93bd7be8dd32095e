"""A live stream whose owner looks at the clock: what others cost it."""

import asyncio
import json
import time

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.stress.servers import TOKEN, Served

CHUNK_S, RATE = 0.02, 16_000


class Victim:
    """One stream that sends sound in real time, and notes when the levels of each moment come back.

    Attributes:
        latencies_ms: from sending the message that completes a frame to the arrival of its level.
        problem: how it was ended, if it was.
    """

    def __init__(self, server: Served):
        self.latencies_ms: list[float] = []
        self.problem: str | None = None
        self._server = server
        self._sent_at: list[float] = []

    async def live(self, seconds: float) -> None:
        """Speaks for so long; latencies are complete afterwards."""
        url = self._server.url.replace("http", "ws") + "/v1/stream"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            async with connect(url, additional_headers=headers, compression=None, proxy=None) as socket:
                await socket.send(json.dumps({"type": "hello", "version": 1, "sample_rate": RATE, "levels": True}))
                ready = json.loads(await socket.recv())
                listening = asyncio.create_task(self._listen(socket, ready["latency_ms"] / 1000))
                await self._speak(socket, seconds)
                await asyncio.wait_for(listening, 60)
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"

    async def _speak(self, socket, seconds: float) -> None:
        noise = np.random.default_rng(0).normal(0, 300, round(CHUNK_S * RATE)).astype("<i2").tobytes()
        begun = time.monotonic()
        for number in range(round(seconds / CHUNK_S)):
            await asyncio.sleep(max(0.0, begun + number * CHUNK_S - time.monotonic()))
            self._sent_at.append(time.monotonic())
            await socket.send(noise)
        await socket.send('{"type": "close"}')

    async def _listen(self, socket, latency_s: float) -> None:
        async for message in socket:
            now, fields = time.monotonic(), json.loads(message)
            if fields["type"] == "error":
                self.problem = fields["message"]
            if fields["type"] != "levels":
                continue
            heard_s = fields["start_s"] + len(fields["values"]) * fields["frame_s"] + latency_s - fields["frame_s"]
            chunk = int(heard_s / CHUNK_S)
            if chunk < len(self._sent_at):
                self.latencies_ms.append(1000 * (now - self._sent_at[chunk]))


def percentiles(latencies_ms: list[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and worst."""
    if not latencies_ms:
        return float("inf"), float("inf"), float("inf")
    median, late, worst = (round(float(x), 1) for x in np.percentile(latencies_ms, [50, 99, 100]))
    return median, late, worst


__all__ = ["Victim", "percentiles"]
