"""Corpora from a server of this machine: whole, cut off, changed, hostile, and not there."""

import csv
import hashlib
import io
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from streamrnn.training.corpora import CORPORA, Archive, write_fsdd_manifest
from streamrnn.training.fetch import FetchError, fetch

NOISE = np.random.default_rng(0).bytes(200_000)  # does not shrink when packed, so that there is something to cut


def packed(members: dict[str, bytes]) -> bytes:
    """A .tar.gz of files by their names in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


CONTENT = packed({"top/words/yes.wav": NOISE, "top/LICENSE": b"free"})
ARCHIVE = Archive("https://nowhere.invalid/words.tar.gz", None, hashlib.md5(CONTENT).hexdigest(), "top", "words-1")


@dataclass
class Server:
    """What it serves, how, and what it was asked for.

    Attributes:
        cuts: after how many bytes the connection ends, one for each answer to come; then none does.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    lengths: bool = True
    cuts: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args):
        self.does = server
        super().__init__(*args)

    def do_GET(self):
        if self.path != "/mirror/words.tar.gz":
            self.send_error(404)
            return
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.does.ranges else None
        start = int(asked[1]) if asked else 0
        self.does.starts.append(start)
        if asked and start >= len(self.does.content):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if self.does.lengths:
            self.send_header("Content-Length", str(len(self.does.content) - start))
        self.end_headers()
        self.wfile.write(self.does.content[start:][: self.does.cuts.pop(0) if self.does.cuts else None])

    def log_message(self, format, *args):
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    does = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, does)) as serving:
        does.url = f"http://127.0.0.1:{serving.server_port}/mirror"
        thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield does
        serving.shutdown()
        thread.join()


def is_whole(folder: Path) -> bool:
    """Exactly what belongs there is there, and nothing that fetching needed meanwhile."""
    words = folder / "words-1"
    files = {path.relative_to(words): path.read_bytes() for path in words.rglob("*") if path.is_file()}
    expected = {Path("words/yes.wav"): NOISE, Path("LICENSE"): b"free"}
    return files == expected and [path.name for path in folder.iterdir()] == ["words-1"]


def test_an_archive_is_downloaded_checked_and_unpacked(server, tmp_path):
    moves: list[tuple[int, int]] = []
    folder = tmp_path / "new" / "folder"
    assert fetch(ARCHIVE, folder, server.url, lambda *move: moves.append(move)) == folder / "words-1"
    assert is_whole(folder)
    assert (len(CONTENT), len(CONTENT)) in moves and all(0 < done <= whole for done, whole in moves)


def test_a_second_call_asks_nobody_and_changes_nothing(server, tmp_path):
    fetch(ARCHIVE, tmp_path, server.url)
    asked = list(server.starts)
    assert fetch(ARCHIVE, tmp_path, server.url) == tmp_path / "words-1"
    assert server.starts == asked and is_whole(tmp_path)


def test_a_connection_that_is_cut_goes_on_where_it_ended(server, tmp_path):
    server.cuts = [70_000, 50_000]
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [0, 70_000, 120_000]
    assert is_whole(tmp_path)


def test_a_download_that_an_earlier_call_left_is_gone_on_with(server, tmp_path):
    (tmp_path / "words.tar.gz.part").write_bytes(CONTENT[:90_000])
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [90_000] and is_whole(tmp_path)


def test_a_connection_that_brings_nothing_more_is_an_error_and_keeps_what_came(server, tmp_path):
    server.cuts = [70_000, 0]
    with pytest.raises(FetchError, match=r"ended at 70,000 of .* 70,000 bytes are there\. .*same command again"):
        fetch(ARCHIVE, tmp_path, server.url)
    assert (tmp_path / "words.tar.gz.part").read_bytes() == CONTENT[:70_000]
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [0, 70_000, 70_000] and is_whole(tmp_path)


def test_a_server_that_cannot_go_on_starts_over(server, tmp_path):
    server.ranges, server.cuts = False, [70_000]
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [0, 0] and is_whole(tmp_path)


def test_a_server_that_tells_no_length_will_do(server, tmp_path):
    server.lengths = False
    fetch(ARCHIVE, tmp_path, server.url)
    assert is_whole(tmp_path)


def test_a_download_that_only_lacks_its_check_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "words.tar.gz.part").write_bytes(CONTENT)
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [len(CONTENT)] and is_whole(tmp_path)


def test_an_archive_that_was_checked_before_is_only_unpacked(server, tmp_path):
    (tmp_path / "words.tar.gz").write_bytes(CONTENT)
    half = tmp_path / ".words.tar.gz.unpacking" / "top"
    half.mkdir(parents=True)
    (half / "leftover.wav").write_bytes(NOISE[:100])
    fetch(ARCHIVE, tmp_path, server.url)
    assert server.starts == [] and is_whole(tmp_path)


