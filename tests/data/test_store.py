"""Clips that are decoded when they are asked for."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.data import Clip, ClipStore, read_clips
from streamrnn.data import clips as clip_files

RATE = 8000


@pytest.fixture
def clips(tmp_path) -> list[Clip]:
    """Eight recordings of noise, 400 to 1100 samples."""
    rng = np.random.default_rng(0)
    for number in range(8):
        write_audio(tmp_path / f"{number}.flac", rng.uniform(-0.5, 0.5, 400 + 100 * number), RATE)
    return [Clip(tmp_path / f"{number}.flac", label=str(number)) for number in range(8)]


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the recordings that were decoded, as they are."""
    names: list[str] = []
    read = clip_files.read_audio

    def counted(path, *args):
        names.append(path.stem)
        return read(path, *args)

    monkeypatch.setattr(clip_files, "read_audio", counted)
    return names


def damage(clip: Clip) -> None:
    """Leaves the header, which still opens, and nothing that could be decoded."""
    clip.path.write_bytes(clip.path.read_bytes()[:90])


def assert_same(got: list[tuple[Clip, np.ndarray]], expected: list[tuple[Clip, np.ndarray]]) -> None:
    assert [clip for clip, _ in got] == [clip for clip, _ in expected]
    for (_, a), (_, b) in zip(got, expected, strict=True):
        assert a.dtype == np.int16
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("memory_bytes", [0, 3000, 10**6], ids=["nothing held", "some held", "all held"])
def test_a_store_gives_what_a_list_of_read_clips_gives(clips, memory_bytes):
    expected, store = read_clips(clips, RATE), ClipStore(clips, RATE, memory_bytes)
    for _ in range(2):
        assert len(store) == 8
        assert_same(list(store), expected)
        assert_same([store[i] for i in (7, 0, -1, 3)], [expected[i] for i in (7, 0, -1, 3)])


def test_nothing_is_decoded_before_it_is_asked_for_and_what_is_held_only_once(clips, decoded):
    store = ClipStore(clips, RATE)
    assert decoded == []
    for index in (5, 2, 5, 5):
        store[index]
    assert decoded == ["5", "2"]


def test_what_does_not_fit_into_memory_is_decoded_at_every_use(clips, decoded):
    store = ClipStore(clips, RATE, memory_bytes=2 * (400 + 600))
    for index in (0, 1, 2, 0, 1, 2):
        store[index]
    # 400 samples, then 500 fit; 600 more don't.
    assert decoded == ["0", "1", "2", "2"]


def test_durations_are_those_of_the_clips(clips):
    parts = [clips[0], Clip(clips[7].path, 100, 500), Clip(clips[7].path, 1000)]
    assert ClipStore(parts, RATE // 2).durations_s == pytest.approx([400 / RATE, 400 / RATE, 100 / RATE])


def test_a_clip_behind_the_end_of_its_recording_is_left_out_and_named(clips):
    with pytest.warns(AudioWarning, match=r"1 of 2 clips could not be read .*0\.flac has no samples"):
        assert len(ClipStore([clips[1], Clip(clips[0].path, 9000)], RATE)) == 1


@pytest.mark.parametrize("read", [ClipStore, read_clips])
def test_a_clip_that_ends_behind_its_recording_goes_as_far_as_that_and_is_named(clips, read):
    parts = [Clip(clips[0].path, 100, 400), Clip(clips[0].path, 100, 402), Clip(clips[1].path, 0, 9000)]
    with pytest.warns(AudioWarning, match=r"^2 clips end behind their recordings.*0\.flac, .*1\.flac\."):
        assert [len(samples) for _, samples in read(parts, RATE)] == [300, 300, 500]


def test_clips_of_another_rate_are_resampled(clips):
    assert len(ClipStore(clips, RATE // 2)[0][1]) == 200


def test_files_that_cannot_be_opened_are_left_out_counted_and_named(clips, tmp_path):
    (tmp_path / "3.flac").write_text("no sound")
    (tmp_path / "4.flac").unlink()
    with pytest.warns(AudioWarning, match=r"2 of 8 clips could not be read and are skipped: .*3\.flac.*4\.flac"):
        store = ClipStore(clips, RATE)
    assert [clip.label for clip, _ in store] == ["0", "1", "2", "5", "6", "7"]
    assert store[3][0].label == "5" and len(store.durations_s) == 6


def test_a_store_of_nothing_readable_is_an_error(tmp_path):
    with pytest.raises(AudioError, match="None of 1 clips could be read"):
        ClipStore([Clip(tmp_path / "gone.wav")], RATE)


def test_in_place_of_a_damaged_clip_comes_the_next_and_it_is_named_once(clips):
    damage(clips[6])
    damage(clips[7])
    store = ClipStore(clips, RATE)
    with pytest.warns(
        AudioWarning, match=r"Skipped a damaged clip, [12] of 8 so far: .*[67]\.flac is damaged"
    ) as caught:
        assert [store[index][0].label for index in (6, 7, 6, 5)] == ["0", "0", "0", "5"]
    assert len(caught) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [clip.label for clip, _ in store] == list("012345")


def test_a_store_whose_clips_are_all_damaged_is_an_error(clips):
    for clip in clips:
        damage(clip)
    store = ClipStore(clips, RATE)
    with (
        pytest.warns(AudioWarning, match="Skipped"),
        pytest.raises(AudioError, match="None of 8 clips could be decoded"),
    ):
        store[2]


def test_an_index_beyond_the_clips_is_an_error_as_of_a_list(clips):
    with pytest.raises(IndexError):
        ClipStore(clips, RATE)[8]


@pytest.mark.parametrize("memory_bytes", [0, 4000, 10**6])
def test_threads_that_share_a_store_get_what_one_alone_gets(clips, memory_bytes):
    store, indices = ClipStore(clips, RATE, memory_bytes), np.random.default_rng(0).integers(8, size=400)
    expected = read_clips(clips, RATE)
    with ThreadPoolExecutor(4) as pool:
        assert_same(list(pool.map(lambda i: store[int(i)], indices)), [expected[i] for i in indices])
