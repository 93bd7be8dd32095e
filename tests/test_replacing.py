"""Files are written whole or not at all."""

import resource

import pytest

from streamrnn.cli import main
from streamrnn.replacing import replace_file


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "model.safetensors"
    replace_file(path, b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            replace_file(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"before"


@pytest.mark.parametrize("name", [None, "x.json"])
def test_a_full_disk_is_told_with_what_to_do(name, monkeypatch, capsys):
    def full(_args):
        raise OSError(28, "No space left on device", name)

    monkeypatch.setattr("streamrnn.cli._dispatch", full)
    assert main([]) == 2
    place = f"{name}: " if name else ""
    said = f"streamrnn: {place}No space left on device. Make room, and run the same command again\n"
    assert capsys.readouterr().err == said
