"""The recipes of tasks of lines: what their batches hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.data.examples import Example, read_examples, wanted_of
from streamrnn.data.music import read_pieces
from streamrnn.data.pronunciations import read_pronunciations
from streamrnn.evaluation.choices import figures
from streamrnn.models import (
    ChoicesSettings,
    ClassifierSettings,
    ForecastSettings,
    MusicSettings,
    NextItemSettings,
    SpellerSettings,
)
from streamrnn.recipes.choices import ChoicesRecipe, ChoicesTraining, surprise
from streamrnn.recipes.classifier import (
    EmotionRecipe,
    EmotionTraining,
    IntentRecipe,
    IntentTraining,
    PenRecipe,
    PenTraining,
)
from streamrnn.recipes.forecast import ForecastRecipe, ForecastTraining, ahead
from streamrnn.recipes.music import MusicRecipe, MusicTraining
from streamrnn.recipes.next_item import TypingRecipe, TypingTraining
from streamrnn.recipes.padding import last, padded, within
from streamrnn.recipes.speller import SayRecipe, SayTraining
from streamrnn.recipes.train import foresee


def first(recipe, step=0):
    return next(iter(recipe.batches(step, step + 1)))


def test_rows_of_unequal_length_are_padded_and_counted_up_to_their_ends():
    rows, lengths = padded([np.ones((2, 1)), np.ones((5, 1))], 4, padding=-1)
    np.testing.assert_array_equal(rows[:, :, 0], [[1, 1, -1, -1], [1, 1, 1, 1]])
    np.testing.assert_array_equal(lengths, [2, 4])
    np.testing.assert_array_equal(within(jnp.asarray(lengths), 4), [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(last(jnp.asarray(lengths), 4), [[0, 1, 0, 0], [0, 0, 0, 1]])


def test_a_forecaster_takes_columns_and_scale_from_the_rows_that_it_trains_on(tmp_path):
    values = np.stack([np.arange(100), 3 * np.arange(100)], axis=1)
    table = tmp_path / "table.csv"
    table.write_text("date,a,b\n" + "\n".join(f"{n},{a},{b}" for n, (a, b) in enumerate(values)))
    settings = ForecastTraining(model=ForecastSettings(horizon=3), warm_rows=4, counted_rows=5, stretches=2)
    recipe = ForecastRecipe([table], settings)
    assert recipe.settings.model.columns == ("a", "b") and recipe.settings.model.mean == pytest.approx((29.5, 88.5))
    rows = first(recipe)["rows"]
    assert rows.shape == (2, 12, 2) and rows.max() < 60 * 3
    np.testing.assert_array_equal(np.diff(rows[:, :, 0], axis=1), 1)
    assert recipe.recordings.digest == ForecastRecipe([table], settings).recordings.digest
    with pytest.raises(ValueError, match="has 60 rows to train on; a stretch has"):
        ForecastRecipe([table], ForecastTraining())


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (MusicTraining, {"pieces": 0}),
        (MusicTraining, {"frames": 0}),
        (MusicTraining, {"transposed": -1}),
        (TypingTraining, {"rows": 0}),
        (TypingTraining, {"items": 0}),
        (ForecastTraining, {"stretches": 0}),
        (ForecastTraining, {"counted_rows": 0}),
        (ForecastTraining, {"warm_rows": -1}),
        (SayTraining, {"words": 0}),
        (SayTraining, {"longest_letters": 0}),
        (ChoicesTraining, {"people": 0}),
        (ChoicesTraining, {"shuffled_share": 1.5}),
        (IntentTraining, {"examples": 0}),
        (PenTraining, {"longest_items": 0}),
        (PenTraining, {"tilt": -0.1}),
        (IntentTraining, {"item_dropout": 2.0}),
        (ClassifierSettings, {"window": 0}),
        (ClassifierSettings, {"features": 0}),
        (ForecastSettings, {"horizon": 0}),
        (NextItemSettings, {"hidden": 0}),
        (SpellerSettings, {"layers": 0}),
        (MusicSettings, {"head": 0}),
        (ChoicesSettings, {"hidden": 0}),
    ],
)
def test_settings_out_of_range_are_refused(settings, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(
        ValueError, match=rf"^{name} is {value}; it must be (at least 1|0 or above, and finite|from 0 to 1)\.$"
    ):
        settings(**wrong)


def test_music_in_two_texts_of_one_name_is_refused(tmp_path):
    for folder in ("a", "b/old"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "train.txt").write_text("C3 E4\n")
    with pytest.raises(ValueError, match=r"has more than one train\.txt\. Pass the folder of one alone"):
        read_pieces([tmp_path / "a", tmp_path / "b"])
    assert len(read_pieces([tmp_path / "a"]).parts["train"]) == 1


def test_what_comes_ahead_is_the_next_rows():
    comes = ahead(jnp.arange(6)[None, :, None], 2)
    np.testing.assert_array_equal(comes[0, :, 0], [[1, 2], [2, 3], [3, 4], [4, 5]])


def test_a_text_goes_on_from_batch_to_batch(tmp_path):
    text = "".join(chr(97 + n % 26) for n in range(20_000))
    (tmp_path / "text.txt").write_text(text)
    settings = TypingTraining(model=NextItemSettings(), rows=2, items=10)
    recipe = TypingRecipe([tmp_path], settings)
    begun, after = first(recipe), first(recipe, 1)
    np.testing.assert_array_equal(begun["items"][:, 1:, 0], begun["next"][:, :-1])
    np.testing.assert_array_equal(after["items"][:, 0, 0], begun["next"][:, -1])
    assert begun["reset"].all() and not after["reset"].any()
    assert recipe.settings.model.symbols == tuple("abcdefghijklmnopqrstuvwxyz")
    (tmp_path / "text.txt").write_text("short")
    with pytest.raises(ValueError, match="Pass a longer text"):
        TypingRecipe([tmp_path], settings)


@pytest.fixture
def queries(tmp_path):
    (tmp_path / "train.tsv").write_text("pay my bill\tpay\nwhat rain\tweather\nwho am i\t\n" * 10)
    (tmp_path / "test.tsv").write_text("pay it\tpay\n")
    return tmp_path


def test_examples_are_labelled_and_strangers_have_no_label(queries):
    recipe = IntentRecipe([queries], IntentTraining(examples=64, item_dropout=0.5))
    batch = first(recipe)
    assert recipe.settings.model.labels == ("pay", "weather")
    assert {tuple(wanted) for wanted in batch["wanted"].tolist()} == {(True, False), (False, True), (False, False)}
    assert batch["items"].shape == (64, 24, 20) and set(batch["lengths"]) == {2, 3}
    read = batch["items"][np.arange(64), 0, 0]
    assert 0.3 < np.mean(read == 0) < 0.7
    np.testing.assert_array_equal(batch["items"], first(recipe)["items"])


def test_spaces_around_labels_mean_nothing_and_what_is_wrong_is_named_with_its_line(queries):
    (queries / "valid.tsv").write_text("pay it\t pay , weather\n")
    examples = read_examples([queries])
    assert examples.part("valid") == [Example("pay it", ("pay", "weather"))]
    with pytest.raises(ValueError, match=r"train\.tsv, line 1: the label is 'pay'; known are weather\."):
        wanted_of(examples.part("train"), ["weather"])
    (queries / "valid.tsv").write_text("pay it\tpay\n\tpay\n")
    with pytest.raises(ValueError, match=r"valid\.tsv, line 2: "):
        IntentRecipe([queries], IntentTraining())


def test_the_threshold_leaves_the_share_open_that_was_asked_for(queries, monkeypatch):
    settings = IntentTraining(model=ClassifierSettings(ids=50, features=4, embedding=4, hidden=4))
    recipe = IntentRecipe([queries], settings)
    model = recipe.model(nnx.Rngs(0))
    monkeypatch.setattr(recipe, "_answers", lambda model: np.array([[0.9, 0.1], [0.3, 0.7], [0.55, 0.45]]))
    recipe._wanted["valid"] = np.array([[1, 0], [0, 1], [0, 0]], bool)
    recipe.finish(model)
    assert model.decision.threshold == pytest.approx(0.7 + 0.02 * 0.2, abs=1e-4)


def test_without_a_right_answer_the_threshold_stays(queries, monkeypatch):
    recipe = IntentRecipe(
        [queries], IntentTraining(model=ClassifierSettings(ids=50, features=4, embedding=4, hidden=4))
    )
    model = recipe.model(nnx.Rngs(0))
    before = model.decision.threshold
    monkeypatch.setattr(recipe, "_answers", lambda model: np.array([[0.9, 0.1], [0.3, 0.7]]))
    recipe._wanted["valid"] = np.array([[0, 1], [1, 0]], bool)
    with pytest.warns(UserWarning, match="none of 2 validated answers is right, so the threshold stays at"):
        recipe.finish(model)
    assert model.decision.threshold == before


def test_labels_that_nothing_is_validated_with_are_named(queries):
    (queries / "valid.tsv").write_text("pay it\tpay\n")
    assert IntentRecipe([queries], IntentTraining()).settings.model.labels == ("pay", "weather")
    with pytest.raises(ValueError, match="no example to validate with has the label weather"):
        EmotionRecipe([queries], EmotionTraining())
    (queries / "valid.tsv").write_text("who are you\t\n")
    with pytest.raises(ValueError, match="no example to validate with has the label pay, weather"):
        IntentRecipe([queries], IntentTraining())


def test_data_of_other_parts_or_labels_are_others_wherever_they_lie(tmp_path):
    def digest(folder: str, **contents: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, content in contents.items():
            (tmp_path / folder / name).with_suffix(".txt" if name == "labels" else ".tsv").write_text(content)
        return read_examples([tmp_path / folder]).files.digest

    before = digest("here", train="a\t0\nb\t1\n", valid="c\t1\n", labels="yes no")
    assert digest("there", train="a\t0\nb\t1\n", valid="c\t1\n", labels="yes no") == before
    moved = digest("there", train="a\t0\n", valid="b\t1\nc\t1\n")
    swapped = digest("here", labels="no yes")
    assert len({before, moved, swapped}) == 3


def test_strokes_are_varied_and_stay_strokes(tmp_path):
    (tmp_path / "pen.tra").write_text("\n".join([",".join(["0,100,50,50"] * 4) + f",{n % 2}" for n in range(40)]))
    recipe = PenRecipe([tmp_path], PenTraining(examples=8))
    items = first(recipe)["items"]
    assert items.shape == (8, 8, 2) and items.dtype == np.float32
    assert 0.05 < items[:, 0, 0].std() < 1 and np.abs(items[:, 0] - [-1, 1]).mean() < 1


def test_words_are_paired_with_each_of_their_pronunciations(tmp_path):
    lines = [
        f"{word} {number} {said}" for word in ("LEAD", "READ'S") for number, said in ((1, "L IY1 D"), (2, "L EH1 D"))
    ]
    many = [f"{a}{b}{c} 1 K AE1 T" for a in "ABCDEFGH" for b in "AEIOU" for c in "TSRL"]
    (tmp_path / "cmudict").write_text("\n".join([*lines, *many, "3D 1 TH R IY1 D IY1"]))
    recipe = SayRecipe([tmp_path], SayTraining(words=300))
    assert set(recipe.settings.model.phonemes) >= {"K", "AE", "T"} and "1" not in "".join(
        recipe.settings.model.phonemes
    )
    batch = first(recipe)
    assert batch["letters"].shape == (300, 28, 1) and set(batch["label_lengths"]) == {3}
    assert (batch["lengths"] % 2 == 0).all() and not batch["letters"][:, 1::2].any()


def test_people_are_in_one_part_alone_and_some_have_their_options_renamed(tmp_path):
    table = tmp_path / "people.csv"
    rows = [f"{person},{'NaN' if n == 1 else 1 + n % 3},{person}" for person in range(30) for n in range(6)]
    table.write_text("\n".join(["user,choice,reward", *rows]))
    recipe = ChoicesRecipe([table], ChoicesTraining(people=200, shuffled_share=0.5))
    choices = first(recipe)["choices"]
    assert choices.shape == (200, 6, 2)
    assert set(np.unique(choices[:, :, 1])) == {n for n in range(30) if n % 10 not in (4, 6, 9)}
    assert (choices[:, 1, 0] == 0).all() and (choices[:, 0, 0] == choices[:, 3, 0]).all()
    assert 0.4 < np.mean((choices[:, :, 0] == [1, 0, 3, 1, 2, 3]).all(axis=1)) < 0.65
    table.write_text("user,choice\n1,2\n")
    with pytest.raises(ValueError, match="has no column 'reward'"):
        ChoicesRecipe([table], ChoicesTraining())
    table.write_text("\n".join(["user,choice,reward", *(f"{n},7,1" for n in range(9))]))
    with pytest.raises(ValueError, match="choices up to 7; the model has --options 4"):
        ChoicesRecipe([table], ChoicesTraining())


def test_choices_that_were_not_made_cost_nothing():
    choices = jnp.array([[[1.0, 5], [2, 5], [0, 0], [1, 5]]])
    logits = jnp.log(jnp.array([[[0.1, 0.9], [0.5, 0.5], [0.25, 0.75], [0.5, 0.5]]]))
    assert float(surprise(logits, choices).value) == pytest.approx(-np.log([0.9, 0.25]).mean())


@pytest.mark.parametrize(
    ("recipe", "training", "model", "said"),
    [
        (
            PenRecipe,
            PenTraining,
            ClassifierSettings(features=3),
            "features is 3 and ids 0; a point of a pen is 2 numbers",
        ),
        (PenRecipe, PenTraining, ClassifierSettings(features=2, ids=50), "features is 2 and ids 50"),
        (IntentRecipe, IntentTraining, ClassifierSettings(features=20), "ids is 0; words are hashed"),
        (MusicRecipe, MusicTraining, MusicSettings(keys=61, lowest_midi=36), "keys is 61 and lowest_midi 36"),
        (MusicRecipe, MusicTraining, MusicSettings(lowest_midi=36), "pieces are read as 88 keys from 21 on"),
    ],
)
def test_sizes_that_do_not_fit_the_items_are_refused_by_name(recipe, training, model, said):
    with pytest.raises(ValueError, match=said):
        recipe([], training(model))


def test_ids_and_lookaheads_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="ids is 1; it must be 0, if items are readings, or at least 2"):
        ClassifierSettings(ids=1)
    with pytest.raises(ValueError, match="lookahead_letters is -1"):
        SpellerSettings(lookahead_letters=-1)
    with pytest.raises(ValueError, match=r"quantiles are \(\); they must be one or more"):
        ForecastSettings(quantiles=())
    with pytest.raises(ValueError, match="frames_per_s is 0"):
        ForecastSettings(frames_per_s=0)
    with pytest.raises(ValueError, match="highest=nan"):
        ChoicesSettings(highest=float("nan"))


def test_columns_that_the_table_lacks_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("date,a,b\n" + "\n".join(f"{n},{n},{n}" for n in range(100)))
    for columns in (("a", "c"), ("b", "a"), ("a",)):
        model = ForecastSettings(columns, (0.0,) * len(columns), (1.0,) * len(columns), horizon=3)
        with pytest.raises(ValueError, match="Leave them out: they are taken from the table"):
            ForecastRecipe([tmp_path / "t.csv"], ForecastTraining(model, warm_rows=4, counted_rows=5))


def test_blank_lines_and_spaces_are_no_words(tmp_path):
    (tmp_path / "dut_train.tsv").write_text("aan \ta n\n\n een\te n\n\n")
    assert list(read_pronunciations([tmp_path]).parts["train"]) == ["aan", "een"]


def test_a_dictionary_of_another_form_is_refused_before_it_loses_phonemes(tmp_path):
    (tmp_path / "cmudict.dict").write_text("about AH0 B AW1 T\ncat K AE1 T\n")
    with pytest.raises(ValueError, match=r"cmudict\.dict, line 1 is not of the CMUdict that NLTK has"):
        read_pronunciations([tmp_path / "cmudict.dict"])
    (tmp_path / "cmudict").write_text("\nCAT 1 K AE1 T\n\n")
    assert [*read_pronunciations([tmp_path / "cmudict"]).parts.values()] != [{}, {}, {}]


def test_phonemes_that_the_settings_lack_are_named(tmp_path):
    (tmp_path / "train.tsv").write_text("abc\tA B C\n")
    (tmp_path / "valid.tsv").write_text("ab\tA B\n")
    with pytest.raises(ValueError, match="words are said with C, which --phonemes lacks"):
        SayRecipe([tmp_path], SayTraining(SpellerSettings(phonemes=("A", "B"))))


def test_the_scale_of_a_long_column_far_from_zero_is_its_own(tmp_path):
    pressure = 101325 + np.random.default_rng(0).standard_normal(30_000)
    (tmp_path / "t.csv").write_text("row,pa\n" + "\n".join(f"{n},{pa:.3f}" for n, pa in enumerate(pressure)))
    model = ForecastRecipe([tmp_path], ForecastTraining()).settings.model
    assert model.mean == pytest.approx((pressure[:18_000].mean(),), rel=1e-6)
    assert model.scale == pytest.approx((pressure[:18_000].std(),), rel=1e-2)


def test_columns_of_any_unit_are_scaled_by_how_they_vary_and_one_that_does_not_by_what_it_is(tmp_path):
    ampere = 1e-9 * np.random.default_rng(0).standard_normal(200)
    (tmp_path / "t.csv").write_text("row,a,k,z\n" + "\n".join(f"{n},{a:.6e},-5,0" for n, a in enumerate(ampere)))
    settings = ForecastTraining(model=ForecastSettings(horizon=3), warm_rows=4, counted_rows=5, stretches=2)
    scale = ForecastRecipe([tmp_path], settings).settings.model.scale
    assert scale == pytest.approx((ampere[:120].std(), 5, 1), rel=1e-3)


def test_a_model_that_no_memory_holds_is_told_in_a_sentence(tmp_path, monkeypatch):
    def too_large(_recipe, rngs):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 288000000000 bytes.")

    (tmp_path / "t.csv").write_text("date,a\n" + "\n".join(f"{n},{n}" for n in range(100)))
    monkeypatch.setattr(ForecastRecipe, "model", too_large)
    settings = ForecastTraining(ForecastSettings(horizon=3), warm_rows=4, counted_rows=5)
    with pytest.raises(MemoryError, match=r"too little memory for the model: Out of memory .* Choose a smaller one"):
        foresee(ForecastRecipe([tmp_path], settings))


def test_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("date,a,a\n" + "\n".join(f"{n},1,2" for n in range(100)))
    with pytest.raises(ValueError, match="more than one column 'a'"):
        ForecastRecipe([tmp_path], ForecastTraining())


def test_data_after_which_nothing_comes_are_refused(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.txt").write_text("C3 G3\n\nD3\n\nE3\n")
    with pytest.raises(ValueError, match="3 pieces of the part 'train' have one frame each"):
        MusicRecipe([tmp_path], MusicTraining())
    table = tmp_path / "people.csv"
    table.write_text("user,choice,reward\n" + "".join(f"{n},1,1\n" for n in range(10)))
    with pytest.raises(ValueError, match="Of the 7 people of the part 'train' none has made a choice after the first"):
        ChoicesRecipe([table], ChoicesTraining())


def test_whoever_chose_once_is_no_share_of_people():
    sure = np.array([[1.0, 0.0]] * 3)
    twice, once = np.array([[1.0, 0], [1, 0], [1, 0]]), np.array([[1.0, 0]])
    found = figures([sure, sure[:1]], [twice, once])
    assert found["accuracy"] == 1 and found["of_people"] == {"5 %": 1.0, "50 %": 1.0, "95 %": 1.0}


def test_one_label_alone_is_nothing_to_choose_between(tmp_path):
    (tmp_path / "train.tsv").write_text("set an alarm\talarm\nwho\t\nwake me\talarm\n")
    with pytest.raises(ValueError, match="the only label is alarm"):
        IntentRecipe([tmp_path], IntentTraining())


def test_the_last_example_of_a_label_is_trained_on(tmp_path):
    (tmp_path / "train.tsv").write_text("wake me\talarm\nplay it\tmusic\nplay on\tmusic\n")
    parts = read_examples([tmp_path]).parts
    assert [example.line for example in parts["train"]] == ["wake me", "play on"]
    assert [example.line for example in parts["valid"]] == ["play it"]


def test_names_of_labels_may_have_spaces_and_numbers_begin_at_0(tmp_path):
    (tmp_path / "labels.txt").write_text("very happy\nsad\n")
    (tmp_path / "valid.tsv").write_text("hooray\t0\nalas\t0,1\n")
    assert [example.labels for example in read_examples([tmp_path]).part("valid")] == [
        ("very happy",),
        ("very happy", "sad"),
    ]
    (tmp_path / "valid.tsv").write_text("hooray\t-1\n")
    with pytest.raises(ValueError, match="line 1: '-1' are no numbers of labels"):
        read_examples([tmp_path])
