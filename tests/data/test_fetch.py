"""Corpora from a server of this machine: whole, cut off, changed, hostile, and not there."""

import csv
import gzip
import hashlib
import io
import random
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

from streamrnn.data import corpora
from streamrnn.data import unpack as unpacking
from streamrnn.data.corpora import CORPORA, Archive, write_fsdd_manifest
from streamrnn.data.fetch import FetchError, fetch
from streamrnn.data.unpack import unpack

NOISE = np.random.default_rng(0).bytes(200_000)  # does not shrink when packed, so that there is something to cut


def packed(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A .tar.gz of files by their names in it, and of other members before them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info in others:
            tar.addfile(info)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, linkname, 0o755
    return info


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
    assert fetch(ARCHIVE, folder, server.url, lambda *move: moves.append(move))[0] == folder / "words-1"
    assert is_whole(folder)
    assert (len(CONTENT), len(CONTENT)) in moves and all(0 < done <= whole for done, whole in moves)


def test_a_second_call_asks_nobody_and_changes_nothing(server, tmp_path):
    fetch(ARCHIVE, tmp_path, server.url)
    asked = list(server.starts)
    assert fetch(ARCHIVE, tmp_path, server.url) == (tmp_path / "words-1", None)
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


def refuse(server: Server, folder: Path, content: bytes, reason: str) -> None:
    """Requires that an archive is refused for a reason, that nothing of it stays, and that a sound one can follow."""
    server.content = content
    with pytest.raises(FetchError, match=rf"words\.tar\.gz can't be unpacked: .*{reason}"):
        fetch(replace(ARCHIVE, md5=None), folder, server.url)
    assert list(folder.iterdir()) == []
    server.content = CONTENT
    fetch(ARCHIVE, folder, server.url)
    assert is_whole(folder)


@pytest.mark.parametrize("name", ["../evil.wav", "/evil.wav", "top/../../../evil.wav", "..\\evil.wav", "c:evil.wav"])
def test_an_archive_that_reaches_out_of_its_folder_is_refused(server, tmp_path, name):
    content = packed({"top/words/yes.wav": b"", name: b"evil"})
    refuse(server, tmp_path / "inner" / "folder", content, "leads out of its folder")
    assert [path.name for path in tmp_path.rglob("*evil*")] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused_even_inside_of_the_folder(server, tmp_path, kind):
    content = packed({"top/a.wav": b""}, member("top", tarfile.DIRTYPE), member("top/b.wav", kind, "a.wav"))
    refuse(server, tmp_path, content, "'top/b.wav' is a link or a device")


def test_a_chain_of_links_too_long_to_be_resolved_writes_nothing_outside(server, tmp_path):
    # CVE-2025-4517: where the resolved path grows past PATH_MAX, realpath stops, and what follows is not checked.
    folder, path, members = "d" * 247, "", []
    for step in "abcdefghijklmnop":
        members += [member(path + folder, tarfile.DIRTYPE), member(path + step, tarfile.SYMTYPE, folder)]
        path += f"{folder}/"
    short = "/".join("abcdefghijklmnop")
    members.append(member(f"{short}/{'l' * 254}", tarfile.SYMTYPE, "../" * 16))
    members.append(member("escape", tarfile.SYMTYPE, f"{short}/{'l' * 254}/../../outside"))
    folder_in = tmp_path / "inner" / "folder"
    refuse(server, folder_in, packed({"top/a.wav": b"", "escape/evil.wav": b"evil"}, *members), "is a link or a device")
    assert not list(tmp_path.rglob("evil.wav")) and sorted(path.name for path in tmp_path.iterdir()) == ["inner"]


def test_two_members_of_one_name_are_refused(server, tmp_path):
    twice = packed({"top/a.wav": b"second"}, member("top/a.wav", tarfile.REGTYPE))
    refuse(server, tmp_path, twice, "two members of the name .*a.wav")


def test_a_file_where_another_member_has_a_folder_is_refused(server, tmp_path):
    refuse(server, tmp_path, packed({"top/a": b"", "top/a/b.wav": b""}), "two members of the name .*top/a")


def test_an_archive_that_grows_past_what_it_may_have_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "MOST_BYTES", 1_000_000)
    refuse(server, tmp_path / "one", packed({"top/a.wav": bytes(1_000_001)}), "says that it has 1,000,001 bytes")
    many = packed({f"top/{name}.wav": bytes(200_000) for name in "abcdef"})
    refuse(server, tmp_path / "many", many, "more than the 1,000,000 bytes that it may have")
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 3)
    refuse(server, tmp_path / "members", packed({f"top/{name}.wav": b"" for name in "abcd"}), "more than 3 members")


