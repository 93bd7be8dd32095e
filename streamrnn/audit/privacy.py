"""What a model leaks about its training recordings: the report of `streamrnn audit privacy`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamrnn.audit.membership import Bools, attack, attack_speakers, calibrated, sources
from streamrnn.audit.probes import predictions, sound_features
from streamrnn.audit.speakers import speaker_numbers
from streamrnn.audit.telling import Floats, Tellings
from streamrnn.data import Clip


def membership(
    losses: Floats,
    members: Bools,
    speakers: Sequence[str],
    of_sources: Sequence[str],
    references: Floats | None = None,
    *,
    probabilities: bool = True,
    each_clip_alone: bool = False,
) -> dict[str, Any]:
    """Membership attacks by loss and, with references, by the calibrated ratio; per clip and per speaker.

    Args:
        losses, members, speakers, of_sources: of each clip.
        references: losses of models not trained on the members, [references, clips]; see membership.calibrated.
        probabilities: losses are -log of a probability.
        each_clip_alone: every clip counts as another speaker's.

    Raises:
        ValueError: members or others are missing, too few speakers, or unknown ones.
    """
    if members.all() or not members.any():
        raise ValueError(
            f"Of {len(members)} clips {'all' if members.all() else 'none'} are members. Say which splits the model was "
            "trained on (--members) and which it never heard (--others); both must be in --data."
        )
    numbers = speaker_numbers(speakers, each_clip_alone)
    scores = {"loss": -losses}
    if references is not None:
        scores["calibrated"] = calibrated(losses, references, probabilities)
    ways: dict[str, Any] = {}
    for name, of in scores.items():
        ways[name] = {"clip": attack(of, members, numbers)}
        if not each_clip_alone:
            ways[name]["speaker"] = attack_speakers(of, members, numbers)
    return {"attacks": ways, "sources": sources(of_sources, members, scores[list(scores)[-1]])}


def blind(
    clips: Sequence[Clip], members: Bools, speakers: Sequence[str], each_clip_alone: bool = False
) -> dict[str, Any]:
    """A baseline attack without a model: by length, level and spectrum of the clips alone, in folds by speaker.

    What it finds is a difference between members and others as recordings, which an attack on a model would find, too
    (Das, Zhang and Tramer 2024, "Blind baselines beat membership inference attacks for foundation models").
    """
    x = np.stack([sound_features(clip) for clip in clips])
    numbers = speaker_numbers(speakers, each_clip_alone)
    folds = np.random.default_rng(0).permutation(int(numbers.max()) + 1)[numbers] % 5
    found = attack(predictions(x, members[:, None].astype(float), folds)[:, 0], members, numbers)
    return {name: found[name] for name in ("auc", "auc_interval")}


def audit_privacy(
    tellings: Tellings,
    members: Bools,
    of_sources: Sequence[str],
    references: Sequence[Tellings] = (),
    *,
    each_clip_alone: bool = False,
) -> dict[str, Any]:
    """The report of `streamrnn audit privacy`, ready for JSON: see membership and blind.

    Raises:
        ValueError: see membership; or a reference was run on other clips.
    """
    teller = tellings.teller
    for other in references:
        if other.clips != tellings.clips:
            raise ValueError(
                f"{other.model} tells of {len(other.clips)} clips, {tellings.model} of others. Pass alike models."
            )
    found = membership(
        tellings.losses,
        members,
        tellings.speakers,
        of_sources,
        np.stack([other.losses for other in references]) if references else None,
        probabilities=bool(teller.answers),
        each_clip_alone=each_clip_alone,
    )
    sides = {
        name: {
            "clips": int(side.sum()),
            "speakers": len({who for who, there in zip(tellings.speakers, side, strict=True) if there}),
            teller.figure: float(teller.of(tellings.sums[side].sum(axis=0))),
            "loss": float(tellings.losses[side].mean()),
        }
        for name, side in (("members", members), ("others", ~members))
    }
    return {
        "audit": "privacy",
        "model": tellings.model,
        "task": tellings.task,
        "figure": teller.figure,
        **sides,
        **found,
        "blind": blind(tellings.clips, members, tellings.speakers, each_clip_alone),
        **tellings.left_out,
    }


__all__ = ["audit_privacy", "blind", "membership"]
