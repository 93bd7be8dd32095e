"""Whether recurrent networks give more of their training data away than others: membership at equal accuracy.

Yang, Gohari and Topcu ("On the privacy risks of deploying recurrent neural networks in machine learning models", PoPETs
2023) found that they do. Leakage follows overfitting, so cores are compared where they are as accurate on what they
never heard.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from flax import nnx
from rich.console import Console
from rich.table import Table

from streamrnn.audit.columns import alike
from streamrnn.audit.membership import attack, attack_speakers
from streamrnn.audit.speakers import speaker_numbers
from streamrnn.audit.telling import clips_of
from streamrnn.contract import aligned
from streamrnn.data import Clip
from streamrnn.layers import Chain
from streamrnn.learning.privacy import sampled_epsilon
from streamrnn.losses import max_pooling_loss
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.models.cores import matched

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SETTINGS = KeywordsSettings(words=WORDS, channels=(32, 40), hidden=64, dropout=0.0)
SECONDS, BATCH, LEARNING_RATE = 1.0, 64, 2e-3
CLIP, DELTA = 1.0, 1e-5


def compare_leakage(
    data: Path, cores: Sequence[str], epochs: int, noises: Sequence[float] = (), seed: int = 0
) -> dict[str, Any]:
    """Trains a model per core, without augmentation, and attacks it after every epoch; the first core also privately.

    Args:
        data: a folder of clips of WORDS, with splits.
        cores: names in CORES.
        epochs: passes over the members.
        noises: of private trainings, as a multiple of the norm CLIP to which each clip's gradient is clipped.
        seed: of weights and batches.

    Returns:
        members, others (clips of each, of as many speakers and sources on both sides), and rows: core, parameters,
        epoch, accuracy (of members and others), clip and speaker: AUC of the attack by loss with its interval; with
        noise also epsilon, per clip at delta 1e-5, so far.
    """
    sides = alike([clips_of([data], splits) for splits in (["train"], ["valid", "test"])], [data])
    kept = [[clip for clip in side if clip.label in WORDS] for side in sides]
    rows = [row for core in cores for row in _trained(core, kept, epochs, seed)]
    rows += [row for noise in noises for row in _trained(cores[0], kept, epochs, seed, noise)]
    return {"members": len(kept[0]), "others": len(kept[1]), "rows": rows}


def at_equal_accuracy(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The AUC of each core at the highest accuracy that all cores reach on others, between epochs by interpolation."""
    by_core: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_core.setdefault(row["core"], []).append(row)
    reached = min(max(row["others"] for row in of) for of in by_core.values())
    found = {}
    for core, of in by_core.items():
        after = next(i for i, row in enumerate(of) if row["others"] >= reached)
        pair = of[max(after - 1, 0) : after + 1]
        accuracies = [row["others"] for row in pair]
        areas = {by: [row[by]["auc"] for row in pair] for by in ("clip", "speaker")}
        found[core] = {by: float(np.interp(reached, accuracies, of_pair)) for by, of_pair in areas.items()}
    return {"accuracy": reached, "auc": found}


