"""Streams stored beyond the life of a server: in Redis, or in Valkey, which is compatible.

A stream is a hash {owner, version, data}. Only its owner may change it, and only to a newer version; a server that
takes the stream over becomes its owner. So a server that was only cut off does no harm when it comes back.
"""

import itertools
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from streamrnn.packages import check_package

LEAST, BELOW = "5.0", "9"
SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")
# A store that takes longer counts as down: streams continue without it.
ANSWER_S = 2.0
PREFIX = "streamrnn:stream:"

_SAVE = """
local found = redis.call('HMGET', KEYS[1], 'owner', 'version')
if found[1] and found[1] ~= ARGV[1] then return 0 end
if found[2] and tonumber(found[2]) > tonumber(ARGV[2]) then return 1 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'version', ARGV[2], 'data', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
_CLAIM = """
local data = redis.call('HGET', KEYS[1], 'data')
if not data then return false end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'version', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return data
"""
_FORGET = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class StoreFailed(OSError):
    """The store is down, slow, full, or not a store."""


class Store:
    """Stored streams in Redis, by session.

    Args:
        url: such as redis://127.0.0.1:6379/0; rediss for TLS, unix:///path for a socket.
        keep_s: a stream that is neither saved nor claimed for this long expires.

    Raises:
        ImportError: the package redis is missing, or has another version.
        ValueError: the URL is not that of a store.
    """

    def __init__(self, url: str, keep_s: float):
        scheme = urlsplit(url).scheme
        if scheme not in SCHEMES:
            raise ValueError(f"the store is {url!r}; it needs an address such as redis://127.0.0.1:6379.")
        check_package("redis", "store", LEAST, BELOW)
        import redis.asyncio
        import redis.exceptions

        self.where, self._keep_ms, self._owner = _without_password(url), int(1000 * keep_s), secrets.token_hex(8)
        self._errors = (redis.exceptions.RedisError, OSError, ValueError)
        address = scheme.replace("valkey", "redis") + url[len(scheme) :]
        self._redis: Any = redis.asyncio.from_url(address, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S)
        self._save, self._claim, self._forget = map(self._redis.register_script, (_SAVE, _CLAIM, _FORGET))
        self._versions = itertools.count(1)

    def next_version(self) -> int:
        """A version that is higher than all before."""
        return next(self._versions)

    async def check(self) -> None:
        """Stores something for a moment. Raises StoreFailed, with advice, if there is no store, it is full, or it
        refuses writes from this server."""
        import redis.exceptions

        probe = f"{PREFIX}probe:{self._owner}"
        try:
            await self._save(keys=[probe], args=[self._owner, 0, b"", self._keep_ms])
            await self._forget(keys=[probe], args=[self._owner])
        except (redis.exceptions.ResponseError, redis.exceptions.AuthenticationError) as error:
            raise StoreFailed(
                f"the store at {self.where} keeps nothing for this server ({_said(error)}). Is its memory full, does "
                "it allow no writing or no scripts, or has it a password? Then write redis://:PASSWORD@HOST:PORT."
            ) from error
        except self._errors as error:
            raise StoreFailed(
                f"there is no store at {self.where} ({_said(error)}). Start redis-server or valkey-server there, or "
                "leave --store out."
            ) from error

    async def save(self, states: Iterable[tuple[str, int, bytes]]) -> list[bool]:
        """Saves states, (session, version, bytes) each. False for streams that another server has taken over.

        Raises:
            StoreFailed: it is unknown which were saved.
        """
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for session, version, data in states:
                    arguments = [self._owner, version, data, self._keep_ms]
                    await self._save(keys=[PREFIX + session], args=arguments, client=pipe)
                return [bool(answer) for answer in await pipe.execute()]
        except self._errors as error:
            raise StoreFailed(f"the store at {self.where} fails ({_said(error)}).") from error

    async def read(self, session: str) -> bytes | None:
        """The stored state of a stream. Raises StoreFailed."""
        return await self._asked(self._redis.hget(PREFIX + session, "data"))

    async def claim(self, session: str) -> bytes | None:
        """Like `read`, and makes this server the owner. Raises StoreFailed."""
        return await self._asked(self._claim(keys=[PREFIX + session], args=[self._owner, self._keep_ms]))

    async def is_elsewhere(self, session: str) -> bool:
        """Whether another server has taken the stream over. Raises StoreFailed."""
        owner = await self._asked(self._redis.hget(PREFIX + session, "owner"))
        return owner is not None and owner.decode() != self._owner

    async def forget(self, session: str) -> None:
        """Deletes a stream if this server owns it. Raises StoreFailed."""
        await self._asked(self._forget(keys=[PREFIX + session], args=[self._owner]))

    async def end(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()

    async def _asked(self, question: Any) -> Any:
        try:
            return await question
        except self._errors as error:
            raise StoreFailed(f"the store at {self.where} fails ({_said(error)}).") from error


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


__all__ = ["Store", "StoreFailed"]
