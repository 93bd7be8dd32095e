"""Utterances and telephone bytes through a server: the same as without one."""

import asyncio

import numpy as np
import pytest

from streamrnn.audio.encodings import from_bytes, to_bytes
from streamrnn.runtime import Enhancer, Listener, Utterances, utterances
from streamrnn.serve import connect, connect_async


@pytest.fixture(scope="module")
def server(running, loudness, quieter):
    with running({"loudness": loudness, "quieter": quieter}) as server:
        yield server


@pytest.fixture
def sound(bursts) -> np.ndarray:
    return bursts(4.2)


def told(found):
    return [(u.label, u.start_s, u.end_s, u.goes_on, u.samples.tobytes()) for u in found]


@pytest.fixture
def expected(loudness, sound):
    found = told(utterances(loudness, sound, 16_000, longest_s=0.5))
    assert {goes_on for _, _, _, goes_on, _ in found} == {True, False}
    return found


def test_a_client_cuts_the_same_utterances(server, sound, expected):
    with connect(server.url, "loudness", encoding="f32le", levels=True) as client:
        assert told(utterances(client, sound, 16_000, longest_s=0.5)) == expected


def test_an_asynchronous_client_cuts_the_same_utterances(server, sound, expected):
    async def cut():
        async with connect_async(server.url, "loudness", encoding="f32le", levels=True) as client:
            found, pieces = Utterances(client, longest_s=0.5), []
            for start in range(0, len(sound), 1600):
                pieces += found.take(await client.feed(found.hear(sound[start : start + 1600])))
            return pieces + found.take(await client.finish())

    assert told(asyncio.run(cut())) == expected


def test_a_client_without_levels_has_no_utterances(server):
    with connect(server.url, "loudness") as client, pytest.raises(TypeError, match=r"connect\(\.\.\., levels=True\)"):
        Utterances(client)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_a_server_hears_telephone_bytes(server, loudness, sound, law):
    data = to_bytes(sound[::2].astype(np.float32) / 32768, law)
    with connect(server.url, "loudness", 8000, encoding=law) as client:
        heard = [event for start in range(0, len(data), 160) for event in client.feed(data[start : start + 160])]
        heard += client.finish()
    listener = Listener(loudness, 8000)
    assert heard == [e for e in listener.feed(from_bytes(data, law)) + listener.finish()] != []


def test_sound_comes_back_in_the_law_that_it_came_in(server, quieter, sound):
    data = to_bytes(sound.astype(np.float32) / 32768, "mulaw")
    with connect(server.url, "quieter", encoding="mulaw") as client:
        client.feed(data)
        client.finish()
        given = client.sound()
    enhancer = Enhancer(quieter)
    clean = np.concatenate([enhancer.process(from_bytes(data, "mulaw")), enhancer.flush()])
    assert to_bytes(given, "mulaw") == to_bytes(clean, "mulaw")