def test_a_wrong_sum_removes_the_download_and_says_so(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(FetchError, match=rf"MD5 sum [0-9a-f]{{32}}; {ARCHIVE.md5} is published\. .*It was removed"):
        fetch(ARCHIVE, tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.wav", "/evil.wav", "top/../../../evil.wav"])
def test_an_archive_that_reaches_out_of_its_folder_is_refused(server, tmp_path, name):
    server.content = packed({"top/words/yes.wav": b"", name: b"evil"})
    folder = tmp_path / "inner" / "folder"
    archive = replace(ARCHIVE, md5=hashlib.md5(server.content).hexdigest())
    # tarfile makes an absolute name relative, which does no harm.
    if name.startswith("/"):
        fetch(archive, folder, server.url)
    else:
        with pytest.raises(FetchError, match=r"words\.tar\.gz can't be unpacked: .*outside the destination"):
            fetch(archive, folder, server.url)
        assert list(folder.iterdir()) == []
    assert not list(tmp_path.glob("evil.wav")) and not list(tmp_path.glob("inner/evil.wav"))


@pytest.mark.parametrize("content", [CONTENT[:150_000], CONTENT[:-4], CONTENT[:-8] + bytes(8), b"<html>no file</html>"])
def test_without_a_published_sum_a_damaged_archive_is_found_by_unpacking(server, tmp_path, content):
    server.content = content
    with pytest.raises(FetchError, match=r"can't be unpacked: .* It was removed; give the same command again"):
        fetch(replace(ARCHIVE, md5=None), tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_something_else_is_refused(server, tmp_path):
    with pytest.raises(FetchError, match="it has no folder other"):
        fetch(replace(ARCHIVE, inside="other"), tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_the_contents_is_said_and_nothing_is_left(server, tmp_path):
    def refuse(folder: Path) -> None:
        raise ValueError(f"it has {len(list(folder.rglob('*.wav')))} recording")

    with pytest.raises(FetchError, match="can't be unpacked: it has 1 recording"):
        fetch(replace(ARCHIVE, prepare=refuse), tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_parts_of_one_corpus_lie_side_by_side(server, tmp_path):
    for name in ("a", "b"):
        fetch(replace(ARCHIVE, folder=f"words/{name}"), tmp_path, server.url)
    assert sorted(path.name for path in (tmp_path / "words").iterdir()) == ["a", "b"]


def test_a_file_that_the_server_does_not_have_is_named(server, tmp_path):
    url = f"{server.url}/elsewhere"
    with pytest.raises(FetchError, match=rf"{url}/words\.tar\.gz gives no file: 404 .*--base-url"):
        fetch(ARCHIVE, tmp_path, url)


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:1/words\.tar\.gz could not be downloaded: .*refused"):
        fetch(ARCHIVE, tmp_path, "http://127.0.0.1:1/")


def test_a_disk_that_is_too_small_is_found_before_the_download(server, tmp_path):
    with pytest.raises(FetchError, match=r"GB free; words\.tar\.gz needs about 2000000\.0 GB"):
        fetch(replace(ARCHIVE, size_bytes=10**15), tmp_path, server.url)
    assert server.starts == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is imitated by Linux' /dev/full")
def test_a_disk_that_fills_up_meanwhile_is_explained_and_what_came_is_kept(server, tmp_path):
    # Writing to /dev/full fails as a full disk does.
    (tmp_path / "words.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(FetchError, match=r"is on a full disk\. Make room and give the same command again"):
        fetch(ARCHIVE, tmp_path, server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["words.tar.gz.part"]


def test_the_digits_get_a_manifest_that_keeps_speakers_apart(tmp_path):
    (tmp_path / "recordings").mkdir()
    speakers = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    for digit in range(10):
        for speaker in speakers:
            for number in range(50):
                (tmp_path / "recordings" / f"{digit}_{speaker}_{number}.wav").touch()
    write_fsdd_manifest(tmp_path)
    with (tmp_path / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits = {"george": "valid", "lucas": "test"}
    assert len(rows) == 3000 and {row["speaker"] for row in rows} == set(speakers)
    assert all(row["split"] == splits.get(row["speaker"], "train") for row in rows)
    seven = {(row["label"], row["transcript"]) for row in rows if row["path"].startswith("recordings/7_")}
    assert seven == {("seven", "SEVEN")}
    shutil.rmtree(tmp_path / "recordings")
    with pytest.raises(ValueError, match="it holds 0 recordings, and 3,000 belong to it"):
        write_fsdd_manifest(tmp_path)


def test_every_corpus_names_its_files_as_their_publishers_do():
    for corpus in CORPORA.values():
        assert set(corpus.default) <= set(corpus.parts)
        for archive in corpus.parts.values():
            assert archive.url.startswith("https://") and archive.name.endswith(".tar.gz")
            assert archive.md5 is None or re.fullmatch("[0-9a-f]{32}", archive.md5)
            assert archive.folder.split("/")[0] == corpus.folder
