"""Private training: epsilon is dp-accounting's, gradients are those of rows, what has no bound is refused."""

import json
from collections import Counter
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.layers import Dense
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.learner import Learner
from streamrnn.learning.optimizer import make_optimizer
from streamrnn.learning.privacy import ROWS, SECRET, Ledger, sampled_epsilon, seen_epsilon

pytest.importorskip("dp_accounting")

PRIVATE = TrainingSettings(
    steps=4, learning_rate=0.1, warmup_steps=0, validate_every=2, weight_decay=0.0, dp_clip=0.5, dp_noise=1.0
)


def loss(model, batch):
    return jnp.mean((model(batch["x"])[..., 0] - batch["y"]) ** 2)


def batches(start: int, stop: int):
    for step in range(start, stop):
        x = np.random.default_rng(step).standard_normal((6, 1, 3)).astype(np.float32)
        yield {"x": x, "y": x[..., 0], "names": [f"{row}.wav" for row in range(6)]}


def test_epsilon_is_that_of_dp_accounting_for_textbook_settings():
    """MNIST in TensorFlow Privacy's tutorial: batches of 256 of 60,000, noise 1.1, 60 epochs, delta 1e-5."""
    from dp_accounting import dp_event, pld, rdp

    updates = 60 * 60_000 // 256
    event = dp_event.PoissonSampledDpEvent(256 / 60_000, dp_event.GaussianDpEvent(1.1))
    accountants = [pld.PLDAccountant(), rdp.RdpAccountant()]
    for accountant in accountants:
        accountant.compose(event, updates)
    exact, loose = (accountant.get_epsilon(1e-5) for accountant in accountants)
    found = sampled_epsilon(256 / 60_000, 1.1, updates, 1e-5)
    assert found == pytest.approx(exact) and loose == pytest.approx(2.60, abs=0.01)
    assert found <= loose


def test_rows_in_any_order_are_gaussian_mechanisms_in_a_row():
    """Three updates of noise 2, one with two rows: sensitivity adds up to sqrt(1 + 1 + 4) (Balle and Wang 2018)."""
    from dp_accounting import dp_event, pld

    accountant = pld.PLDAccountant()
    accountant.compose(dp_event.GaussianDpEvent(2 / np.sqrt(6)))
    assert seen_epsilon(Counter({1: 2, 2: 1}), 2.0, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), rel=0.01)


def test_a_row_moves_the_sum_of_gradients_by_the_norm_at_most():
    def gradients(scale: float):
        learner = Learner(Dense(3, 1, rngs=nnx.Rngs(0)), loss, PRIVATE)
        batch = next(batches(0, 1))
        del batch["names"]
        batch["y"] = batch["y"] * scale
        batch = learner.share(batch)
        found = learner._gradients_of_rows(learner.weights, learner.keys, learner.rest, batch, ())[1]
        return np.concatenate([np.asarray(leaf).reshape(6, -1) for leaf in nnx.to_flat_state(found).leaves], axis=1)

    # Each is that of the row alone, so that what optax clips is a recording's.
    assert np.linalg.norm(gradients(100.0), axis=1).min() > PRIVATE.dp_clip
    assert gradients(1.0).shape == (6, 4)


def test_rows_that_were_not_drawn_change_nothing():
    learner = Learner(Dense(3, 1, rngs=nnx.Rngs(0)), loss, PRIVATE)
    batch = next(batches(0, 1))
    del batch["names"]
    drawn = np.arange(6) < 2
    other = {"x": np.where(drawn[:, None, None], batch["x"], 99).astype(np.float32), "y": batch["y"]}
    ways = [
        learner.update(learner.begin(shared), shared, 0)[0].weights
        for shared in (learner.share(each | {"drawn": drawn}) for each in (batch, other))
    ]
    for one, another in zip(*(nnx.to_flat_state(way).leaves for way in ways), strict=True):
        assert np.array_equal(one.get_value(), another.get_value())


