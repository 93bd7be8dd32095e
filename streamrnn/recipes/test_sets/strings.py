"""Strings of words written to disk: a fixed test set with transcripts for any transcription."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.data import read_clips
from streamrnn.data.recordings import find_recordings, of_split
from streamrnn.data.spoken import Spoken, Strings, StringSettings, single_words, spoken_ids
from streamrnn.decisions import Alphabet
from streamrnn.models.transcription import DIGITS
from streamrnn.recipes.test_sets.composed import MANIFEST, Rows, require_new, require_sizes, write_numbered

# Words of a string may have different speakers: in small sets, few speakers have said several words.
TEST_STRINGS = StringSettings(words=(3, 10), one_speaker_share=0.0, garbage_share=0.0, overlap_s=0.0)
SILENCE_S = 0.5
MANIFEST_COLUMNS = ["path", "start", "end", "sample_rate", "transcript", "source", "split"]
WORDS = "words.csv"
WORD_COLUMNS = ["path", "word", "start", "end"]


def write_strings(
    data: Sequence[Path],
    out: Path,
    *,
    clips: int = 100,
    symbols: tuple[str, ...] = DIGITS,
    split: str = "test",
    seed: int = 0,
    sample_rate: int = 16_000,
    settings: StringSettings = TEST_STRINGS,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Joins recordings of single words from one split into strings, as a folder for `streamrnn evaluate digits`.

    `out` gets string_0000.flac, ... (16 bit mono, half a second of silence at both ends), manifest.csv (transcript) and
    words.csv (path, word, start, end in samples). The same arguments give the same samples;
    string k depends only on the seed and k, so a larger set contains the smaller ones.

    Args:
        data: folders of recordings, as TranscriptionRecipe reads them.
        out: created if missing; must not have a manifest.csv yet.
        clips: number of strings, at least 1.
        symbols: the words of the strings.
        split: train, valid or test.
        seed: random seed.
        sample_rate: sample rate of the strings, in Hz.
        settings: how words are joined.
        progress: called with (strings written, clips) after each.

    Raises:
        FileExistsError: `out` holds a manifest.csv.
        FileNotFoundError, ValueError: see find_recordings; clips is below 1; no clip of the split is one of the words.
    """
    require_sizes(clips, sample_rate)
    require_new(out, "strings")
    alphabet = Alphabet(symbols)
    drawn = Strings(_words(data, split, alphabet, sample_rate), sample_rate, settings)

    def write(number: int, rng: np.random.Generator) -> Rows:
        spoken, name = _with_silence(drawn.draw(rng), sample_rate), f"string_{number:04}.flac"
        write_audio(out / name, spoken.samples, sample_rate)
        text = alphabet.decode(spoken.ids)
        words = [(name, symbols[i - 1], *span) for i, span in zip(spoken.ids, spoken.spans, strict=True)]
        return {WORDS: words, MANIFEST: [(name, 0, len(spoken.samples), sample_rate, text, "joined", split)]}

    write_numbered(out, {WORDS: WORD_COLUMNS, MANIFEST: MANIFEST_COLUMNS}, clips, write, seed, progress)


def _words(data: Sequence[Path], split: str, alphabet: Alphabet, sample_rate: int) -> dict[Path, list[Spoken]]:
    found = find_recordings(data).speech
    clips = {folder: dict(spoken_ids(of_split(clips, split), alphabet)) for folder, clips in found.items()}
    single = {folder: {clip: ids for clip, ids in of.items() if len(ids) == 1} for folder, of in clips.items()}
    if not any(single.values()):
        raise ValueError(
            f"no clip of split {split} in {', '.join(map(str, data))} is one of {', '.join(alphabet.symbols)}."
        )
    return {
        folder: single_words([Spoken(s, ids[clip]) for clip, s in read_clips(list(ids), sample_rate)], sample_rate)
        for folder, ids in single.items()
        if ids
    }


def _with_silence(spoken: Spoken, sample_rate: int) -> Spoken:
    silence = round(SILENCE_S * sample_rate)
    spans = tuple((start + silence, end + silence) for start, end in spoken.spans)
    return replace(spoken, samples=np.pad(spoken.samples, silence), spans=spans)


__all__ = ["TEST_STRINGS", "write_strings"]
