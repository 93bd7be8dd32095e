"""Shutdown: hands the streams of a server over to other servers, and ends its connections."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from streamrnn.serve.connection import Connection
from streamrnn.serve.handover import Handover
from streamrnn.serve.protocol import ProtocolError

logger = logging.getLogger(__name__)

# Connections that were asked to end must do so within this time.
PARTING_S = 3.0


async def send_home(connections: Collection[Connection], seal: Callable[[Handover], bytes], within_s: float) -> None:
    """Hands over all streams that have a connection, as far as time allows, and asks their connections to end.

    Args:
        connections: all of the server, which accepts no more streams.
        seal: serialises and signs a state, for clients that take it to another server.
        within_s: seconds for everything.
    """
    going = [asyncio.ensure_future(_send_home(connection, seal)) for connection in connections]
    if not going:
        return
    gone, late = await asyncio.wait(going, timeout=within_s)
    if homes := sum(task.result() for task in gone):
        logger.info("ending: streams go on where their clients come next", extra={"streams": homes})
    if late:
        told = {"streams": len(late), "shutdown_s": within_s}
        logger.warning("ending: streams could not be handed over in time", extra=told)
    for task in late:
        task.cancel()


async def part(connections: Collection[Connection]) -> None:
    """Ends all connections, and waits a little until they have ended.

    Args:
        connections: the server's own set, which shrinks as they end.
    """
    for connection in connections:
        connection.end(ProtocolError("shutting_down", "the server ends."))
    deadline = time.monotonic() + PARTING_S
    while connections and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


async def _send_home(connection: Connection, seal: Callable[[Handover], bytes]) -> bool:
    """Returns whether the connection had a stream that can continue elsewhere."""
    # A client that is being given a stream may have received it already, and does not know that it must move.
    if connection.is_asking:
        await connection.answered.wait()
    is_known = connection.is_known
    try:
        await connection.go(seal)
        # A slow line gets as long as the server has, not only as long as last messages may take.
        await connection.sent()
    except Exception as error:
        is_known = False
        logger.warning("a stream could not be handed over", extra={"reason": str(error) or type(error).__name__})
    connection.end(ProtocolError("shutting_down", "the server ends."))
    return is_known


__all__ = ["part", "send_home"]
