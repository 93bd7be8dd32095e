"""Items over a network, as JSON: a query is answered word by word by a server, and the connection is lost in between.

python examples/anything/remote.py [ws://SERVER:PORT]

Without an address, the example starts a server of its own: `streamrnn serve intent`. docs/protocol.md (Items) has all
messages; a client in any language is as short.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import connect

QUERY = ["please", "transfer", "a", "hundred", "dollars", "from", "checking", "to", "savings"]


@contextmanager
def a_server() -> Iterator[str]:
    """The address of a server on this machine, at a free port."""
    command = [sys.executable, "-m", "streamrnn", "serve", "intent", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            # It says "serving at http://127.0.0.1:40123" once it does.
            yield process.stdout.readline().split()[-1].replace("http", "ws", 1)
        finally:
            process.terminate()


def ask(address: str) -> None:
    hello: dict = {"type": "hello", "version": 1, "model": "intent", "encoding": "json"}
    for until in (4, len(QUERY)):
        with connect(f"{address}/v1/stream") as socket:
            socket.send(json.dumps(hello))
            ready = json.loads(socket.recv())
            heard = ready["received_samples"]
            print(f"goes on after {heard} words" if heard else "begins")
            socket.send(json.dumps({"type": "items", "items": QUERY[heard:until]}))
            while heard < until:
                message = json.loads(socket.recv())
                if message["type"] == "answer":
                    heard = message["frame"] + 1
                    print(f"  {' '.join(QUERY[:heard]):58} {message['label'] or '...'} {message['confidence']}")
                    # The server keeps the stream for a while, and the client knows how far it has heard.
                    hello["resume"] = {"session": ready["session"], "secret": ready["secret"], "seq": message["seq"]}


if len(sys.argv) > 1:
    ask(sys.argv[1])
else:
    with a_server() as url:
        ask(url)
