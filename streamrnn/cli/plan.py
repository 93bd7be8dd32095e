"""What a training is about to do, in words: recordings by label and split, updates, and what it writes."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamrnn.data import Clip
from streamrnn.data.recordings import Recordings
from streamrnn.recipes import Recipe

# A table of more labels tells less than one of folders.
MOST_LABELS = 50
# From weights that fit already, most of a figure comes within some hundred updates.
STEPS_FROM_WEIGHTS, PATIENCE_FROM_WEIGHTS = 600, 4


def shortened(settings: Any) -> Any:
    """The settings of a training that begins with a model's weights: fewer updates, and an end where nothing
    improves."""
    usual = settings.training
    if usual.steps <= STEPS_FROM_WEIGHTS:
        return settings
    shorter = dataclasses.replace(
        usual,
        steps=STEPS_FROM_WEIGHTS,
        patience=PATIENCE_FROM_WEIGHTS,
        validate_every=min(usual.validate_every, STEPS_FROM_WEIGHTS // 6),
        warmup_steps=min(usual.warmup_steps, 50),
    )
    return dataclasses.replace(settings, training=shorter)


def plan_of(recipe: Recipe, model: Path) -> str:
    """Clips and speakers of each label, or of each folder, by split; the updates; the file that gets the model."""
    found, training = recipe.recordings, recipe.training
    data = table_of(_groups(found)) if isinstance(found, Recordings) else "\n".join(map(str, found.paths))
    ends = f", or after {training.patience} validations without improvement" if training.patience else ""
    return (
        f"{data}\n{training.steps:,} updates{ends}, validated every {training.validate_every}. "
        f"{model} has the best weights from the first validation on."
    )


def _groups(found: Recordings) -> Mapping[str, Sequence[Clip]]:
    speech = [clip for clips in found.speech.values() for clip in clips]
    groups = by_label(speech)
    if not 0 < len(groups) <= MOST_LABELS:
        groups = {folder.name: clips for folder, clips in found.speech.items()}
    elif unlabelled := [clip for clip in speech if not clip.label]:
        groups["no label"] = unlabelled
    return groups | {name: clips for name in ("noise", "music", "rooms") if (clips := getattr(found, name))}


def by_label(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Labelled clips by label, in alphabetical order."""
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.label:
            groups[clip.label].append(clip)
    return dict(sorted(groups.items()))


def table_of(groups: Mapping[str, Sequence[Clip]]) -> str:
    """Clips by split, and speakers, of each group."""
    rows: list[tuple[str, ...]] = [("", "train", "valid", "test", "speakers")]
    for name, clips in groups.items():
        splits = Counter(clip.split for clip in clips)
        speakers = len({clip.speaker for clip in clips if clip.speaker})
        rows.append((name, *(str(splits[split] or "-") for split in ("train", "valid", "test")), str(speakers or "-")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *numbers in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    return "\n".join(lines)


__all__ = ["by_label", "plan_of", "shortened", "table_of"]