def test_a_private_run_is_noted_goes_on_and_forgets_its_secret(tmp_path):
    def trained(folder: Path, steps: int):
        ledger = Ledger(folder, PRIVATE)
        model = Dense(3, 1, rngs=nnx.Rngs(0))

        def noted(start, stop):
            for step, batch in enumerate(ledger.noted(batches(start, stop), start), start=start):
                if step == steps:
                    raise KeyboardInterrupt
                yield batch

        fit(model, loss, noted, lambda model: 0.0, PRIVATE, folder, {}, secret=ledger.secret)
        return model, ledger

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, 2)
    assert (tmp_path / SECRET).stat().st_mode & 0o777 == 0o600
    _, ledger = trained(tmp_path, 99)
    owed = ledger.statement()
    assert owed["sampling"] == "any order" and owed["most_rows"] == 4
    assert owed["epsilon"] == pytest.approx(seen_epsilon(Counter({1: 4}), 1.0, 1e-5))
    ledger.forget()
    assert not (tmp_path / SECRET).exists()
    with pytest.raises(ValueError, match="secret is missing: it is deleted at the end of a private run"):
        Ledger(tmp_path, PRIVATE)
    # As a full disk leaves it.
    (tmp_path / SECRET).touch()
    with pytest.raises(ValueError, match="secret is damaged"):
        Ledger(tmp_path, PRIVATE)


def test_rows_that_nobody_named_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not name what their rows are of"):
        list(Ledger(tmp_path, PRIVATE).noted(iter([{"x": np.zeros((6, 1, 3))}]), 0))


def test_speakers_are_protected_with_all_their_rows(tmp_path):
    speakers = {f"{row}.wav": {"a"} if row < 2 else {f"speaker {row}"} for row in range(6)}
    ledger = Ledger(tmp_path, PRIVATE, None, speakers)
    list(ledger.noted(batches(0, 3), 0))
    assert ledger.statement()["epsilon"] == pytest.approx(seen_epsilon(Counter({2: 3}), 1.0, 1e-5))
    del speakers["5.wav"]
    with pytest.raises(ValueError, match=r"5\.wav is in a row and has no speaker"):
        list(ledger.noted(batches(0, 3), 0))


def test_all_recordings_of_a_row_are_counted_whatever_signs_their_names_hold(tmp_path):
    rows = [("a, b.wav", "c.wav"), ("a, d.wav",), ()]
    ledger = Ledger(tmp_path, PRIVATE, None, {"a, b.wav": {"ann"}, "a, d.wav": {"ann"}, "c.wav": {"cid", "dan"}})
    list(ledger.noted(iter([{"x": np.zeros((3, 1)), "names": rows}]), 0))
    assert json.loads((tmp_path / ROWS).read_text()) == [0, [["ann", "cid", "dan"], ["ann"], []]]
    assert ledger.statement()["epsilon"] == pytest.approx(seen_epsilon(Counter({2: 1}), 1.0, 1e-5))


def test_rows_without_a_recording_owe_nothing(tmp_path):
    ledger = Ledger(tmp_path, PRIVATE)
    list(ledger.noted(iter([{"x": np.zeros((2, 1)), "names": [(), ()]}]), 0))
    assert ledger.statement()["epsilon"] == 0 and ledger.statement()["most_rows"] == 0


def test_an_incomplete_line_is_noted_again_and_a_lost_one_is_said(tmp_path):
    ledger = Ledger(tmp_path, PRIVATE)
    list(ledger.noted(batches(0, 3), 0))
    whole = (tmp_path / ROWS).read_text()
    (tmp_path / ROWS).write_text(whole[:-20])
    list(ledger.noted(batches(2, 4), 2))
    assert ledger.statement()["most_rows"] == 4
    lines = (tmp_path / ROWS).read_text().splitlines(keepends=True)
    (tmp_path / ROWS).write_text("".join([*lines[:1], *lines[2:], "[4, "]))
    with pytest.raises(ValueError, match="does not tell who was in update 2, so that epsilon is not known"):
        ledger.statement()


def test_all_bits_of_a_secret_draw_the_noise():
    def noise(secret: int):
        optimizer = make_optimizer(PRIVATE, secret)
        weights = {"w": jnp.zeros(3)}
        return np.asarray(optimizer.update({"w": jnp.zeros((4, 3))}, optimizer.init(weights), weights)[0]["w"])

    once, another, a_third = (noise(secret) for secret in (5, 5 + 2**33, 5 + 2**63))
    assert not np.array_equal(once, another) and not np.array_equal(another, a_third)
    assert np.array_equal(once, noise(5))


def test_what_clipping_cannot_bound_is_refused():
    with pytest.raises(ValueError, match="cannot carry states from batch to batch"):
        Learner(Dense(3, 1, rngs=nnx.Rngs(0)), loss, PRIVATE, lambda model, batch: ())
    with pytest.raises(ValueError, match="both above 0"):
        TrainingSettings(dp_noise=1.0)
    with pytest.raises(ValueError, match="clips row by row"):
        TrainingSettings(dp_noise=1.0, dp_clip=1.0, accumulate=2)
    with pytest.raises(ValueError, match="dp_delta is 1"):
        TrainingSettings(dp_delta=1.0)
