"""`streamrnn run --utterances`: files of what is said."""

import numpy as np
import pytest

from streamrnn.audio import read_audio
from streamrnn.pretrained import load
from streamrnn.runtime import utterances

EVERYTHING_IS_SPEECH = ("--threshold", "0.02", "--off-threshold", "0.01", "--padding-ms", "0")


def test_each_utterance_is_a_file_named_by_its_number_and_start(streamrnn, capsys, model_path, sound_path, tmp_path):
    folder = tmp_path / "new" / "said"
    flags = ("--utterances", folder, "--longest-s", "0.7", "--pre-roll-ms", "0", *EVERYTHING_IS_SPEECH)
    assert streamrnn("run", model_path, sound_path, *flags) == 0
    settings = {"threshold": 0.02, "off_threshold": 0.01, "padding_ms": 0.0, "longest_s": 0.7, "pre_roll_ms": 0}
    expected = list(utterances(load(model_path), sound_path, **settings))
    assert len(expected) > 2
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{i:04d}_{u.start_s:.3f}s.wav" for i, u in enumerate(expected, 1)]
    for file, utterance in zip(files, expected, strict=True):
        samples, rate = read_audio(file)
        assert rate == 16_000
        np.testing.assert_allclose(samples, utterance.samples, atol=2**-15)
    assert f"wrote {len(expected)} utterances to {folder}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--longest-s", "3"), "--pre-roll-ms and --longest-s are for --utterances"),
        (("--utterances", "OUT", "--channel", "each"), "--utterances is for one stream"),
        (("--utterances", "OUT", "--longest-s", "0.1"), "longest_s is 0.1"),
        (("--utterances", "OUT", "--pre-roll-ms", "-5"), "pre_roll_ms is -5"),
        (("--encoding", "mulaw"), "--encoding is for the source -"),
    ],
)
def test_flags_that_mean_nothing_are_refused(streamrnn, capsys, model_path, sound_path, tmp_path, flags, said):
    flags = [str(tmp_path / "out") if flag == "OUT" else flag for flag in flags]
    assert streamrnn("run", model_path, sound_path, *flags) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_pipe_may_carry_telephone_bytes(streamrnn, capsys, model_path, tmp_path, monkeypatch):
    import io
    import sys

    from streamrnn.audio.encodings import to_bytes

    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 8000).astype(np.float32)
    printed = []
    for encoding in ("mulaw", "f32le"):
        data = io.BytesIO(to_bytes(sound, encoding))
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": data, "isatty": lambda self: False})())
        flags = ("--sample-rate", "8000", "--encoding", encoding, *EVERYTHING_IS_SPEECH)
        assert streamrnn("run", model_path, "-", *flags) == 0
        printed.append(capsys.readouterr())
    assert [len(p.out.splitlines()) for p in printed] == [2, 2]
    assert all(p.err.startswith("1.0 s of audio") for p in printed)
