"""Noisy speech: what is mixed, what is learned from it, and what is refused."""

import csv
import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import read_audio, write_audio
from streamrnn.data.noisy_speech import NoisySettings, NoisySpeech, Voice
from streamrnn.decisions.sound import si_sdr_db
from streamrnn.learning import TrainingSettings
from streamrnn.learning.batches import suspects
from streamrnn.losses import disturbance_loss
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.recipes import denoising
from streamrnn.recipes.denoising import DenoisingRecipe, DenoisingTraining, read_noisy_speech
from streamrnn.recipes.test_sets.mixes import write_noisy_speech
from streamrnn.recipes.train import train

RATE = 8000
SMALL = DenoisingSettings(sample_rate=RATE, window_samples=60, hop_samples=20, bands=6, hidden=8, memory_s=0.1)


SPLITS = ("train", "valid", "test")


def write_folder(folder: Path, recordings: dict[str, np.ndarray], quality: dict[str, str] | None = None) -> None:
    """Each recording for every split, a little softer each time; quality of labels by recording."""
    folder.mkdir(parents=True)
    for number, (name, split) in enumerate(itertools.product(recordings, SPLITS)):
        write_audio(folder / f"{split}_{name}", (1 - number / 1000) * recordings[name], RATE)
    rows = [f"{split}_{name},{split}\n" for name, split in itertools.product(recordings, SPLITS)]
    (folder / "manifest.csv").write_text("path,split\n" + "".join(rows))
    if quality:
        labels = [f"{split}_{name},1,2,{quality[name]}\n" for name, split in itertools.product(quality, SPLITS)]
        (folder / "vad_segments.csv").write_text("path,start,end,quality\n" + "".join(labels))


def tone(hz: float, floor: float) -> np.ndarray:
    """Two seconds, in the second of them a tone, over some noise."""
    n = np.arange(2 * RATE)
    return 0.3 * np.sin(2 * np.pi * hz * n / RATE) * (n > RATE) + floor * np.random.default_rng(1).standard_normal(
        len(n)
    )


@pytest.fixture
def data(tmp_path) -> Path:
    """A clean voice (700 Hz), a noisy one (1000 Hz), one of the crowd (1300 Hz), one without labels (1600 Hz)."""
    rng = np.random.default_rng(0)
    recordings = {"clean.wav": tone(700, 1e-4), "noisy.wav": tone(1000, 0.03), "crowd.wav": tone(1300, 0.01)}
    quality = {"clean.wav": "A", "noisy.wav": "A", "crowd.wav": "B"}
    write_folder(tmp_path / "data/speech", recordings, quality)
    write_folder(tmp_path / "data/words", {"word.wav": tone(1600, 1e-5)})
    write_folder(tmp_path / "data/noise", {"hiss.wav": 0.01 * rng.standard_normal(RATE)})
    write_folder(tmp_path / "data/music", {"chord.wav": 0.1 * np.sin(np.arange(RATE))})
    return tmp_path / "data"


