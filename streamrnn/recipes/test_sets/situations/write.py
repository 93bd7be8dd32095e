"""Situations composed and written to disk: a folder of recordings and tables for each."""

import math
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.data.mixtures import SceneSettings
from streamrnn.data.recordings import Recordings, find_recordings, of_split, sounds_of
from streamrnn.data.situations import CONTENTS, SEGMENTS, WORDS
from streamrnn.data.speech_labels import read_speech_labels
from streamrnn.data.store import ClipStore
from streamrnn.data.tables import write_table
from streamrnn.recipes.test_sets.composed import MANIFEST, Rows, require_new, write_numbered
from streamrnn.recipes.test_sets.scenes import read_scenes
from streamrnn.recipes.test_sets.situations.situation import RATE, Pools, Situation, Take, Word
from streamrnn.recipes.test_sets.situations.spoken_words import SPOKEN_WORDS
from streamrnn.recipes.test_sets.situations.with_speech import WITH_SPEECH
from streamrnn.recipes.test_sets.situations.without_speech import WITHOUT_SPEECH
from streamrnn.suggestions import did_you_mean

SITUATIONS = (*WITHOUT_SPEECH, *WITH_SPEECH, *SPOKEN_WORDS)
CONTENTS_COLUMNS = ["situation", "says", "compared"]
MANIFEST_COLUMNS = [
    "path",
    "start",
    "end",
    "sample_rate",
    "speaker",
    "label",
    "transcript",
    "source",
    "split",
    "judged_from",
]
SEGMENT_COLUMNS = ["path", "start", "end", "quality"]
WORD_COLUMNS = ["path", "start", "end", "word"]

# Noises that go on evenly, by their labels.
STEADY = ("rain", "waterfall", "running_tap", "river", "sea_waves", "waves", "washing_machine", "ventilation", "boiler")
BODIES = ("person_sneeze", "sneeze", "cough", "coughing", "breathing", "snoring")
# A folder with fewer words in a split is no vocabulary to judge by.
FEWEST_WORDS = 20


