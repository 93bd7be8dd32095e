"""Bytes that are almost right: of connections, and of recordings."""

import asyncio
import io
import random
import wave
from contextlib import suppress

import numpy as np
import soundfile

from benchmarks.stress.floods import UPGRADE, frame
from benchmarks.stress.report import Part
from benchmarks.stress.servers import TOKEN, Served

AT_ONCE, ANSWER_S, FIRST_ANSWER_S = 24, 30.0, 120.0
_HELLO = b'{"type": "hello", "version": 1, "token": "%s"}' % TOKEN.encode()
_BEGINNINGS = (
    UPGRADE + frame(0x81, _HELLO[:100]) + frame(0x82, bytes(100)) + frame(0x81, b'{"type": "close"}'),
    UPGRADE
    + frame(0x01, _HELLO[:40])
    + frame(0x80, _HELLO[40:])
    + frame(0x82, bytes(64)) * 3
    + frame(0x88, b"\x03\xe8"),
    UPGRADE + frame(0x89, b"ping") + frame(0x81, _HELLO) + frame(0x81, b'{"type": "flush"}'),
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2,
    b"POST /v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nRIFF0\r\n0\r\n\r\n",
    b"POST /v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\nRIFF",
)
_TYPES = {"form": "multipart/form-data; boundary=x"}
_FORMATS = (
    *((kind, "PCM_16") for kind in ("WAV", "FLAC", "AIFF", "AU", "CAF", "RF64", "W64")),
    *(("WAV", subtype) for subtype in ("FLOAT", "IMA_ADPCM", "GSM610")),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
)


async def try_connections(server: Served, part: Part, times: int, seed: int) -> None:
    """Requests and frames with bytes changed, left out, repeated, and cut into pieces; the server must stay."""
    rng, left = random.Random(seed), times

    async def come() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            part.count("fuzzed connections")
            data = _mutated(rng.choice(_BEGINNINGS), rng)
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError as error:
                part.fail(f"no connection: {error}")
                continue
            with suppress(OSError, TimeoutError):
                cut = rng.randrange(len(data) + 1)
                writer.write(data[:cut])
                if rng.random() < 0.3:
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(data[cut:])
                if rng.random() < 0.5:
                    writer.write_eof()
                await asyncio.wait_for(reader.read(4096), 0.05)
            writer.transport.abort()

    await asyncio.gather(*(come() for _ in range(AT_ONCE)))
    part.require(server.is_alive, "the server is dead")
    part.require(server.ask("/healthz", None)[0] == 200, "the server is not well")


async def try_recordings(server: Served, part: Part, times: int, seed: int) -> None:
    """Recordings of every format with bytes changed: answered, or refused as bad; nothing else."""
    rng, left = random.Random(seed), times
    whole = _recordings()
    for model in ("vad", "denoise"):
        for kind, body in whole.items():
            # The first ones compile.
            status = await asyncio.wait_for(_posted(server, model, kind, body), FIRST_ANSWER_S)
            part.require(status == 200, f"{kind}: status {status}, unchanged")

    async def send() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            kind = rng.choice(list(whole))
            body = whole[kind] if rng.random() < 0.02 else _mutated(whole[kind], rng, most=6)
            part.count("mutated recordings")
            try:
                status = await asyncio.wait_for(_posted(server, rng.choice(("vad", "denoise")), kind, body), ANSWER_S)
            except (OSError, TimeoutError, ValueError, IndexError) as error:
                part.fail(f"{kind}: {error!r}")
                continue
            part.require(status in (200, 400, 413), f"{kind}: status {status}")
            part.count(f"of them answered with {status}")

    await asyncio.gather(*(send() for _ in range(4)))
    part.require(server.is_alive, "the server is dead")


async def _posted(server: Served, model: str, kind: str, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = (
        f"POST /v1/recordings?model={model} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: {_TYPES.get(kind, 'audio/wav')}\r\nConnection: close\r\n\r\n"
    )
    try:
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.transport.abort()
    return int(answer.split(b" ", 2)[1])


def _recordings() -> dict[str, bytes]:
    """A tenth of a second in each format."""
    sound = (np.random.default_rng(0).normal(0, 0.1, 1600)).astype(np.float32)
    found = {}
    for kind, subtype in _FORMATS:
        file = io.BytesIO()
        soundfile.write(file, sound, 16_000 if subtype != "GSM610" else 8000, format=kind, subtype=subtype)
        found[f"{kind} {subtype}"] = file.getvalue()
    stereo = io.BytesIO()
    with wave.open(stereo, "wb") as written:
        written.setparams((2, 2, 44_100, 0, "NONE", ""))
        written.writeframes(bytes(8000))
    found["stereo"] = stereo.getvalue()
    found["form"] = b'--x\r\nContent-Disposition: form-data; name="f"; filename="r.wav"\r\n\r\n' + found["WAV PCM_16"]
    return found


def _mutated(data: bytes, rng: random.Random, most: int = 8) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, most + 1)):
        if not changed:
            break
        # Headers decide more than what follows.
        at = rng.randrange(min(len(changed), 64 if rng.random() < 0.6 else len(changed)))
        match rng.randrange(6):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.randrange(1, 32)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 64)]
            case 4:
                changed[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
            case 5:
                del changed[at + rng.randrange(len(changed)) :]
    return bytes(changed)


__all__ = ["try_connections", "try_recordings"]
