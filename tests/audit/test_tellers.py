"""What tasks tell of clips adds up to the figures of evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.audit.phonemes import PhonemeTeller
from streamrnn.audit.sound import SoundTeller
from streamrnn.audit.speech import SpeechTeller, speech_told
from streamrnn.audit.telling import clips_of, drawn, tell_all
from streamrnn.audit.transcripts import TranscriptTeller
from streamrnn.audit.words import WordTeller, class_told
from streamrnn.data import Clip
from streamrnn.decisions import roc_auc
from streamrnn.evaluation import evaluate
from streamrnn.evaluation.judging import scan_clip
from streamrnn.models import (
    CTC,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Keywords,
    KeywordsSettings,
    Phonemes,
    PhonemesSettings,
    Transducer,
    TransducerSettings,
)
from streamrnn.pretrained import load, save

RATE = 16_000


def small(model):
    model.eval()
    return model


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """Six clips of noise, of two words, with segments of speech, of two speakers."""
    folder = tmp_path_factory.mktemp("data") / "words"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        write_audio(folder / f"{number}.wav", 0.1 * rng.standard_normal(RATE // 2).astype(np.float32), RATE)
    rows = "".join(f"{n}.wav,{'up' if n % 2 else 'down'},s{n % 2},train\n" for n in range(6))
    (folder / "manifest.csv").write_text("path,label,speaker,split\n" + rows)
    (folder / "vad_segments.csv").write_text("path,start,end\n" + "".join(f"{n}.wav,2000,5000\n" for n in range(6)))
    return folder


@pytest.fixture(scope="module")
def keywords_path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "words.safetensors"
    settings = KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5)
    save(small(Keywords(settings, rngs=nnx.Rngs(3))), path, task="keywords")
    return str(path)


def test_words_add_up_to_the_accuracy_of_evaluation(words, keywords_path):
    told = tell_all(keywords_path, [words], clips_of([words]))
    accuracy = evaluate("keywords", words, keywords_path)["offline"]["accuracy"]
    assert told.task == "keywords" and told.teller.of(told.sums.sum(axis=0)) == pytest.approx(accuracy)


def test_speech_adds_up_to_the_area_under_the_curve_of_all_cells():
    rng = np.random.default_rng(0)
    truth = [rng.random(500) < 0.5 for _ in range(4)]
    scores = [1 / (1 + np.exp(-(rng.standard_normal(500) + 2 * there))) for there in truth]
    told = [speech_told(s, t) for s, t in zip(scores, truth, strict=True)]
    of = SpeechTeller.of(SpeechTeller.__new__(SpeechTeller), sum(each.sums for each in told))
    assert of == pytest.approx(roc_auc(np.concatenate(scores), np.concatenate(truth)), abs=2e-4)
    p = np.where(truth[0], scores[0], 1 - scores[0])
    assert told[0].loss == pytest.approx(-np.mean(np.log(p)))


def test_speech_needs_a_table_of_segments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vad_segments.csv \(path, start, end of speech\)"):
        SpeechTeller(load("vad"), [tmp_path])


def test_the_loss_of_a_class_is_its_cross_entropy():
    told = class_told(np.array([0.3, 0.1]), truth=1)
    assert told.loss == pytest.approx(-np.log(0.25)) and told.sums.tolist() == [0, 1]


def test_answers_are_what_the_decoder_says(words, keywords_path):
    """A word is an answer where its smoothed posterior reaches the threshold: lower it, and there are more."""
    model = load(keywords_path)
    clip = clips_of([words])[0]
    assert not WordTeller(model, [words]).tell(clip).confidences.size
    model.decision = replace(model.decision, threshold=0.1)
    told = WordTeller(model, [words]).tell(clip)
    [first, *_] = model.decoder().push(scan_clip(model, clip))
    assert told.confidences[0] >= first.score >= 0.1


@pytest.mark.parametrize("kind", [CTC, Transducer])
def test_transcripts_tell_errors_and_a_loss_per_symbol(words, kind):
    made = {CTC: CTCSettings, Transducer: TransducerSettings}[kind]
    model = small(kind(made(symbols=("up", "down"), mels=8, channels=6, hidden=5), rngs=nnx.Rngs(0)))
    told = TranscriptTeller(model, [words]).tell(clips_of([words])[0])
    assert told.sums[1] == 1 and 0 < told.loss < 50 and (told.right == (told.sums[0] == 0)).all()


def test_transcripts_of_other_symbols_tell_nothing(words):
    model = small(CTC(CTCSettings(symbols=("left",), mels=8, channels=6, hidden=5), rngs=nnx.Rngs(0)))
    assert TranscriptTeller(model, [words]).tell(clips_of([words])[0]) is None


def test_phonemes_tell_errors_and_a_loss_per_sound(words):
    model = small(Phonemes(PhonemesSettings(mels=8, channels=6, hidden=5, layers=1), rngs=nnx.Rngs(0)))
    told = PhonemeTeller(model, [words]).tell(clips_of([words])[0])
    # Down is said in three sounds.
    assert told.sums[1] == 3 and 0 < told.loss < 50 and not told.confidences.size


def test_a_clip_too_short_for_its_phonemes_is_named(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(RATE // 20, np.float32), RATE)
    (tmp_path / "manifest.csv").write_text("path,transcript,split\na.wav,the paper says nothing,test\n")
    model = small(Phonemes(PhonemesSettings(mels=8, channels=6, hidden=5, layers=1), rngs=nnx.Rngs(0)))
    with pytest.raises(AudioError, match=r"a.wav has \d+ frames for \d+ symbols. Correct its transcript"):
        PhonemeTeller(model, [tmp_path]).tell(clips_of([tmp_path])[0])


def test_phonemes_are_told_by_models_of_phonemes_alone(words, keywords_path):
    with pytest.raises(ValueError, match="Keywords"):
        PhonemeTeller(load(keywords_path), [words])


def test_sound_without_a_clean_twin_is_made_noisy_the_same_way_each_time(words):
    teller = SoundTeller(small(Denoising(DenoisingSettings(hidden=16), rngs=nnx.Rngs(0))), [words])
    clip = clips_of([words])[0]
    once, again = teller.tell(clip), teller.tell(clip)
    assert once.sums[1] == 1 and once.loss == again.loss and np.isfinite(once.loss)
    # What comes out is what went in, at 5 dB, and the improvement.
    assert -once.loss == pytest.approx(5 + once.sums[0], abs=0.3)


def test_a_word_model_is_asked_by_the_task_of_its_class_where_its_file_names_none(words, tmp_path):
    settings = KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5)
    save(small(Keywords(settings, rngs=nnx.Rngs(0))), tmp_path / "m")
    assert isinstance(tell_all(tmp_path / "m", [words], clips_of([words])[:1]).teller, WordTeller)


def test_without_a_truth_there_is_nothing_to_audit(words, keywords_path):
    with pytest.raises(ValueError, match="None of 1 clips has a truth for the task keywords"):
        tell_all(keywords_path, [words], [Clip(words / "0.wav")])


def test_as_many_speakers_as_can_be_are_drawn():
    clips = [Clip(Path(f"{n}.wav"), speaker="much" if n < 90 else f"s{n}") for n in range(100)]
    assert {clip.speaker for clip in drawn(clips, 11)} == {clip.speaker for clip in clips}
    assert drawn(clips, None) == clips and len(drawn(clips, 40)) == 40


def test_labels_that_are_no_words_of_the_model_are_named_once(words, keywords_path):
    teller = WordTeller(load(keywords_path), [])
    clip = next(iter(clips_of([words], ())))
    with pytest.warns(AudioWarning, match="'compass' is none of the model's words and counts as 'unknown'") as told:
        for _ in range(3):
            teller.tell(replace(clip, label="compass"))
    assert len(told) == 1