def _trained(
    core: str, sides: Sequence[list[Clip]], epochs: int, seed: int, noise: float = 0.0
) -> list[dict[str, Any]]:
    settings = matched(Keywords, SETTINGS, core) if core != SETTINGS.core else SETTINGS
    model = Keywords(settings, rngs=nnx.Rngs(seed))
    model.eval()
    front_end, *rest = model.network.layers  # pyright: ignore[reportAttributeAccessIssue]
    network, smoothing = Chain(*rest), model.decision.smoothing_frames(model.frame_s)
    read = [_features(front_end, side, settings) for side in sides]
    x, y = (np.concatenate(parts) for parts in zip(*read, strict=True))
    members = np.arange(len(y)) < len(sides[0])
    speakers = speaker_numbers([clip.speaker for side in sides for clip in side])
    graph, weights, constant = nnx.split(network, nnx.Param, ...)
    private = (optax.contrib.differentially_private_aggregate(CLIP, noise, seed),) if noise else ()
    optimizer = optax.chain(*private, optax.adam(LEARNING_RATE))

    def losses(weights: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = aligned(nnx.merge(graph, weights, constant), x)
        posteriors = jax.nn.softmax(logits)
        window = jnp.cumsum(jnp.pad(posteriors, ((0, 0), (smoothing, 0), (0, 0))), axis=1)
        scores = ((window[:, smoothing:] - window[:, :-smoothing]) / smoothing)[..., 2:].max(axis=1)
        p = scores / scores.sum(axis=-1, keepdims=True)
        return -jnp.log(jnp.take_along_axis(p, y[:, None] - 2, axis=1)[:, 0] + 1e-9), scores.argmax(axis=-1) == y - 2

    @jax.jit
    def update(weights: Any, state: Any, x: jax.Array, y: jax.Array, drawn: jax.Array) -> tuple[Any, Any]:
        def loss(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
            logits = aligned(nnx.merge(graph, weights, constant), x)
            return max_pooling_loss(logits, y, jnp.ones(logits.shape[:2]), smoothing).value

        if noise:
            of_rows = jax.vmap(jax.grad(loss), (None, 0, 0))(weights, x[:, None], y[:, None])
            gradients = jax.tree.map(lambda leaf: leaf * drawn.reshape(-1, *[1] * (leaf.ndim - 1)), of_rows)
        else:
            gradients = jax.grad(loss)(weights, x, y)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(weights, updates), state

    judged, rng, rows = jax.jit(losses), np.random.default_rng(seed), []
    state, inside = optimizer.init(weights), np.flatnonzero(members)
    for epoch in range(1, epochs + 1):
        for batch, drawn in _batches(rng, inside, bool(noise)):
            weights, state = update(weights, state, x[batch], y[batch], drawn)
        told = [judged(weights, x[i : i + 256], y[i : i + 256]) for i in range(0, len(y), 256)]
        loss, right = (np.concatenate([np.asarray(part[k]) for part in told]) for k in (0, 1))
        found = {"clip": attack(-loss, members, speakers), "speaker": attack_speakers(-loss, members, speakers)}
        rows.append(
            {
                "core": f"{core}, noise {noise:g}" if noise else core,
                "parameters": sum(leaf.size for leaf in jax.tree.leaves(weights)),
                "epoch": epoch,
                "members": float(right[members].mean()),
                "others": float(right[~members].mean()),
                **{by: {name: of[name] for name in ("auc", "auc_interval")} for by, of in found.items()},
            }
        )
        if noise:
            updates = epoch * (len(inside) // BATCH)
            rows[-1]["epsilon"] = sampled_epsilon(BATCH / len(inside), noise, updates, DELTA)
    return rows


def _batches(rng: np.random.Generator, inside: np.ndarray, by_lot: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of an epoch and whether each row counts: a permutation, or each clip by lot, with padding."""
    updates = len(inside) // BATCH
    if not by_lot:
        order = rng.permutation(inside)[: updates * BATCH]
        yield from ((batch, np.ones(BATCH, np.float32)) for batch in np.split(order, updates))
        return
    room = BATCH + 6 * round(BATCH**0.5)
    for _ in range(updates):
        chosen = inside[rng.random(len(inside)) < BATCH / len(inside)][:room]
        padded = np.pad(chosen, (0, room - len(chosen)))
        yield padded, (np.arange(room) < len(chosen)).astype(np.float32)


def _features(front_end: Any, clips: Sequence[Clip], settings: KeywordsSettings) -> tuple[np.ndarray, np.ndarray]:
    """Normalised log-mel spectra of clips, float32[clips, frames, mels], and their classes."""
    n = round(SECONDS * settings.sample_rate / settings.hop_samples) * settings.hop_samples
    samples = np.zeros((len(clips), n), np.float32)
    for row, clip in enumerate(clips):
        heard = clip.read(settings.sample_rate)[:n]
        samples[row, : len(heard)] = heard
    frames = samples.reshape(len(clips), -1, settings.hop_samples)
    spectra = nnx.jit(aligned)
    parts = [np.asarray(spectra(front_end, jnp.asarray(frames[i : i + 256]))) for i in range(0, len(frames), 256)]
    return np.concatenate(parts), np.array([settings.labels.index(clip.label) for clip in clips], np.int32)


def show(report: dict[str, Any], console: Console) -> None:
    """Prints a row per core and epoch, and the comparison at equal accuracy."""
    table = Table(title=f"{report['members']} members, {report['others']} others", title_justify="left")
    for column in ("core", "epoch", "accuracy: members", "others", "AUC by clip", "by speaker", "epsilon"):
        table.add_column(column, justify="left" if column == "core" else "right")
    for row in report["rows"]:
        aucs = [f"{row[by]['auc']:.3f}" for by in ("clip", "speaker")]
        aucs.append(f"{row['epsilon']:.2f}" if "epsilon" in row else "")
        table.add_row(row["core"], str(row["epoch"]), f"{row['members']:.3f}", f"{row['others']:.3f}", *aucs)
    console.print(table)
    equal = at_equal_accuracy([row for row in report["rows"] if "epsilon" not in row])
    aucs = (f"{core} {of['clip']:.3f} by clip, {of['speaker']:.3f} by speaker" for core, of in equal["auc"].items())
    told = ", ".join(aucs)
    console.print(f"where all have an accuracy of {equal['accuracy']:.3f} on others, the AUC is: {told}")


__all__ = ["at_equal_accuracy", "compare_leakage", "show"]
