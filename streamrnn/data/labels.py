"""Labels of clips that are not words of the model."""

import warnings
from collections import Counter
from collections.abc import Collection, Iterable

from streamrnn.audio import AudioWarning
from streamrnn.data.clips import Clip
from streamrnn.data.recordings import counted
from streamrnn.decisions.keywords import UNKNOWN


def warn_of_other_labels(clips: Iterable[Clip], words: Collection[str], happens: str) -> None:
    """Issues an AudioWarning that counts clips with other labels than the words; `happens` is "train" or "count".

    Labels that differ from a word only in case are named first. Clips labelled "unknown" do not count.
    """
    others = Counter(clip.label or "no label" for clip in clips if clip.label not in {*words, UNKNOWN})
    if others:
        spelled = {word.casefold() for word in words}
        listed = sorted(others, key=lambda label: (label.casefold() not in spelled, -others[label], label))
        told = f"{others.total():,} clip{'s' * (others.total() > 1)}"
        warnings.warn(
            f"Labels that are none of the words {happens} as {UNKNOWN!r}, in {told}: "
            f"{counted({label: others[label] for label in listed})}.",
            AudioWarning,
            stacklevel=3,
        )


__all__ = ["warn_of_other_labels"]
