"""Words joined into strings: what is in them, where it is, and what is left out."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioWarning, read_audio, write_audio
from streamrnn.data import Clip, read_manifest
from streamrnn.data.spoken import Spoken, Strings, StringSettings, laid_over, spoken_ids, trimmed
from streamrnn.decisions import Alphabet
from streamrnn.recipes.test_sets.strings import write_strings

RATE = 1000
WORDS = Alphabet(("one", "two"))
CHARACTERS = Alphabet(("a", "b", " "))
HERE = Path("clip.wav")


def word(symbol: int | None, speaker: str = "", length: int = 400) -> Spoken:
    """A ramp with 100 ms of silence on both sides; those of no symbol begin below zero."""
    ramp = 0.1 * (symbol or -1) + 0.001 * np.arange(length - 200, dtype=np.float32)
    samples = np.pad(ramp, 100)
    return Spoken(samples, () if symbol is None else (symbol,), speaker, spans=((100, length - 100),))


def strings(*words: Spoken, **settings) -> Strings:
    return Strings({HERE: list(words)}, RATE, StringSettings(**{"one_speaker_share": 0.0, **settings}))


def test_transcripts_and_else_labels_become_symbols_whatever_their_case():
    clips = [Clip(HERE, transcript="TWO One"), Clip(HERE, label="two"), Clip(HERE), Clip(HERE, label="cat")]
    assert [ids for _, ids in spoken_ids(clips, WORDS)] == [(2, 1), (2,), ()]
    assert [ids for _, ids in spoken_ids([Clip(HERE, transcript="AB  b")], CHARACTERS)] == [(1, 2, 3, 2)]


@pytest.mark.parametrize(
    ("alphabet", "text", "named"),
    [(WORDS, "one cat two", "'cat'"), (CHARACTERS, "abx", "'x'")],
    ids=["words", "letters"],
)
def test_clips_with_other_words_or_characters_are_left_out_counted_and_named(alphabet, text, named):
    clips = [Clip(HERE, transcript=text), Clip(HERE, transcript=alphabet.symbols[0])]
    with pytest.warns(AudioWarning, match=f"1 of 2 clips are left out: {named} are no symbols"):
        assert [ids for _, ids in spoken_ids(clips, alphabet)] == [(1,)]


def test_trimming_keeps_what_is_loud_and_100_ms_around_it():
    sound = np.r_[np.zeros(300), np.ones(100), np.zeros(200)].astype(np.float32)
    for kept, length, span in (
        (sound, 300, (100, 200)),
        (sound[250:420], 170, (50, 150)),
        (sound[300:400], 100, (0, 100)),
        (np.zeros(50, np.float32), 50, (0, 50)),
    ):
        samples, found = trimmed(kept, RATE)
        assert (len(samples), found) == (length, span)


@given(seed=st.integers(0, 2**32 - 1), longest=st.integers(400, 4000))
def test_a_string_says_its_words_where_its_spans_are_and_is_no_longer_than_asked_for(seed, longest):
    drawn = strings(word(1), word(2), overlap_s=0.0).draw(np.random.default_rng(seed), longest)
    assert 1 <= len(drawn.ids) == len(drawn.spans) <= 12
    assert len(drawn.samples) <= longest
    # Words are made equally loud, so they are told apart by how much they rise.
    for symbol, (start, end) in zip(drawn.ids, drawn.spans, strict=True):
        heard = drawn.samples[start:end]
        assert heard[-1] / heard[0] == pytest.approx((0.1 * symbol + 0.199) / (0.1 * symbol), rel=0.01)


def test_words_cut_close_at_their_ends_keep_their_distance_and_their_spans():
    close = Spoken(np.linspace(0.1, 0.3, 200, dtype=np.float32), (1,), spans=((0, 200),))
    pool = strings(word(1), close, overlap_s=0.0, words=(12, 12))
    for seed in range(5):
        drawn = pool.draw(np.random.default_rng(seed))
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(drawn.spans))
        assert all(end - start == 200 for start, end in drawn.spans)


def test_the_same_random_numbers_give_the_same_string():
    pool = strings(word(1), word(2), word(None))
    one, again = (pool.draw(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.samples, again.samples)
    assert one.ids == again.ids


def test_words_of_no_symbol_are_heard_and_not_written():
    garbage = strings(word(1), word(None), garbage_share=1.0, words=(1, 1), pause_s=0.0)
    drawn = garbage.draw(np.random.default_rng(0))
    assert drawn.ids == (1,) and len(drawn.samples) > 500


def test_one_voice_says_a_whole_string_if_it_knows_several_words():
    many, few = [word(i, "anna", 300) for i in (1, 2, 3)], [word(i, "ben") for i in (1, 2)]
    pool = strings(*many, *few, one_speaker_share=1.0)
    for seed in range(5):
        drawn = pool.draw(np.random.default_rng(seed))
        assert {end - start for start, end in drawn.spans} == {300 - 200}


def test_a_folder_of_many_voices_is_drawn_more_often_than_one_of_many_recordings_by_one_voice():
    voices = [word(1, f"voice {i}", 300) for i in range(20)]
    many = Strings({Path("a"): voices, Path("b"): [word(1, "anna")] * 400}, RATE, StringSettings(one_speaker_share=0.0))
    drawn = [many.draw(np.random.default_rng(seed)) for seed in range(40)]
    short = [end - start == 300 - 200 for string in drawn for start, end in string.spans]
    # 20 voices to 1, by the balance of pools: 2.5 to 1.
    assert np.mean(short) == pytest.approx(20**0.3 / (20**0.3 + 1), abs=0.06)


def test_strings_of_one_voice_hold_words_that_few_voices_say_as_well_as_those_that_many_say():
    few = [word(i, "anna") for i in (1, 2, 3)]
    many = [word(i, f"voice {n}") for n in range(50) for i in (4, 5, 6)]
    pool = strings(*few, *many, one_speaker_share=1.0)
    said = [i for seed in range(60) for i in pool.draw(np.random.default_rng(seed)).ids]
    assert np.mean([i in (1, 2, 3) for i in said]) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("tempo", [0.8, 1.25])
def test_words_at_another_tempo_are_as_much_longer_as_their_spans(tempo):
    drawn = strings(word(1), word_tempo=(tempo, tempo), words=(1, 1)).draw(np.random.default_rng(0))
    assert len(drawn.samples) == round(400 / tempo)
    assert drawn.spans == ((round(100 / tempo), round(300 / tempo)),)


def test_words_through_other_microphones_keep_their_length_and_sound_different():
    plain, coloured = (
        strings(word(1), word_colour_share=share, words=(1, 1)).draw(np.random.default_rng(0)) for share in (0.0, 1.0)
    )
    assert plain.spans == coloured.spans and len(plain.samples) == len(coloured.samples)
    assert np.abs(plain.samples / plain.samples.std() - coloured.samples / coloured.samples.std()).max() > 0.05


def test_sound_laid_over_another_is_added():
    ones = np.ones(4, np.float32)
    np.testing.assert_array_equal(laid_over(ones, ones, 3), [1, 1, 1, 2, 1, 1, 1])


@pytest.mark.parametrize(
    "settings", [{"words": (0, 3)}, {"words": (4, 3)}, {"repeat_share": 1.5}, {"word_tempo": (0.0, 1.0)}]
)
def test_settings_out_of_range_are_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        StringSettings(**settings)


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "words"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("one", "two", "more"):
        write_audio(folder / f"{name}.wav", 0.1 * rng.standard_normal(8000), 16_000)
    (folder / "manifest.csv").write_text("path,label,split\none.wav,one,test\ntwo.wav,two,test\nmore.wav,two,train\n")
    return folder


def test_strings_on_disk_read_as_any_other_folder_and_tell_where_words_are(data, tmp_path):
    write_strings([data], tmp_path / "out", clips=4, symbols=("one", "two"))
    clips = read_manifest(tmp_path / "out", "test")
    with (tmp_path / "out/words.csv").open() as file:
        rows = list(csv.DictReader(file))
    for clip in clips:
        of_clip = [row for row in rows if row["path"] == clip.path.name]
        assert " ".join(row["word"] for row in of_clip) == clip.transcript
        samples, rate = read_audio(clip.path)
        assert rate == 16_000 and len(samples) == clip.end
        assert not samples[:8000].any() and not samples[-8000:].any()
        for row in of_clip:
            assert np.std(samples[int(row["start"]) : int(row["end"])]) > 0.02


def test_more_strings_only_add_to_fewer(data, tmp_path):
    for name, count in (("few", 2), ("many", 3)):
        write_strings([data], tmp_path / name, clips=count, symbols=("one", "two"))
    for name in ("string_0000.flac", "string_0001.flac"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_strings_are_not_mixed_with_others_and_need_words_of_their_split(data, tmp_path):
    with pytest.raises(FileExistsError, match="holds a manifest"):
        write_strings([data], data, symbols=("one", "two"))
    with pytest.raises(ValueError, match="no clip of split valid"):
        write_strings([data], tmp_path / "out", split="valid", symbols=("one", "two"))
    with pytest.raises(ValueError, match="clips is 0; it must be at least 1"):
        write_strings([data], tmp_path / "out", clips=0)
