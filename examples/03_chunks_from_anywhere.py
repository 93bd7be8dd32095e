"""Sound from anywhere: two telephone calls at once, one of which moves to another listener in the middle of a sentence.

python examples/03_chunks_from_anywhere.py

A Listener does not care who brings the sound: feed it whatever arrives, in pieces of any size. Here it is what
telephony sends, 20 ms of 16 bit samples at 8 kHz. All that a Listener remembers is in its snapshot, so a call can move
to another process or machine, and the events do not show it.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from streamrnn import Event, Listener, Model, Snapshot, load
from streamrnn.audio import read_audio

SAMPLES = Path(__file__).parents[1] / "audio_samples"
SAMPLE_RATE = 8_000
PACKET_BYTES = 320


async def packets(recording: str) -> AsyncIterator[bytes]:
    """Stands for a WebSocket or a telephone exchange: `async for packet in websocket` looks the same."""
    sound, _ = read_audio(SAMPLES / recording, SAMPLE_RATE)
    pcm = (32767 * sound).astype("<i2").tobytes()
    for start in range(0, len(pcm), PACKET_BYTES):
        await asyncio.sleep(0)  # the other call's turn
        yield pcm[start : start + PACKET_BYTES]


async def hear(caller: str, model: Model, recording: str, move_at_s: float = float("inf")) -> list[Event]:
    """The events of one call. At `move_at_s` another listener takes over."""
    listener, events = Listener(model, SAMPLE_RATE), []
    async for packet in packets(recording):
        for event in listener.feed(packet):
            print(f"{caller:5}  {event.decided_s:5.2f} s  {event.kind}")
            events.append(event)
        if listener.stream.duration_s >= move_at_s:
            luggage, move_at_s = listener.snapshot().to_bytes(), float("inf")
            listener = Listener(model, SAMPLE_RATE)
            listener.restore(Snapshot.from_bytes(luggage))
            print(f"{caller:5}  {listener.stream.duration_s:5.2f} s  moved, with {len(luggage)} bytes of luggage")
    return events + listener.finish()


async def main() -> None:
    model = load("vad")
    alice = hear("Alice", model, "telephone_8k.wav", move_at_s=1.5)
    bob = hear("Bob", model, "conversation.flac")
    moved, _ = await asyncio.gather(alice, bob)
    stayed = await hear("again", model, "telephone_8k.wav")
    print("The same events with and without the move:", moved == stayed)


if __name__ == "__main__":
    asyncio.run(main())
