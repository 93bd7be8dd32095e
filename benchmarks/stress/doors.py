"""Those who try the doors: requests without a token or out of the folder of the page, guessed streams, and hellos."""

import asyncio
import json
import random
import string
from urllib.parse import quote

from benchmarks.stress.report import Part
from benchmarks.stress.servers import TOKEN, Served
from benchmarks.stress.talking import Talk
from streamrnn.serve.protocol import Hello, ProtocolError, parse_command

_PATHS = (
    "/v1/models",
    "/metrics",
    "/v1/recordings",
    "/v1/recordings?model=vad",
    "/V1/models",
    "/v1//models",
    "/v1/models/",
)
_SECRET = b"def make_app"
_UPWARD = ("..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "....//", "..;", "%c0%ae%c0%ae", "..%00", "/..", "\\..")
_FILES = ("app.py", "../app.py", "server.py", "../../../../../../etc/passwd", "etc/passwd", "access.py")
_TOKENS = (None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f" {TOKEN[1:]}", "Bearer", "null", "é" * 30)


def try_requests(server: Served, part: Part) -> None:
    """Every path with every wrong token, and every way up out of the page's folder."""
    for path in _PATHS:
        for token in _TOKENS:
            if token is not None and not token.isascii():
                continue
            status, body = server.ask(path, token)
            part.count("requests with a wrong token")
            part.require(status in (401, 404, 405) and b"latency" not in body, f"{path} with {token!r}: {status}")
    for upward in _UPWARD:
        for times in (1, 3, 8):
            for file in _FILES:
                for kind in (f"/{(upward + '/') * times}{file}", f"/page/{(upward + '/') * times}{file}"):
                    status, body = server.ask(quote(kind, safe="/%;\\"), None)
                    part.count("requests for files elsewhere")
                    leaks = _SECRET in body or b"root:" in body or b"import " in body
                    part.require(status in (400, 401, 404, 405) and not leaks, f"{kind}: {status}")
    for path in ("/", "/healthz"):
        part.require(server.ask(path, None)[0] == 200, f"{path} is not to be had")


async def try_resumes(server: Served, part: Part, times: int, seed: int) -> None:
    """Streams of others, guessed by those who know the session, half of the secret, or a number that was never said."""
    victim = Talk(server)
    await victim.open()
    await victim.say(bytes(3200))
    rng = random.Random(seed)

    async def guess() -> None:
        for _ in range(times // 16):
            session, secret, seq = victim.ready["session"], victim.ready["secret"], 0
            match rng.randrange(6):
                case 0:
                    secret = _letters(rng, 32)
                case 1:
                    secret = secret[:31] + rng.choice("ghij")
                case 2:
                    session = _letters(rng, 16)
                case 3:
                    seq = rng.choice((-1, 7, 2**31, 2**63, -(2**70)))
                case 4:
                    secret = rng.choice(("", secret.upper() + "x", "é" * 32, secret + "\0"))
                case 5:
                    secret, session = session, secret
            stranger = Talk(server)
            answer = await stranger.open({"session": session, "secret": secret, "seq": seq})
            part.count("forged resumes")
            part.require(answer.get("code") == "resume_failed", f"{session} {secret} {seq}: {answer}")
            stranger.drop()

    await asyncio.gather(*(guess() for _ in range(16)))
    await victim.say('{"type": "close"}')
    await victim.until("closed")
    part.require(victim.ready["type"] == "ready", "the victim lost its stream")


def try_hellos(part: Part, times: int, seed: int) -> None:
    """Hellos and commands of all shapes, read as the server reads them: refused by a ProtocolError, or understood."""
    rng = random.Random(seed)
    whole = json.dumps(
        {
            "type": "hello",
            "version": 1,
            "model": "vad",
            "sample_rate": 16000,
            "settings": {"threshold": 0.5},
            "levels": True,
        }
        | {"resume": {"session": "a", "secret": "b", "seq": 0}, "token": "t", "channels": 1, "encoding": "s16le"}
    )
    values = (
        "null",
        "true",
        "-1",
        "1e400",
        "0.5",
        '""',
        "[]",
        "{}",
        '"\\ud800"',
        "9" * 400,
        "NaN",
        "[[[[]]]]",
        "-0",
        '"hello"',
    )
    for _ in range(times):
        text = whole
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            match rng.randrange(5):
                case 0:
                    text = text[:at] + rng.choice(string.printable) + text[at + 1 :]
                case 1:
                    text = text[:at] + text[at + rng.randrange(1, 9) :]
                case 2:
                    text = text[:at] + rng.choice(values) + text[at:]
                case 3:
                    before, colon, after = text.partition(": ") if at % 2 else text.rpartition(": ")
                    text = (
                        before + colon + rng.choice(values) + after[after.find(",") if "," in after else len(after) :]
                    )
                case 4:
                    text = text[:at] * 2
            if not text:
                text = "{"
        for read in (Hello.parse, parse_command):
            part.count("hellos and commands")
            try:
                read(text)
            except ProtocolError:
                continue
            except Exception as error:
                part.fail(f"{error!r} of {text!r}")


def _letters(rng: random.Random, length: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(length))


__all__ = ["try_hellos", "try_requests", "try_resumes"]
