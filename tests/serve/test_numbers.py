"""A model that gives numbers, served: they come over the wire as a Stream gives them."""

import asyncio
import io

import httpx
import numpy as np
import pytest
import soundfile
from flax import nnx

import streamrnn
from streamrnn.layers import Chain, Delay, Dense
from streamrnn.runtime import run_file
from streamrnn.serve import ServerRefused, connect, connect_async


@pytest.fixture(scope="module")
def model():
    """Three numbers per frame, two frames late."""
    layer = Chain(Dense(160, 3, rngs=nnx.Rngs(0)), Delay(2, 3))
    return streamrnn.Model.of(layer, sample_rate=16_000, hop_samples=160)


@pytest.fixture(scope="module")
def server(running, model):
    with running({"numbers": model}, resume_s=20.0) as server:
        yield server


@pytest.fixture
def sound(bursts):
    return bursts(1.0)


@pytest.fixture
def expected(model, sound):
    stream = streamrnn.Stream(model)
    return np.concatenate([stream.process(sound), stream.flush()])


def test_the_catalogue_says_what_it_gives(server):
    with httpx.Client(trust_env=False) as client:
        (told,) = client.get(f"{server.url}/v1/models").json()["models"]
    assert {"gives": "numbers", "kinds": [], "labels": [], "settings": {}, "out_features": 3}.items() <= told.items()


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
def test_a_client_gets_the_numbers_of_a_stream(server, sound, expected, encoding):
    found = []
    with connect(server.url, "numbers", 16_000, encoding=encoding) as client:
        for chunk in np.array_split(sound, 7):
            assert client.feed(chunk) == []
            found.append(client.outputs())
        assert client.finish() == []
        found.append(client.outputs())
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)


def test_an_asynchronous_client_gets_them_too(server, sound, expected):
    async def heard():
        async with connect_async(server.url, "numbers", 16_000) as client:
            await client.feed(sound)
            await client.finish()
            return client.outputs()

    np.testing.assert_allclose(asyncio.run(heard()), expected, rtol=0, atol=1e-5)


def test_a_recording_comes_back_as_numbers(server, model, sound):
    body = io.BytesIO()
    soundfile.write(body, sound, 16_000, format="WAV")
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(f"{server.url}/v1/recordings", content=body.getvalue()).json()
    assert (answer["duration_s"], answer["frame_s"]) == (1.0, 0.01)
    np.testing.assert_allclose(answer["outputs"], run_file(model, sound, 16_000), rtol=0, atol=2e-6)


def test_numbers_have_no_settings(server):
    with pytest.raises(ServerRefused, match="there is no setting 'threshold'"):
        connect(server.url, "numbers", 16_000, threshold=0.5)
