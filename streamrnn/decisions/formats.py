"""Events as text: readable lines, JSON lines, Audacity labels, SubRip subtitles and RTTM."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from streamrnn.decisions.events import Event, segments

# Shorter subtitles are unreadable.
CUE_S = 1.0


def as_text(event: Event) -> str:
    """One readable line: `     1.230 s       2.500 s  speech_end    0.91  speech`.

    The columns are start, end ("-" if unknown), kind, score and label, followed by a command's slots: colour=red.
    """
    end = "-" if event.end_s is None else f"{event.end_s:.3f} s"
    slots = "".join(f"  {name}={_one_line(value)}" for name, value in event.slots.items())
    return f"{event.start_s:10.3f} s  {end:>12}  {event.kind:<12}  {event.score:.2f}  {_one_line(event.label)}{slots}"


def as_json_line(event: Event) -> str:
    """One JSON object on one line, with the fields of `Event` and no newline at the end.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot represent.
    """
    return json.dumps(event.to_dict(), ensure_ascii=False, allow_nan=False)


def audacity_labels(events: Iterable[Event], duration_s: float | None = None) -> str:
    """A label track for Audacity: one line per segment, `start<TAB>end<TAB>label`, times in seconds.

    `events`, `duration_s` and errors are as for `segments`.
    """
    found = segments(events, duration_s)
    return "".join(f"{s.start_s:.6f}\t{s.end_s:.6f}\t{_one_line(s.label)}\n" for s in found)


def srt(events: Iterable[Event], duration_s: float | None = None) -> str:
    """SubRip subtitles: one numbered cue per segment, times as `hh:mm:ss,mmm`.

    The words of a completed utterance form one cue, since single words would be shown too briefly. A cue lasts for at
    least a second, unless the next one or the end of the stream comes first.

    `events`, `duration_s` and errors are as for `segments`.
    """
    found = segments(_utterances(events), duration_s)
    nexts = [*(later.start_s for later in found[1:]), math.inf if duration_s is None else duration_s]
    cues = (
        f"{number}\n{_srt_time(s.start_s)} --> {_srt_time(max(s.end_s, min(s.start_s + CUE_S, until)))}\n"
        f"{_one_line(s.label)}\n"
        for number, (s, until) in enumerate(zip(found, nexts, strict=False), start=1)
    )
    return "\n".join(cues)


def rttm(events: Iterable[Event], name: str, duration_s: float | None = None) -> str:
    """Rich Transcription Time Marks, the format of NIST's evaluations: `SPEAKER name 1 start duration ... label ...`.

    Args:
        events, duration_s: as for `segments`, whose errors it raises.
        name: of the recording; white space, which separates the columns, becomes _.
    """
    found, named = segments(events, duration_s), "_".join(name.split())
    return "".join(
        f"SPEAKER {named} 1 {s.start_s:.6f} {s.end_s - s.start_s:.6f} <NA> <NA> {'_'.join(s.label.split())} "
        f"{s.score:.6f} <NA>\n"
        for s in found
    )


def write_events(
    path: str | os.PathLike[str], events: Iterable[Event], duration_s: float | None = None, name: str | None = None
) -> None:
    """Writes the events to a file in the format given by its suffix, in UTF-8. Replaces an existing file.

    Args:
        path: *.txt (Audacity labels), *.srt (subtitles), *.rttm or *.jsonl (one JSON object per event).
        events: the events of one stream, in the order in which they were emitted.
        duration_s: length of the stream; except in *.jsonl, open speech ends there.
        name: of the recording, for *.rttm; default: the name of the file, without its suffix.

    Raises:
        ValueError: the suffix is unknown, or `segments` or `as_json_line` rejects the events; nothing is written then.
        OSError: the file cannot be written.
    """
    path = Path(path)
    text = _render(path, events, duration_s, name or path.stem)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        message = f"Cannot write events ({error.strerror}). Pass a file path in an existing, writable folder"
        raise OSError(error.errno, message, str(path)) from error


def _render(path: Path, events: Iterable[Event], duration_s: float | None, name: str) -> str:
    match path.suffix.lower():
        case ".txt":
            return audacity_labels(events, duration_s)
        case ".srt":
            return srt(events, duration_s)
        case ".rttm":
            return rttm(events, name, duration_s)
        case ".jsonl":
            return "".join(f"{as_json_line(event)}\n" for event in events)
    raise ValueError(
        f"write_events got {path.name!r}; its suffix names the format. "
        "End it in .txt (Audacity labels), .srt (subtitles), .rttm or .jsonl (one JSON object per event)."
    )


def _utterances(events: Iterable[Event]) -> list[Event]:
    """The events, with the words of each completed utterance merged into one word event."""
    found: list[Event] = []
    words: list[Event] = []
    for event in events:
        match event.kind:
            case "word":
                words.append(event)
            case "endpoint":
                words = []
                found.append(replace(event, kind="word"))
            case _:
                found.append(event)
    return found + words


def _srt_time(time_s: float) -> str:
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{milliseconds:03}"


def _one_line(label: str) -> str:
    return " ".join(label.split())


__all__ = ["as_json_line", "as_text", "audacity_labels", "rttm", "srt", "write_events"]
