"""`streamrnn data`: public corpora, fetched."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from streamrnn.cli.flags import default_is, dispatch
from streamrnn.cli.progress import progress
from streamrnn.data.corpora import CORPORA, Archive, Corpus
from streamrnn.data.fetch import fetch
from streamrnn.suggestions import did_you_mean

NEXT = {
    "speech-commands": "streamrnn train keywords --data {} --words yes no up down left right on off stop go",
    "librispeech": 'streamrnn train digits --data {} --symbols " " "\'" {{a..z}} --durations-s 6 12 20',
    "fsdd": "streamrnn train digits --data {}",
    "musan": "streamrnn train keywords --data YOUR_RECORDINGS {0}/noise {0}/music",
}


def main(args: list[str]) -> None:
    """Runs `streamrnn data`. Raises what streamrnn.data.fetch.fetch raises, and ValueError for unknown names."""
    dispatch({"fetch": fetch_corpus}, "data", args, "Fetches public corpora to train with.")


def fetch_corpus(
    corpus: tyro.conf.Positional[str],
    folder: tyro.conf.Positional[Path],
    part: Annotated[tuple[str, ...], default_is("what a first training needs")] = (),
    base_url: Annotated[str | None, default_is("the publisher's")] = None,
    contents: Annotated[str | None, default_is("any")] = None,
) -> None:
    """Downloads a corpus, verifies its checksum and unpacks it. Resumes an interrupted download.

    Args:
        corpus: speech-commands (2.4 GB), librispeech (0.3 to 31 GB a part), fsdd (16 MB) or musan (11 GB).
        folder: Folder in which to put the corpus's own folder. Created if missing.
        part: Parts of librispeech, such as dev-clean and train-clean-100.
        base_url: URL of a mirror that has the archives under the same names.
        contents: Checksum of the contents, as printed by an earlier download; others are rejected. One part at a time.
    """
    found = _named(corpus)
    parts = _parts(found, part)
    if contents is not None and len(parts) > 1:
        raise ValueError(f"contents is the sum of one part; {', '.join(parts)} are asked for. Name one with --part.")
    for name in parts:
        archive = found.parts[name]
        _fetch_part(archive if contents is None else replace(archive, contents=contents), folder, base_url)
    data = folder / found.folder
    print(f"{data} is ready (licence: {found.licence}). Next: {NEXT[corpus].format(data)}")


def _fetch_part(archive: Archive, folder: Path, base_url: str | None) -> None:
    if (folder / archive.folder).exists():
        unchecked = "" if archive.contents is None else ", and was not checked: --contents is of a download"
        print(f"{folder / archive.folder} is there already{unchecked}")
        return
    size = f", {archive.size_bytes / 1e9:.1f} GB" if archive.size_bytes else ""
    print(f"fetching {archive.name}{size}", flush=True)
    with progress(archive.name) as moved:
        _, contents = fetch(archive, folder, base_url, moved)
    print(f"contents of {archive.name}: {contents}")


def _named(corpus: str) -> Corpus:
    if corpus not in CORPORA:
        raise ValueError(
            f"there is no corpus {corpus!r}.{did_you_mean(corpus, CORPORA)} Corpora are: {', '.join(CORPORA)}."
        )
    return CORPORA[corpus]


def _parts(corpus: Corpus, asked: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in asked if name not in corpus.parts]:
        raise ValueError(f"{corpus.folder} has no part {', '.join(unknown)}. Its parts are: {', '.join(corpus.parts)}.")
    return asked or corpus.default


__all__ = ["fetch_corpus", "main"]