def test_a_header_that_says_that_it_is_endless_is_refused_unread(server, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        info = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
        info.size = 5_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    refuse(server, tmp_path, buffer.getvalue(), "a header of 5000192 bytes")


def test_whatever_bytes_come_are_unpacked_or_refused_and_never_anything_else(tmp_path):
    plain, rng = bytearray(gzip.decompress(packed({"top/a.wav": NOISE[:700], "top/b" * 40: b"b"}))), random.Random(0)
    outcomes = set()
    for number in range(150):
        changed = plain.copy()
        for _ in range(rng.choice([1, 3, 20])):
            changed[rng.randrange(3072)] = rng.choice([0, 48, 55, 76, 120, 255, rng.randrange(256)])
        file, folder = tmp_path / f"{number}.tar.gz", tmp_path / str(number)
        file.write_bytes(gzip.compress(bytes(changed), 1))
        try:
            unpack(replace(ARCHIVE, md5=None), file, folder, lambda done, total: None)
            outcomes.add("unpacked")
        except ValueError:
            outcomes.add("refused")
    assert outcomes == {"unpacked", "refused"}


def test_the_sum_of_contents_is_the_same_however_they_are_packed_and_others_are_refused(server, tmp_path):
    unpinned = replace(ARCHIVE, md5=None)
    _, contents = fetch(unpinned, tmp_path / "one", server.url)
    server.content = packed({"elsewhere": b"more", "top/LICENSE": b"free", "top/words/yes.wav": NOISE})
    pinned = replace(unpinned, contents=contents)
    assert fetch(pinned, tmp_path / "two", server.url)[1] == contents
    for changed in ({"top/LICENSE": b"Free", "top/words/yes.wav": NOISE}, {"top/words/yes.wav": NOISE}):
        server.content = packed(changed)
        with pytest.raises(FetchError, match=f"sum of its contents is [0-9a-f]{{64}}, and {contents} is asked for"):
            fetch(pinned, tmp_path / "three", server.url)
        assert list((tmp_path / "three").iterdir()) == []


@pytest.mark.parametrize("published", [True, False])
def test_a_server_that_sends_without_end_is_left(server, tmp_path, monkeypatch, published):
    monkeypatch.setattr(corpora, "MOST_BYTES", len(CONTENT) - 1)
    archive = replace(ARCHIVE, size_bytes=len(CONTENT) - 1) if published else ARCHIVE
    server.lengths = False
    with pytest.raises(FetchError, match=r"gives more than the [0-9,]+ bytes that it may have"):
        fetch(archive, tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_lies_there_is_checked_as_if_it_had_come(server, tmp_path):
    (tmp_path / "words.tar.gz").write_bytes(CONTENT[:90_000])
    with pytest.raises(FetchError, match=r"words\.tar\.gz came with the MD5 sum .* It was removed"):
        fetch(ARCHIVE, tmp_path, server.url)
    fetch(ARCHIVE, tmp_path, server.url)
    assert is_whole(tmp_path)


def test_an_archive_whose_names_this_system_refuses_is_not_used_again(server, tmp_path):
    server.content = packed({f"top/{'n' * 300}.wav": b""})
    with pytest.raises(OSError, match="name too long"):
        fetch(replace(ARCHIVE, md5=None), tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


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
    def complain(folder: Path) -> None:
        raise ValueError(f"it has {len(list(folder.rglob('*.wav')))} recording")

    with pytest.raises(FetchError, match="can't be unpacked: it has 1 recording"):
        fetch(replace(ARCHIVE, prepare=complain), tmp_path, server.url)
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
