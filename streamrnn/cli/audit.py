"""`streamrnn audit`: what a model gives away, whom it serves worse, and when it should ask a person."""

import json as json_format
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console, RenderableType

from streamrnn.cli.audit_report import group_table, privacy_table
from streamrnn.cli.flags import default_is, dispatch
from streamrnn.cli.outputs import check_outputs
from streamrnn.cli.plot import check_plot
from streamrnn.cli.plot_audit import draw_groups, draw_privacy
from streamrnn.cli.progress import progress
from streamrnn.data import reading_outside
from streamrnn.pretrained import load
from streamrnn.runtime import configure

Places = tuple[Path, ...]
NoPicture = default_is("no plot")
All = default_is("all")
OfDescription = default_is("the one in the model's description")


def main(args: list[str]) -> None:
    """Runs `streamrnn audit`. Raises what streamrnn.audit raises."""
    dispatch(
        {"groups": groups, "privacy": privacy},
        "audit",
        args,
        "Measures what you should know about a model before you ship it.",
    )


def groups(
    model: str,
    /,
    data: Places,
    by: str,
    about: Annotated[Path | None, default_is("the manifests of --data")] = None,
    cuts: Annotated[tuple[float, ...], default_is("none")] = (),
    drop_small: bool = False,
    split: Annotated[tuple[str, ...], All] = (),
    clips: Annotated[int | None, All] = None,
    to_show: Annotated[float | None, default_is("nothing")] = None,
    each_clip_alone: bool = False,
    task: Annotated[str | None, OfDescription] = None,
    plot: Annotated[Path | None, NoPicture] = None,
    json: bool = False,
    read_outside: bool = False,
) -> None:
    """Evaluates a model group by group: sex, age, accent, language, microphone, room, noise level.

    Intervals come from a bootstrap over speakers; each group is compared with all the others.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        data: Folders of recordings with the labels of the task.
        by: The column that names the groups, in manifest.csv or in --about.
        about: A table of speakers, with a column speaker and the column of --by.
        cuts: Bounds that divide a numeric column into groups, such as 5 15 for SNR.
        drop_small: Leave out groups of fewer than 8 speakers, which have no interval.
        split: Evaluate recordings of these splits only.
        clips: Evaluate at most this many recordings, from as many speakers as possible.
        to_show: Also compute how many speakers it takes to detect a difference of this size.
        each_clip_alone: Treat every recording as a different speaker.
        task: The task, where the model's description does not name it.
        plot: Also draw a picture.
        json: Print one JSON object.
        read_outside: Read recordings that a table names by paths out of its own folder.
    """
    check(data, clips, plot)
    if to_show is not None and not 0 < to_show < math.inf:
        raise ValueError(f"--to-show is {to_show:g}; a difference to show is above 0, and finite.")
    configure()
    # JAX comes with it, which the help does not need.
    from streamrnn.audit.columns import column_of, cut
    from streamrnn.audit.groups import audit_groups, without_small
    from streamrnn.audit.telling import clips_of, drawn, task_of_model, tell_all

    task_of_model(model, load(model), task)
    with reading_outside(read_outside):
        chosen = drawn(clips_of(data, split), clips)
        # What is missing is told before the model runs.
        all_found = column_of(data, chosen, by, about)
        group_of = dict(zip(chosen, cut(all_found, cuts) if cuts else all_found, strict=True))
        with progress("recordings") as moved:
            told = tell_all(model, data, chosen, moved, task)
    found = [group_of[clip] for clip in told.clips]
    report = audit_groups(
        told,
        by,
        without_small(found, told.speakers) if drop_small else found,
        each_clip_alone=each_clip_alone,
        to_show=to_show,
    )
    tell(report, group_table, json)
    if plot is not None:
        draw_groups(report, plot)


def privacy(
    model: str,
    /,
    data: Places,
    members: tuple[str, ...] = ("train",),
    others: tuple[str, ...] = ("valid", "test"),
    references: Annotated[tuple[str, ...], default_is("none: attack by loss alone")] = (),
    clips: Annotated[int | None, All] = None,
    match: bool = False,
    probe: bool = False,
    each_clip_alone: bool = False,
    task: Annotated[str | None, OfDescription] = None,
    plot: Annotated[Path | None, NoPicture] = None,
    json: bool = False,
    read_outside: bool = False,
) -> None:
    """Measures how well an attacker could tell which recordings and speakers a model was trained on.

    An AUC of .5 is chance. Members and others must differ in nothing else: same sources, other speakers.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        data: Folders of recordings that it was trained on, and of others.
        members: The splits that it was trained on.
        others: The held-out splits.
        references: Models of the same kind trained without the members, for attacks that allow for a clip's difficulty.
        clips: Evaluate at most this many recordings on either side, from as many speakers as possible.
        match: Evaluate as many members as others from each source.
        probe: Also measure whether a stream's snapshot reveals the speaker.
        each_clip_alone: Treat every recording as a different speaker; there are then no figures by speaker.
        task: The task, where the model's description does not name it.
        plot: Also draw a picture.
        json: Print one JSON object.
        read_outside: Read recordings that a table names by paths out of its own folder.
    """
    check(data, clips, plot)
    configure()
    # JAX comes with it, which the help does not need.
    import numpy as np

    from streamrnn.audit.columns import alike, sources_of
    from streamrnn.audit.privacy import audit_privacy
    from streamrnn.audit.probes import probe_snapshots
    from streamrnn.audit.telling import clips_of, drawn, task_of_model, tell_all

    task_of_model(model, load(model), task)
    with reading_outside(read_outside), progress("recordings") as moved:
        sides = [clips_of(data, splits) for splits in (members, others)]
        if both := sorted({clip.split for clip in sides[0]} & {clip.split for clip in sides[1]}):
            raise ValueError(
                f"--members and --others both name {', '.join(both)}, but a split is either in training or "
                "held out. Name it in one of them."
            )
        sides = alike(sides, data, clips) if match else [drawn(side, clips) for side in sides]
        told = tell_all(model, data, [*sides[0], *sides[1]], moved, task)
        compared = [tell_all(other, data, told.clips, moved, told.task) for other in references]
        inside = np.array([clip.split in members for clip in told.clips])
        report = audit_privacy(told, inside, sources_of(data, told.clips), compared, each_clip_alone=each_clip_alone)
        if probe:
            report["probe"] = probe_snapshots(load(model), told.clips, moved)
    tell(report, privacy_table, json)
    if plot is not None:
        draw_privacy(report, plot)


def check(data: Places, clips: int | None, plot: Path | None) -> None:
    """Raises ValueError without data or clips, and the errors of check_plot and check_outputs."""
    if not data:
        raise ValueError("--data names no folder. Pass one folder of recordings, or more.")
    if clips is not None and clips < 1:
        raise ValueError(f"--clips is {clips}; it must be 1 or more.")
    if plot is not None:
        check_plot(plot)
        check_outputs("", [plot])


def tell(report: dict[str, Any], show: Callable[[dict[str, Any]], RenderableType], json: bool) -> None:
    """Prints the report, for people or as JSON."""
    if json:
        print(json_format.dumps(report, indent=2))
    else:
        Console().print(show(report))


__all__ = ["main"]