def speech(**settings) -> NoisySpeech:
    """Draws from generated sound: two voices, one noise, one chord, one room."""
    rng = np.random.default_rng(0)
    voices = [Voice((8000 * rng.standard_normal(RATE)).astype(np.int16), name) for name in ("a.wav", "b.wav")]
    noise = (500 * rng.standard_normal(2 * RATE)).astype(np.int16)
    room = np.zeros(RATE // 2, np.int16)
    room[[50, 400, 3000]] = 30_000, 10_000, 10_000  # direct, after 44 ms, after 369 ms
    return NoisySpeech([(1.0, voices)], [noise], [noise[::-1]], [room], RATE, NoisySettings(**settings))


def draw(mixes: NoisySpeech, seed: int = 0, duration_s: float = 1.0):
    return mixes.draw(np.random.default_rng(seed), duration_s)


@pytest.mark.parametrize(
    "setting",
    ["music", "babble", "synthetic", "second_noise", "click", "colour", "telephone"],
)
def test_with_all_kinds_of_noise_the_ratio_is_the_one_that_was_drawn(setting):
    for seed in range(3):
        mix = draw(speech(**{"music_share": 0.0, f"{setting}_share": 1.0}), seed)
        noise = mix.samples - mix.clean
        snr_db = 10 * np.log10(np.sum(mix.clean**2) / np.sum(noise**2))
        # Clicks and noise are measured together; a telephone takes some of both away afterwards.
        assert snr_db == pytest.approx(mix.snr_db, abs=3 if setting == "telephone" else 0.1)
        assert 0 <= mix.snr_db <= 15


def test_levels_are_those_that_were_asked_for_and_nothing_is_clipped():
    mix = draw(speech(level_db=(-30.0, -30.0)))
    assert 20 * np.log10(np.std(mix.samples)) == pytest.approx(-30, abs=0.1)
    assert np.abs(draw(speech(level_db=(0.0, 0.0))).samples).max() <= 0.991


def test_the_same_generator_gives_the_same_mix():
    settings = {"babble_share": 0.5, "colour_share": 0.5, "room_share": 0.5, "speed": (0.9, 1.1)}
    first, again, other = (draw(speech(**settings), seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)


def test_speech_and_noise_that_were_played_slower_lack_the_same_frequencies():
    """Else a model learns to tell speech from noise by that."""
    white = np.random.default_rng(0).integers(-3000, 3000, 8 * RATE, dtype=np.int16)
    sources = {"speech": [(1.0, [Voice(white, "white")])], "noise": [white], "music": [white], "rooms": []}
    slower = NoisySpeech(**sources, sample_rate=RATE, settings=NoisySettings(speed=(0.7, 0.7)))
    mix = slower.draw(np.random.default_rng(0), 3.0)
    for sound in (mix.clean, mix.samples - mix.clean):
        power = np.abs(np.fft.rfft(sound)) ** 2
        assert np.mean(power[-len(power) // 5 :]) < 0.01 * np.mean(power)


def test_of_a_room_the_early_reflections_stay():
    quiet = {"snr_db": (90.0, 90.0), "room_share": 1.0}
    mix = draw(speech(**quiet), duration_s=5.0)
    late = mix.samples - mix.clean
    assert 10 * np.log10(np.sum(mix.clean**2) / np.sum(late**2)) == pytest.approx(10 * np.log10(10), abs=1.5)
    assert si_sdr_db(draw(speech(snr_db=(90.0, 90.0))).samples, draw(speech(snr_db=(90.0, 90.0))).clean) > 80


def pitches(mixes: NoisySpeech) -> set[int]:
    """The tones of all speech that may be drawn, in Hz."""
    spectra = [np.abs(np.fft.rfft(voice.samples[-RATE:])) for _, pool in mixes.speech for voice in pool]
    return {int(np.argmax(spectrum)) for spectrum in spectra}


def test_figures_are_taken_on_clean_labelled_speech_and_training_also_hears_what_measures_as_clean(data):
    assert pitches(read_noisy_speech([data], "valid", RATE, NoisySettings())) == {700}
    assert pitches(read_noisy_speech([data], "train", RATE, NoisySettings(), unlabelled=True)) == {700, 1600}


def test_speech_has_no_rumble(data, tmp_path):
    n = np.arange(2 * RATE)
    rumbling = tone(700, 1e-4) + 0.2 * np.sin(2 * np.pi * 20 * n / RATE)
    write_folder(tmp_path / "more/speech", {"clean.wav": rumbling}, {"clean.wav": "A"})
    places = [tmp_path / "more/speech", data / "noise", data / "music"]
    ((_, (kept,)),) = read_noisy_speech(places, "valid", RATE, NoisySettings()).speech
    spectrum = np.abs(np.fft.rfft(kept.samples[-RATE:]))
    assert spectrum[20] < 0.05 * spectrum[700]


@pytest.fixture
def recipe(data) -> DenoisingRecipe:
    return DenoisingRecipe([data], DenoisingTraining(model=SMALL, batch_size=2, duration_s=0.2, workers=1))


def test_a_batch_depends_on_its_step_alone(recipe):
    in_a_row = list(recipe.batches(0, 3))
    alone = next(iter(recipe.batches(2, 3)))
    for name in ("noisy", "clean"):
        assert in_a_row[2][name].shape == (2, 80, 20)
        np.testing.assert_array_equal(in_a_row[2][name], alone[name])
    assert not np.array_equal(in_a_row[0]["noisy"], in_a_row[1]["noisy"])


def test_a_batch_names_the_speech_in_it_for_errors_to_name(recipe, data):
    speech = {str(data / "speech/train_clean.wav"), str(data / "words/train_word.wav")}
    batches = list(recipe.batches(0, 3))
    for batch in batches:
        assert len(batch["names"]) == 2
        assert {name for row in batch["names"] for name in row} <= speech
    batches[0]["noisy"][1, 0, 0] = np.nan
    assert suspects(batches[0]) == [", ".join(batches[0]["names"][1])]


def test_private_training_hears_no_babble(data, monkeypatch):
    monkeypatch.setattr(denoising, "TRAINING_MIXES", NoisySettings(babble_share=1.0))
    mixed: list[int] = []
    monkeypatch.setattr(NoisySpeech, "_babble", lambda self, rng, n: mixed.append(n) or np.ones(n, np.float32))
    list(
        DenoisingRecipe([data], DenoisingTraining(SMALL, TrainingSettings(), batch_size=2, duration_s=0.2)).batches(
            0, 3
        )
    )
    assert mixed
    mixed.clear()
    private = TrainingSettings(dp_clip=1.0, dp_noise=1.0)
    list(DenoisingRecipe([data], DenoisingTraining(SMALL, private, batch_size=2, duration_s=0.2)).batches(0, 3))
    assert not mixed


def test_the_loss_tells_clean_sound_from_noisy(recipe):
    """The model passes all, so its loss is the distance of its input."""
    model = recipe.model(nnx.Rngs(0))
    batch = next(iter(recipe.batches(0, 1)))
    batch.pop("names")
    loss = nnx.jit(recipe.loss)
    assert loss(model, {"noisy": batch["clean"], "clean": batch["clean"]}).value < loss(model, batch).value


def test_the_loss_from_a_fresh_state_is_that_of_a_fresh_stream_and_carries_on(recipe):
    model, batch = recipe.model(nnx.Rngs(0)), next(iter(recipe.batches(0, 1)))
    arrays = {name: jnp.asarray(batch[name]) for name in ("noisy", "clean")}
    # What the model still owes at the end comes with the frames that follow.
    longer = {name: jnp.pad(x, ((0, 0), (0, model.lookahead), (0, 0))) for name, x in arrays.items()}
    loss = nnx.jit(recipe.loss)
    value, carry = loss(model, longer, model.init_state(2))
    assert value.value == pytest.approx(float(loss(model, arrays).value), rel=1e-5)
    again, _ = loss(model, longer, carry)
    assert abs(again.value - value.value) > 1e-4


def test_some_mixes_go_on_from_others(data):
    settings = DenoisingTraining(model=SMALL, batch_size=40, duration_s=0.05, carried_share=0.75, workers=1)
    resets = np.concatenate([batch["reset"] for batch in DenoisingRecipe([data], settings).batches(0, 5)])
    assert 0.15 < resets.mean() < 0.35
    fresh = DenoisingRecipe([data], dataclasses.replace(settings, carried_share=0.0))
    assert fresh.initial_carry is None and "reset" not in next(iter(fresh.batches(0, 1)))


def test_a_run_goes_on_with_the_states_that_it_carried(data, tmp_path):
    training = TrainingSettings(steps=4, validate_every=2, warmup_steps=1)
    settings = DenoisingTraining(SMALL, training, batch_size=2, duration_s=0.1, carried_share=0.9, workers=1)

    def trained(name: str, *figures: float | BaseException) -> list[np.ndarray]:
        recipe, answers = DenoisingRecipe([data], settings), iter(figures)

        def validate(model: Denoising) -> float:
            if isinstance(answer := next(answers), BaseException):
                raise answer
            return answer

        recipe.validate = validate
        model, _ = train(recipe, "denoise", tmp_path / name)
        return [np.asarray(weight) for weight in jax.tree.leaves(nnx.state(model, nnx.Param))]

    whole = trained("whole", 0.25, 0.5)
    with pytest.raises(KeyboardInterrupt):
        trained("resumed", 0.25, KeyboardInterrupt())
    for resumed, expected in zip(trained("resumed", 0.5), whole, strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_validation_asks_for_little_noise_and_for_little_that_is_heard(recipe, monkeypatch):
    """Of a model that gives back what it hears."""
    model = recipe.model(nnx.Rngs(0))
    mixes = read_noisy_speech([*recipe.recordings.places], "valid", RATE, NoisySettings())
    rng = np.random.default_rng(1)
    drawn = [mixes.draw(rng, 5.0) for _ in range(60)]
    noisy, clean = (jnp.stack([getattr(mix, name) for mix in drawn]) for name in ("samples", "clean"))
    expected = np.mean([si_sdr_db(*pair) for pair in zip(noisy, clean, strict=True)])
    expected -= 10 * float(disturbance_loss(noisy, clean, sample_rate=RATE).value)
    monkeypatch.setattr("streamrnn.recipes.denoising.outputs", lambda model, noisy: noisy)
    assert recipe.validate(model) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("missing", ["noise", "music", "speech"])
def test_what_is_missing_is_named_before_the_first_update(data, missing):
    kept = [folder for folder in sorted(data.iterdir()) if folder.name not in (missing, "words")]
    with pytest.raises(ValueError, match=f"no {missing}"):
        DenoisingRecipe(kept, DenoisingTraining(model=SMALL))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"workers": 0},
        {"duration_s": 0.03},
        {"sdr_weight": -0.1},
        {"disturbance_weight": np.nan},
        {"carried_share": 1.1},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DenoisingTraining(**wrong)


def test_a_noisy_set_is_always_the_same_and_says_what_is_in_it(data, tmp_path):
    for name, clips in (("a", 3), ("b", 2)):
        write_noisy_speech(data, tmp_path / name, clips=clips, duration_s=0.5, sample_rate=RATE)
    for kind, number in itertools.product(("noisy", "clean"), range(2)):
        file = f"{kind}_{number:04}.flac"
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    with (tmp_path / "a/manifest.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["clean"] for row in rows] == ["clean_0000.flac", "clean_0001.flac", "clean_0002.flac"]
    for row in rows:
        noisy, clean = (read_audio(tmp_path / "a" / row[column])[0] for column in ("path", "clean"))
        assert len(noisy) == len(clean) == RATE // 2
        assert si_sdr_db(noisy, clean) == pytest.approx(float(row["snr_db"]), abs=1)


def test_a_noisy_set_is_not_written_over_another_nor_without_clips(data, tmp_path):
    write_noisy_speech(data, tmp_path / "a", clips=1, duration_s=0.1, sample_rate=RATE)
    with pytest.raises(FileExistsError, match=r"holds a manifest\.csv already"):
        write_noisy_speech(data, tmp_path / "a", clips=1, duration_s=0.1, sample_rate=RATE)
    with pytest.raises(ValueError, match="clips is 0; it must be at least 1"):
        write_noisy_speech(data, tmp_path / "c", clips=0)
    with pytest.raises(ValueError, match="seed is -1; it must be 0 or above"):
        write_noisy_speech(data, tmp_path / "c", clips=1, duration_s=0.1, sample_rate=RATE, seed=-1)
