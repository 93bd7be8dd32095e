"""What `streamrnn completion` writes is read by the shell itself."""

import shutil
import subprocess

import pytest

from streamrnn.cli import COMMANDS, main


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib

    path = tmp_path_factory.mktemp("completion") / "streamrnn"
    with path.open("w") as file, contextlib.redirect_stdout(file):
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", set(COMMANDS)),
        ("comp", {"compose", "compare", "completion"}),
        ("run vad-", {"vad-compact"}),
        ("run vad mic --min-s", {"--min-speech-ms", "--min-silence-ms"}),
        ("train key", {"keywords"}),
        ("train keywords --start", {"--start"}),
        ("export vad out.onnx --si", {"--silero"}),
    ],
)
def test_commands_models_and_flags_are_completed(script, typed, offered):
    words = ["streamrnn", *typed.split(" ")]
    ask = f"source {script}; COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _streamrnn"
    run = subprocess.run(["bash", "-c", ask + '; echo "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) == offered


def test_other_shells_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["completion", "tcsh"])
    assert "Invalid choice" in capsys.readouterr().err