def write_situations(
    data: Sequence[Path],
    out: Path,
    *,
    hours: float = 1.0,
    split: str = "test",
    seed: int = 0,
    only: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Composes situations from one split of the recordings in `data`, and gives the names of those that were written.

    `out` gets situations.csv (situation, what is heard, whether decisions are compared with those of a fresh stream)
    and a folder of each: recordings (FLAC, 16 bit, mono, 16 or 8 kHz), vad_segments.csv, words.csv, and manifest.csv
    (label: which of several sounds it is; judged_from: the sample from which on it is judged). Take k of a situation
    depends on the recordings, the seed and k alone. Situations whose codec or words are lacking are left out with an
    AudioWarning.

    Args:
        data: folders of recordings, or folders of such folders, as VoiceActivityRecipe reads them.
        out: made where missing; must not hold a situations.csv yet.
        hours: of each situation, about.
        split: train, valid or test.
        seed: of all that is drawn.
        only: names of situations; default: all.
        progress: called with (situations written, situations) after each.

    Raises:
        FileExistsError: `out` holds a situations.csv.
        FileNotFoundError: `data` lacks speech, noise or music.
        ValueError: hours is not positive, `only` names no situation, or `split` lacks speech, noise or music.
    """
    if not 0 < hours < math.inf:
        raise ValueError(f"hours is {hours}; it must be above 0, and finite, such as 0.1.")
    require_new(out, "situations", CONTENTS)
    chosen, pools = _chosen(only), read_pools(data, split)
    written: list[Situation] = []
    for number, situation in enumerate(chosen, start=1):
        if _composed(situation, pools, out, hours, split, seed):
            written.append(situation)
        if progress is not None:
            progress(number, len(chosen))
    write_table(out / CONTENTS, CONTENTS_COLUMNS, [(s.name, s.says, int(s.compared)) for s in written])
    return [situation.name for situation in written]


def read_pools(data: Sequence[Path], split: str) -> Pools:
    """The recordings of one split of all folders in `data`, at the rate of situations.

    Raises:
        FileNotFoundError, ValueError: see write_situations.
    """
    scenes = read_scenes(data, split, RATE, SceneSettings())
    found = find_recordings(data)
    noise = of_split(found.noise, split)
    steady, bodies = ([clip for clip in noise if clip.label in labels] for labels in (STEADY, BODIES))
    return Pools(
        speech=[utterance for _, pool in scenes.speech for utterance in pool if utterance.segments],
        noise=scenes.noise,
        music=scenes.music,
        rain=sounds_of(steady, RATE) if steady else scenes.noise,
        bodies=sounds_of(bodies, RATE) if bodies else (),
        rooms=scenes.rooms,
        words=_vocabularies(found, split),
    )


def _chosen(only: Collection[str]) -> list[Situation]:
    if unknown := set(only) - {situation.name for situation in SITUATIONS}:
        names = [situation.name for situation in SITUATIONS]
        meant, known = did_you_mean(min(unknown), names), ", ".join(names)
        raise ValueError(f"There is no situation {', '.join(sorted(unknown))}.{meant} The situations are: {known}.")
    return [situation for situation in SITUATIONS if not only or situation.name in only]


def _composed(situation: Situation, pools: Pools, out: Path, hours: float, split: str, seed: int) -> bool:
    """Writes a situation's folder; false where it can't be composed of what there is."""
    if situation.needs and not getattr(pools, situation.needs):
        return _left_out(situation, f"there are no recordings of {situation.needs} in split {split!r}")
    folder, takes = out / situation.name, math.ceil(3600 * hours / situation.duration_s)
    first = [seed, *situation.name.encode()]

    def write(number: int, _: np.random.Generator) -> Rows:
        take = situation.compose(pools, np.random.default_rng([*first, number]), number)
        return _write_take(folder, situation, take, number, split)

    tables = {SEGMENTS: SEGMENT_COLUMNS, WORDS: WORD_COLUMNS, MANIFEST: MANIFEST_COLUMNS}
    try:
        write_numbered(folder, tables, takes, write, seed, None)
    except AudioError as error:
        return _left_out(situation, str(error))
    return True


def _write_take(folder: Path, situation: Situation, take: Take, number: int, split: str) -> Rows:
    name = f"{situation.name}_{number:04}.flac"
    write_audio(folder / name, take.samples, take.sample_rate)
    said = " ".join(word for _, _, word in take.words)
    row = (name, 0, len(take.samples), take.sample_rate, "", take.kind, said, "composed", split, take.judged_from)
    return {
        SEGMENTS: [(name, start, end, "A") for start, end in take.segments],
        WORDS: [(name, start, end, word) for start, end, word in take.words],
        MANIFEST: [row],
    }


def _left_out(situation: Situation, why: str) -> bool:
    warnings.warn(f"Situation {situation.name} is left out: {why.rstrip('.')}.", AudioWarning, stacklevel=4)
    return False


def _vocabularies(found: Recordings, split: str) -> dict[str, list[Word]]:
    """Words by the name of their folder: clips whose label is all that is said in them."""
    vocabularies: dict[str, list[Word]] = {}
    for folder, clips in found.speech.items():
        said = [c for c in of_split(clips, split) if c.label and c.label.casefold() == c.transcript.casefold()]
        if len(said) < FEWEST_WORDS:
            continue
        table = folder / SEGMENTS
        labels = read_speech_labels(table) if table.is_file() else {}
        # In the order of the table one speaker, or one word, would come after the other.
        order = np.random.default_rng(0).permutation(len(said))
        store = ClipStore([said[k] for k in order], RATE)
        vocabularies[folder.name] = [
            Word(
                samples,
                clip.label,
                labels[clip.path].of(clip, len(samples), RATE).speech if clip.path in labels else (),
            )
            for clip, samples in store
        ]
    return vocabularies


__all__ = ["SITUATIONS", "read_pools", "write_situations"]
