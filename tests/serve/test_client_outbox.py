"""Sound on its way to a server."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.serve.client_outbox import Outbox


def pcm(samples: int) -> bytes:
    return np.arange(samples).astype("<i2").tobytes()


@given(before=st.integers(1, 2000), confirmed=st.integers(0, 2000), after=st.integers(0, 500))
def test_the_outbox_gives_again_what_was_not_confirmed(before: int, confirmed: int, after: int):
    outbox, sound = Outbox(2), pcm(before + after)
    for start in range(0, 2 * before, 600):
        outbox.append(sound[start : min(start + 600, 2 * before)])
    while outbox.take():
        pass
    confirmed = min(confirmed, before)
    assert outbox.rewind(confirmed)
    outbox.append(sound[2 * before :])
    assert outbox.held_bytes == len(sound) - 2 * confirmed
    assert b"".join(iter(outbox.take, None)) == sound[2 * confirmed :]
    assert (outbox.begin_samples, outbox.sent_samples, outbox.end_samples) == (
        confirmed,
        before + after,
        before + after,
    )


def test_what_is_dropped_is_not_sent_and_counts_as_confirmed():
    outbox = Outbox(2)
    outbox.append(pcm(30))
    outbox.drop()
    assert outbox.take() is None
    assert (outbox.begin_samples, outbox.held_bytes) == (30, 0)


def test_what_was_let_go_cannot_be_had_again():
    outbox = Outbox(2)
    outbox.append(pcm(30))
    assert outbox.confirm(20) and not outbox.confirm(20)
    assert not outbox.rewind(10)
