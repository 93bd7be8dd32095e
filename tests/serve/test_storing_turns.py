"""Of many streams, each is stored in its turn, whatever the store and the others do."""

import asyncio
from types import SimpleNamespace

import pytest

from streamrnn.serve import storing
from streamrnn.serve.storing import Storing


class Store:
    """Keeps (session, version, what the session had heard), in the order in which they came; fails where told to."""

    def __init__(self):
        self.drawn, self.tries, self.fails = 0, 0, False
        self.kept: list[tuple[str, int, int]] = []

    def next_version(self):
        self.drawn += 1
        return self.drawn

    async def check(self):
        pass

    async def end(self):
        pass

    async def save(self, states):
        states = list(states)
        self.tries += 1
        if self.fails:
            raise storing.StoreFailed("it is down")
        self.kept += states
        return [True] * len(states)


class Engine:
    """Hands snapshots out at once, or when it is told to; none where sound waits."""

    def __init__(self):
        self.held: list | None = None
        self.busy: set = set()
        self.asked = 0

    def capture(self, streams, hearer):
        self.asked += 1
        found = {stream: SimpleNamespace() for stream in streams if stream not in self.busy}
        if self.held is None:
            hearer(found)
        else:
            self.held.append(lambda: hearer(found))


class Stream(SimpleNamespace):
    __hash__ = object.__hash__


class Session:
    """A live stream that hears a little more at every look."""

    can_be_kept, is_leaving, keeper, connection = True, False, None, None

    def __init__(self, number: int, engine: Engine):
        self.id, self.engine, self.stream = str(number), engine, Stream(rate=16_000)
        self.heard = 0

    @property
    def received_samples(self):
        self.heard += 1
        return self.heard

    def kept_as(self, snapshot, most_bytes):
        return SimpleNamespace(received_samples=self.heard)

    def confirm(self, received_samples):
        pass


@pytest.fixture
def stored(monkeypatch):
    """stored(work, sessions): runs work(storing, store) where these are stored ten times as often as else."""
    monkeypatch.setattr(storing, "sealed", lambda handover, key: handover.received_samples)
    monkeypatch.setattr(storing, "EVERY_S", 0.1)
    monkeypatch.setattr(storing, "LOOK_S", 0.005)

    def run(work, sessions):
        async def begun():
            store = Store()
            metrics = SimpleNamespace(stored=SimpleNamespace(inc=lambda: None), watch=lambda *_: None)
            kept = Storing(store, b"", metrics, refresh_s=60.0)  # pyright: ignore[reportArgumentType]
            for session in sessions:
                await kept.add(session)
            await kept.begin()
            try:
                return await asyncio.wait_for(work(kept, store), 30)
            finally:
                await kept.end()

        return asyncio.run(begun())

    return run


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_the_last_of_many_streams_is_stored_as_often_as_the_first(stored, monkeypatch):
    monkeypatch.setattr(storing, "AT_ONCE", 1)
    engine = Engine()
    sessions = [Session(number, engine) for number in range(200)]

    async def work(_kept, store):
        store.kept.clear()
        await until(lambda: len(store.kept) >= 400)
        names = [name for name, _, _ in store.kept[:400]]
        assert sorted(names[:200]) == sorted(names[200:]) == sorted(session.id for session in sessions)

    stored(work, sessions)


def test_streams_of_which_sound_waits_keep_no_others_from_being_stored(stored, monkeypatch):
    monkeypatch.setattr(storing, "AT_ONCE", 1)
    engine = Engine()
    sessions = [Session(number, engine) for number in range(10)]

    async def work(_kept, store):
        engine.busy = {session.stream for session in sessions[:8]}
        store.kept.clear()
        await until(lambda: {name for name, _, _ in store.kept} == {"8", "9"})

    stored(work, sessions)


def test_a_state_that_was_taken_first_never_counts_as_the_newer_one(stored):
    engine = Engine()
    session = Session(0, engine)

    async def work(kept, store):
        engine.held = []
        saving = asyncio.create_task(kept.save(session))
        # The second one is the look that comes once in a while.
        await until(lambda: len(engine.held) == 2)
        store.kept.clear()
        first, second = engine.held
        first()
        session.heard += 1000
        second()
        await saving
        await until(lambda: len(store.kept) == 2)
        (_, old, heard), (_, new, more) = sorted(store.kept, key=lambda state: state[2])
        assert heard < more and old < new

    stored(work, [session])


def test_a_state_that_was_stored_late_confirms_no_sound_of_the_stream_that_began_since(stored):
    session = Session(0, Engine())
    confirmed = []
    session.confirm = confirmed.append

    async def work(kept, store):
        late, save = asyncio.Event(), store.save

        async def slow(states):
            store.save = save
            await late.wait()
            return await save(states)

        session.heard, store.save = 160_000, slow
        first = asyncio.create_task(kept.save(session))
        await until(lambda: store.save is save)
        # A reset, which waits for its own state alone.
        session.heard = 0
        confirmed.clear()
        await kept.save(session)
        late.set()
        await first
        assert confirmed and max(confirmed) < 160_000

    stored(work, [session])


def test_what_is_said_for_good_is_stored_once_no_sound_waits(stored):
    engine = Engine()
    session = Session(0, engine)

    async def work(kept, store):
        engine.busy.add(session.stream)
        store.kept.clear()
        asked = engine.asked
        saving = asyncio.create_task(kept.save(session))
        await until(lambda: engine.asked > asked + 2)
        assert not saving.done() and not store.kept
        engine.busy.clear()
        await saving
        assert store.kept

    stored(work, [session])


def test_a_store_that_fails_is_not_asked_at_every_look(stored):
    session = Session(0, Engine())

    async def work(_kept, store):
        store.fails = True
        # As one who sends a file: there is much to be stored.
        session.heard = 10_000_000
        await until(lambda: store.tries > 2)
        before, looks = store.tries, 20
        await asyncio.sleep(looks * storing.LOOK_S)
        assert store.tries - before < looks / 2

    stored(work, [session])
