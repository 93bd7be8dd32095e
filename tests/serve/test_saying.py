"""What a stream says comes in order, also where some of it is stored before it is said."""

import asyncio
import json

import pytest

from streamrnn.serve.buffered import Buffered
from streamrnn.serve.said import Said
from streamrnn.serve.saying import Saying

MOST = 1 << 20


class Hearer:
    """A connection that notes what it hears."""

    def __init__(self):
        self.heard: list[str] = []

    def send(self, payload):
        self.heard.append(payload)

    def end(self, error):
        raise AssertionError(error)


class Slow:
    """A store that answers when it is told to."""

    def __init__(self):
        self.asked: list[asyncio.Future] = []

    async def save(self):
        self.asked.append(asyncio.get_running_loop().create_future())
        await self.asked[-1]


def numbers(payloads) -> list[int]:
    return [json.loads(payload)["seq"] for payload in payloads]


def test_what_is_said_while_something_is_stored_comes_after_it():
    async def work():
        store, hearer = Slow(), Hearer()
        saying = Saying(Said(MOST, Buffered(MOST)), store.save)
        saying.attach(hearer, 0)
        saying.say("event")
        first = asyncio.create_task(saying.say_for_good(("event", {}), ("event", {})))
        await asyncio.sleep(0)
        saying.say("event")
        second = asyncio.create_task(saying.say_for_good(("flushed", {})))
        await asyncio.sleep(0)
        saying.say("event")
        assert numbers(hearer.heard) == [1]
        store.asked[0].set_result(None)
        await first
        assert numbers(hearer.heard) == [1, 2, 3, 4]
        store.asked[1].set_result(None)
        await second
        await saying.settled()
        assert numbers(hearer.heard) == [1, 2, 3, 4, 5, 6]

    asyncio.run(work())


def test_who_comes_back_while_something_is_stored_hears_each_message_once():
    async def work():
        store, hearer = Slow(), Hearer()
        saying = Saying(Said(MOST, Buffered(MOST)), store.save)
        saying.say("event")
        saying.say("event")
        storing = asyncio.create_task(saying.say_for_good(("event", {})))
        await asyncio.sleep(0)
        saying.say("event")
        missed = saying.attach(hearer, 1)
        store.asked[0].set_result(None)
        await storing
        assert numbers(missed) == [2] and numbers(hearer.heard) == [3, 4]

    asyncio.run(work())


def test_a_store_that_breaks_holds_nothing_back():
    async def work():
        async def broken():
            raise OSError

        hearer = Hearer()
        saying = Saying(Said(MOST, Buffered(MOST)), broken)
        saying.attach(hearer, 0)
        with pytest.raises(OSError):
            await saying.say_for_good(("event", {}))
        saying.say("event")
        assert numbers(hearer.heard) == [1, 2]

    asyncio.run(work())
