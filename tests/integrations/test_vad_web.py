"""@ricky0123/vad-web loads a file with Silero's signature and finds our segments: its JavaScript, in Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.integrations.conftest import SOUNDS

RUNNER = Path(__file__).with_name("vad_web.cjs")
REDEMPTION_MS, MIN_SPEECH_MS = 384, 128
HESITANT = {"german_platform.ogg"}


def node(*arguments) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def heard(compact, recording, tmp_path_factory):
    """name -> the segments that it hears, all in one run: its runtime takes a second to start."""
    if not shutil.which("node") or node("-e", "require('@ricky0123/vad-web')").returncode:
        pytest.skip("Node.js with @ricky0123/vad-web is missing; make test-integrations has it")
    folder = tmp_path_factory.mktemp("sounds")
    for name in SOUNDS:
        sound = np.concatenate([recording(name, 16_000), np.zeros(16_000, np.int16)])
        (sound.astype(np.float32) / 32768).tofile(folder / name)
    run = node(RUNNER, compact[0], REDEMPTION_MS, MIN_SPEECH_MS, *(folder / name for name in SOUNDS))
    assert run.returncode == 0, run.stderr
    return dict(zip(SOUNDS, map(json.loads, run.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", SOUNDS)
def test_vad_compact_finds_the_segments_of_every_sample(heard, agree, name):
    settings = {"min_silence_ms": REDEMPTION_MS, "min_speech_ms": MIN_SPEECH_MS, "padding_ms": 0}
    agree(lambda _sound: heard[name], name, hesitant=HESITANT, **settings)
