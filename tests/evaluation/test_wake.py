"""Figures of wake words on folders of talk."""

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.evaluation import evaluate
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.pretrained import save


@pytest.mark.parametrize("said", ["Oyez!", "hear, oyez, hear", "“oyez”"])
def test_a_word_is_said_also_where_it_stands_beside_punctuation(tmp_path, said):
    model = Keywords(KeywordsSettings(words=("oyez",), mels=8, channels=(6, 6), hidden=5), rngs=nnx.Rngs(0))
    save(model, tmp_path / "oyez")
    for number in range(2):
        write_audio(tmp_path / f"{number}.wav", np.full(8000, 0.1, np.float32), 16_000)
    (tmp_path / "manifest.csv").write_text(f'path,transcript\n0.wav,"{said}"\n1.wav,of oyezes\n')
    answer = evaluate("wake", tmp_path, tmp_path / "oyez")
    assert answer["streaming"]["words"] == 1
    assert answer["streaming"]["detection"]["hours"] == pytest.approx(0.5 / 3600)


@pytest.mark.parametrize("task", ["wake", "keywords"])
def test_where_no_recording_of_a_word_can_be_read_that_is_said(tmp_path, task):
    model = Keywords(KeywordsSettings(words=("oyez",), mels=8, channels=(6, 6), hidden=5), rngs=nnx.Rngs(0))
    save(model, tmp_path / "oyez")
    (tmp_path / "0.wav").write_bytes(b"no sound" * 20)
    write_audio(tmp_path / "1.wav", np.full(8000, 0.1, np.float32), 16_000)
    (tmp_path / "manifest.csv").write_text("path,label\n0.wav,oyez\n1.wav,other\n")
    with pytest.warns(AudioWarning), pytest.raises(AudioError, match=r"No recording of .* could be judged.*0\.wav"):
        evaluate(task, tmp_path, tmp_path / "oyez")
