"""Situations: what each is made of, that it is always the same, and what is refused."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioWarning, read_audio, write_audio
from streamrnn.data.mixtures import Utterance
from streamrnn.data.recordings import find_recordings
from streamrnn.data.speech_labels import read_speech_labels
from streamrnn.recipes.test_sets.situations import SITUATIONS, Pools, Word, write_situations
from streamrnn.recipes.test_sets.situations.lines import gsm, lossy, mu_law, only_sent_when_spoken, opus
from streamrnn.recipes.test_sets.situations.noises import at_level
from streamrnn.recipes.test_sets.situations.telephony import TONES, dtmf, fax_answer, national_tone, telephone_sounds
from streamrnn.recipes.test_sets.situations.whisper import whispered
from streamrnn.recipes.test_sets.situations.write import FEWEST_WORDS, _vocabularies

RATE = 16_000
BY_NAME = {situation.name: situation for situation in SITUATIONS}


def int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def buzz(duration_s: float, pitch_hz: float) -> np.ndarray:
    time_s = np.arange(round(duration_s * RATE)) / RATE
    return 0.02 * np.sum([np.sin(2 * np.pi * pitch_hz * k * time_s) for k in range(1, 20)], axis=0)


@pytest.fixture(scope="module")
def pools() -> Pools:
    """Two voices, a hiss, a chord, an echo and two words."""
    rng = np.random.default_rng(0)
    speech = [np.pad(buzz(1.5, hz), RATE // 2) for hz in (110, 200)]
    spoken = ((RATE // 2, 2 * RATE),)
    chord = 0.1 * np.sum([np.sin(2 * np.pi * hz * np.arange(3 * RATE) / RATE) for hz in (262, 330, 392)], axis=0)
    echo = np.zeros(2000, np.float32)
    echo[[0, 1500]] = 1, 0.3
    hiss = [int16(0.05 * rng.standard_normal(4 * RATE))]
    words = [
        Word(int16(np.pad(buzz(0.5, hz), RATE // 4)), f"word {hz}", ((RATE // 4, 3 * RATE // 4),)) for hz in (130, 170)
    ]
    voices = [Utterance(int16(sound), spoken) for sound in speech]
    return Pools(voices, hiss, [int16(chord)], hiss, hiss, [echo], {"words": words})


def composed(name: str, pools: Pools, number: int = 0):
    return BY_NAME[name].compose(pools, np.random.default_rng([7, number]), number)


def test_words_at_another_rate_are_where_their_table_says(tmp_path):
    words = [f"word {number}" for number in range(FEWEST_WORDS)]
    rows, spans = ["path,start,end,label,transcript,split"], ["path,start,end"]
    for number, word in enumerate(words):
        # The second half of a recording at 8 kHz: half a second of silence, then half a second of a voice.
        sound = np.concatenate([np.zeros(12_000), buzz(0.5, 130)[::2]]).astype(np.float32)
        write_audio(tmp_path / f"{number}.wav", sound, 8000)
        rows.append(f"{number}.wav,8000,16000,{word},{word},test")
        spans.append(f"{number}.wav,12000,16000")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    (tmp_path / "vad_segments.csv").write_text("\n".join(spans))
    found = _vocabularies(find_recordings([tmp_path]), "test")[tmp_path.name]
    assert {word.label for word in found} == set(words)
    assert all(len(word.samples) == RATE and word.segments == ((RATE // 2, RATE),) for word in found)


def level_db(samples: np.ndarray) -> float:
    return 20 * np.log10(max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-9))


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "amr-8k"])
def test_every_situation_is_sound_with_its_truth_inside_and_depends_on_its_number_alone(name, pools):
    take, again, other = (composed(name, pools, number) for number in (1, 1, 2))
    n = len(take.samples)
    assert take.samples.dtype == np.float32 and np.abs(take.samples).max() <= 1 and np.isfinite(take.samples).all()
    assert n / take.sample_rate == pytest.approx(BY_NAME[name].duration_s, rel=0.7)
    assert 0 <= take.judged_from < n
    assert all(0 <= start < end <= n for start, end in take.segments)
    assert all(0 <= start < end <= n for start, end, _ in take.words)
    np.testing.assert_array_equal(take.samples, again.samples)
    assert (take.segments, take.words) == (again.segments, again.words)
    assert n != len(other.samples) or not np.array_equal(take.samples, other.samples)


def test_a_noise_begins_after_ten_quiet_seconds(pools):
    for number, wanted_db in ((0, -38), (1, -25)):
        take = composed("noise-begins", pools, number)
        assert level_db(take.samples[: take.judged_from]) == pytest.approx(-60, abs=1)
        assert level_db(take.samples[take.judged_from :]) == pytest.approx(wanted_db, abs=1)


def test_mute_is_digital_silence_and_speech_comes_after_it(pools):
    take = composed("after-mute", pools)
    assert take.judged_from == 20 * RATE and not take.samples[: 20 * RATE].any()
    assert min(start for start, _ in take.segments) >= 20 * RATE


@pytest.mark.parametrize(("name", "pause_s"), [("half-a-second-after-noise", 0.5), ("two-seconds-after-noise", 2.0)])
def test_an_utterance_begins_so_long_after_loud_rain(name, pause_s, pools):
    take = composed(name, pools)
    assert level_db(take.samples[: 8 * RATE]) == pytest.approx(-10, abs=1)
    assert take.segments[0][0] / RATE == pytest.approx(8 + pause_s, abs=0.01)
    assert take.segments[0][0] >= take.judged_from == 8 * RATE


def test_quiet_speech_is_quiet(pools):
    take = composed("quiet-speech", pools)
    start, end = take.segments[0]
    assert level_db(take.samples[start:end]) == pytest.approx(-55, abs=6)


def test_words_lie_where_the_table_says(pools):
    take = composed("words", pools)
    assert len(take.words) > 5
    for start, end, _ in take.words:
        assert level_db(take.samples[start:end]) > level_db(take.samples) + 1


def test_words_at_8_khz_have_their_bounds_in_samples_of_8_khz(pools):
    take = composed("words-8k", pools)
    assert take.sample_rate == 8000 and len(take.samples) == 40 * 8000
    assert max(end for _, end, _ in take.words) > 30 * 8000


@pytest.mark.parametrize("tone", TONES, ids=lambda tone: tone.name)
def test_tones_have_their_frequencies_and_no_others(tone):
    sound = national_tone(replace(tone, beat_hz=0.0), 4 * RATE, RATE)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    named = {hz for frequencies, _ in tone.steps for hz in frequencies}
    near = np.min([np.abs(frequency_hz - hz) for hz in named], axis=0) < 40
    assert power[near].sum() > 0.98 * power.sum()


def test_a_cadence_pauses_as_long_as_it_says():
    busy = next(tone for tone in TONES if tone.name == "busy, US")
    sound = national_tone(busy, 2 * RATE, RATE).reshape(4, -1)
    assert [bool(np.abs(part).max() > 0.5) for part in sound] == [True, False, True, False]


def test_keys_sound_two_frequencies_of_the_keypad():
    sound = dtmf(10 * RATE, RATE, np.random.default_rng(0))
    first = sound[:800]
    power = np.abs(np.fft.rfft(first * np.hanning(800), 16_000))
    low_hz, high_hz = (int(np.argmax(power[a:b])) + a for a, b in ((600, 1050), (1100, 1700)))
    assert min(abs(low_hz - hz) for hz in (697, 770, 852, 941)) < 8
    assert min(abs(high_hz - hz) for hz in (1209, 1336, 1477, 1633)) < 8


def test_a_fax_answers_at_2100_hz_and_then_sends_data():
    sound = fax_answer(6 * RATE, RATE, np.random.default_rng(0))
    for part, lowest_hz, highest_hz in ((sound[:RATE], 2080, 2120), (sound[4 * RATE : 5 * RATE], 1500, 2000)):
        power = np.abs(np.fft.rfft(part)) ** 2
        assert power[lowest_hz:highest_hz].sum() > 0.9 * power.sum()


def test_every_sound_of_a_telephone_fits_a_line_of_8_khz():
    for name, make in telephone_sounds():
        sound = make(2 * 8000, 8000, np.random.default_rng(0))
        assert len(sound) == 16_000 and 0.3 < np.abs(sound).max() <= 1.001, name


@pytest.mark.parametrize("codec", [mu_law, gsm, opus(6), opus(12)])
def test_codecs_change_speech_but_keep_it(codec):
    sound = buzz(2, 130)[::2].astype(np.float32)
    coded = codec(sound, 8000)
    assert len(coded) == len(sound) and not np.array_equal(coded, sound)
    shifts = [np.corrcoef(coded[100 + k : 8100 + k], sound[100:8100])[0, 1] for k in range(-80, 81)]
    assert max(shifts) > 0.5
    assert level_db(coded) == pytest.approx(level_db(sound), abs=3)


def test_the_lower_of_two_rates_keeps_less_of_a_voice():
    sound = (buzz(3, 130) + 0.02 * np.random.default_rng(0).standard_normal(3 * RATE))[::2].astype(np.float32)
    errors = [float(np.mean((opus(rate)(sound, 8000) - sound) ** 2)) for rate in (6, 32)]
    assert errors[0] > 2 * errors[1]


@pytest.mark.skipif(shutil.which("sox") is None, reason="SoX codes AMR")
def test_amr_is_left_out_with_a_warning_or_coded(pools):
    take = composed("amr-8k", pools)
    assert take.sample_rate == 8000 and level_db(take.samples) > -60


def test_packets_are_lost_whole_and_as_often_as_asked_for():
    kept = lossy(np.ones(200 * RATE, np.float32), RATE, 0.1, np.random.default_rng(0))
    packets = kept.reshape(-1, 320)
    assert set(packets.mean(axis=1)) == {0.0, 1.0}
    assert 1 - packets.mean() == pytest.approx(0.1, abs=0.03)


def test_what_is_not_spoken_is_not_sent():
    spoken = np.zeros(RATE, bool)
    spoken[4800:8000] = True
    sent = only_sent_when_spoken(np.ones(RATE, np.float32), spoken, np.zeros(RATE, np.float32), RATE)
    assert np.flatnonzero(sent)[[0, -1]].tolist() == [4800, 8000 + round(0.12 * RATE) - 1]


def test_a_whisper_has_the_formants_of_the_voice_and_no_pulse():
    voice = buzz(2, 125).astype(np.float32)
    whisper = whispered(voice, RATE, np.random.default_rng(0))

    def pulse(sound):
        sound = sound[4000:12000]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2 * len(sound))) ** 2
        correlation = np.fft.irfft(spectrum)
        return correlation[120:136].max() / correlation[0]

    assert pulse(voice) > 0.8 and pulse(whisper) < 0.2
    assert level_db(whisper) == pytest.approx(level_db(voice), abs=0.1)


def test_a_level_is_that_of_the_whole_sound():
    assert level_db(at_level(np.random.default_rng(0).standard_normal(1000), -30)) == pytest.approx(-30, abs=0.01)
    assert not at_level(np.zeros(10), -30).any()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder of speech, of noise and of music, all of split test; no words."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    sounds = {
        "speech/voice.wav": np.pad(buzz(1.5, 120), RATE // 2),
        "noise/hiss.wav": 0.01 * rng.standard_normal(2 * RATE),
        "music/chord.wav": 0.1 * np.sin(np.arange(2 * RATE) / 9),
    }
    for name, samples in sounds.items():
        path = folder / name
        path.parent.mkdir()
        write_audio(path, samples.astype(np.float32), RATE)
        (path.parent / "manifest.csv").write_text(f"path,split,label\n{path.name},test,sound\n")
    (folder / "speech/vad_segments.csv").write_text("path,start,end,quality\nvoice.wav,8000,32000,A\n")
    return folder


CHOSEN = ("noise-begins", "after-mute")


def test_situations_are_written_as_folders_of_recordings(data, tmp_path):
    assert write_situations([data], tmp_path / "out", hours=0.02, only=CHOSEN) == list(CHOSEN)
    with (tmp_path / "out/situations.csv").open(newline="") as file:
        assert [(row["situation"], row["compared"]) for row in csv.DictReader(file)] == [
            ("noise-begins", "0"),
            ("after-mute", "1"),
        ]
    with (tmp_path / "out/noise-begins/manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and {row["judged_from"] for row in rows} == {str(10 * RATE)}
    samples, rate = read_audio(tmp_path / "out/noise-begins" / rows[0]["path"])
    assert (len(samples), rate) == (int(rows[0]["end"]), RATE)
    labels = read_speech_labels(tmp_path / "out/after-mute/vad_segments.csv")
    assert min(start for of in labels.values() for start, _ in of.speech) >= 20 * RATE


def test_a_situation_does_not_depend_on_the_others_or_on_how_much_is_asked_for(data, tmp_path):
    write_situations([data], tmp_path / "both", hours=0.02, only=CHOSEN)
    write_situations([data], tmp_path / "one", hours=0.01, only=["after-mute"])
    first = "after-mute/after-mute_0000.flac"
    assert (tmp_path / "both" / first).read_bytes() == (tmp_path / "one" / first).read_bytes()


def test_situations_without_their_words_are_left_out_with_a_warning(data, tmp_path):
    with pytest.warns(AudioWarning, match="words-far is left out: there are no recordings of words"):
        assert write_situations([data], tmp_path / "out", hours=0.01, only=["words-far", "clicks"]) == ["clicks"]


def test_a_folder_of_situations_is_not_written_over(data, tmp_path):
    write_situations([data], tmp_path / "out", hours=0.001, only=["clicks"])
    with pytest.raises(FileExistsError, match=r"situations\.csv"):
        write_situations([data], tmp_path / "out", hours=0.001, only=["clicks"])


def test_impossible_sizes_and_unknown_names_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"hours is .*; it must be above 0, and finite"):
        write_situations([data], tmp_path / "out", hours=0)
    with pytest.raises(ValueError, match=r"no situation storms. The situations are: noise-begins"):
        write_situations([data], tmp_path / "out", only=["storms"])
