import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.decisions import Event, PhraseDecoder, PhraseSettings
from streamrnn.decisions.phrase_calibration import Calibration
from tests.decisions.spoken_phonemes import FRAME_S, LABELS, babble, heard, sounds

TEXTS = [
    "turn on the light",
    "turn off the light",
    "what time is it",
    "hey computer",
    "play some music",
    "good morning",
]
LIGHTS = """
[intents]
light = ["set the [big] light to {colour}", "turn (on|off) the light"]
timer = ["set a timer for {number} minutes"]
dial = ["dial {digits}"]
[slots]
colour = ["red", "green", "warm white"]
"""


def decoder(*phrases: str, **settings) -> PhraseDecoder:
    return PhraseDecoder(PhraseSettings(phrases, **settings), LABELS, FRAME_S, lookahead_s=0.2)


def found(decoder: PhraseDecoder, *parts: np.ndarray) -> list[Event]:
    events = [event for part in parts for event in decoder.push(part)]
    return events + decoder.finish(sum(map(len, parts)) * FRAME_S)


@given(st.permutations(TEXTS), st.integers(0, 10_000))
def test_what_was_said_is_found_in_its_order_among_all_phrases(said, seed):
    events = found(decoder(*TEXTS), *(heard(sounds(text), seed + n, pause=2) for n, text in enumerate(said)))
    assert [event.label for event in events] == said
    assert all(0.3 < event.score <= 1 and event.kind == "keyword" for event in events)


@given(st.integers(0, 10_000))
def test_sounds_at_random_are_no_phrase(seed):
    assert found(decoder(*TEXTS), heard(babble(seed, 200), seed)) == []


def test_the_span_is_where_it_was_said():
    before, said = heard(sounds("now then"), 1), heard(sounds("hey computer"), 2)
    (event,) = found(decoder("hey computer"), before, said, heard([], pause=50))
    begin, end = len(before) * FRAME_S, (len(before) + len(said)) * FRAME_S
    assert event.start_s == pytest.approx(begin + 10 * FRAME_S)
    assert end - 14 * FRAME_S < event.end_s <= end - 10 * FRAME_S
    # Settled after three frames, and known after the look-ahead.
    assert event.decided_s == pytest.approx(event.end_s + 3 * FRAME_S + 0.2)


@given(st.lists(st.integers(1, 40), max_size=20), st.integers(0, 1000), st.booleans())
def test_any_chunks_and_any_snapshot_give_the_same_events(sizes, seed, parked):
    outputs = heard(sounds("hey computer turn on the light what time is it"), seed)
    whole = found(decoder(*TEXTS), outputs)
    live, cut = decoder(*TEXTS), [*np.split(outputs, np.cumsum(sizes))]
    events: list[Event] = []
    for chunk in cut:
        events += live.push(chunk)
        if parked:
            moved, live = live.snapshot(), decoder(*TEXTS)
            live.restore(moved)
    assert events + live.finish(len(outputs) * FRAME_S) == whole
    assert len(whole) == 3


def test_a_longer_phrase_is_preferred_to_its_beginning():
    phrases = "set a timer", "set a timer for ten minutes"
    for said in phrases:
        (event,) = found(decoder(*phrases), heard(sounds(said), 3), heard(babble(3, 20), 4))
        assert event.label == said


ORDER = "a latte [with milk [and sugar]]"


@given(st.integers(0, 12), st.integers(0, 1000))
def test_who_pauses_within_a_phrase_that_may_go_on_is_waited_for(pause, seed):
    said = [heard(sounds(part), seed + n, pause=0) for n, part in enumerate(("a latte with milk", "and sugar"))]
    between = heard([], seed, pause=pause)[:pause]
    (event,) = found(decoder(ORDER), between, said[0], between, said[1])
    # All that was said belongs to it.
    assert event.end_s >= (2 * len(between) + len(said[0]) + len(said[1]) - 3) * FRAME_S


def test_a_phrase_that_may_go_on_is_told_after_the_longest_pause_and_another_one_at_once():
    silence, said = heard([], pause=50), heard(sounds("a latte with milk"), 1)
    for phrases, settings, waits_s in (
        ((ORDER,), {}, 0.6),
        ((ORDER,), {"pause_ms": 200}, 0.2),
        (("a latte with milk", "a latte with milk and sugar"), {}, 0.6),
        (("a latte with milk", "a latte with sugar"), {}, 0.12),
        (("a [big] latte with milk",), {}, 0.12),
    ):
        (event,) = found(decoder(*phrases, **settings), said, silence)
        assert event.decided_s == pytest.approx(event.end_s + waits_s + 0.2)


def test_words_in_brackets_may_be_left_out_and_alternatives_said():
    for said in ("turn on the light", "turn the light off please", "please turn on the light"):
        phrase = "[please] turn (on the light|the light off) [please]"
        (event,) = found(decoder(phrase), heard(sounds(said), 5))
        assert event.label == phrase
        # All that was said belongs to it.
        assert event.start_s == pytest.approx(10 * FRAME_S)


@pytest.mark.parametrize(
    "said, intent, slots",
    [
        ("set the light to green", "light", {"colour": "green"}),
        ("set the big light to warm white", "light", {"colour": "warm white"}),
        ("turn off the light", "light", {}),
        ("set a timer for twenty five minutes", "timer", {"number": "25"}),
        ("dial three oh four nine", "dial", {"digits": "3049"}),
    ],
)
def test_a_command_tells_its_intent_and_slots(said, intent, slots):
    (event,) = found(decoder(grammar=LIGHTS), heard(sounds(said), 6))
    assert (event.label, event.slots) == (intent, slots)
    assert event.to_dict().get("slots", {}) == slots


def test_a_slot_may_be_in_several_alternatives():
    orders = """
        [intents]
        order = ["a ([{size}] [{roast}]|{roast} {size}) coffee"]
        [slots]
        size = ["small", "large"]
        roast = ["light roast", "dark roast"]
        """
    for said, slots in (
        ("a large dark roast coffee", {"size": "large", "roast": "dark roast"}),
        ("a light roast small coffee", {"size": "small", "roast": "light roast"}),
        ("a small coffee", {"size": "small"}),
        ("a coffee", {}),
    ):
        (event,) = found(decoder(grammar=orders), heard(sounds(said), 10))
        assert event.slots == slots


def test_what_was_said_badly_is_below_a_high_threshold():
    outputs = heard(sounds("hey /K AH M T UW T ER/"), 7)
    (event,) = found(decoder("hey computer", threshold=0.2), outputs)
    assert 0.2 < event.score < 0.7
    assert found(decoder("hey computer", threshold=0.8), outputs) == []


def test_within_the_refractory_time_nothing_is_told():
    outputs = heard(sounds("hey computer"), 8, pause=2)
    twice = np.concatenate([outputs, outputs])
    assert len(found(decoder("hey computer", refractory_ms=0), twice)) == 2
    assert len(found(decoder("hey computer", refractory_ms=5000), twice)) == 1


def test_conclude_tells_what_waits_and_goes_on():
    live, said = decoder("hey computer"), heard(sounds("hey computer"), 9, pause=0)
    assert live.push(said) == []
    assert [event.label for event in live.conclude(len(said) * FRAME_S)] == ["hey computer"]
    assert [event.label for event in live.push(heard(sounds("hey computer"), 9))] == ["hey computer"]


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"phrases": ()}, "There is no phrase"),
        ({"phrases": ("hey computer", "Hey, computer")}, "repeats"),
        ({"phrases": ("hey zorblax",)}, "'zorblax' in"),
        ({"phrases": ("[hey]",)}, "has no required word"),
        ({"phrases": ("hey (you",)}, "lacks ')'"),
        ({"phrases": ("hey you]",)}, "an unmatched ']'"),
        ({"phrases": ("set {colour}",)}, "only grammars may have"),
        ({"phrases": ("hey /N OW V AH",)}, "an unmatched slash"),
        ({"grammar": '[intents]\na = ["go [to N OW/] now"]'}, "an unmatched slash"),
        ({"grammar": "[intents]"}, "The grammar has no sentence"),
        ({"grammar": "[intents"}, "not TOML"),
        ({"grammar": f"a = {'[' * 5000}{']' * 5000}"}, "too many nested brackets"),
        ({"grammar": f"a = {'1' * 5000}"}, "an overlong number or too many nested brackets"),
        ({"grammar": f"[slots]\n{'.'.join('a' * 4000)} = 1"}, "must be a list"),
        ({"grammar": '[intents]\na = ["go {where}"]'}, "unknown slot {where}"),
        ({"grammar": '[intents]\na = ["go {digit} {digit}"]'}, "{digit} twice"),
        ({"grammar": '[intents]\na = ["go {x}"]\n[slots]\nx = []'}, "must be a list"),
        ({"grammar": '[intent]\na = ["go"]'}, "[intent]; only"),
        ({"grammar": '[intents]\n" " = ["go home now"]'}, "an intent without a name"),
    ],
)
def test_phrases_that_cannot_be_listened_for_are_refused(settings, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        PhraseDecoder(PhraseSettings(**settings), LABELS, FRAME_S)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"phrases": "hey"}, "must be a list"),
        ({"phrases": ("hey", 3)}, "they must be texts"),
        ({"max_alarms_per_hour": 0}, "above 0"),
        ({"threshold": 1.5}, "at most 1"),
        ({"settle_ms": -1}, "0 or more"),
        ({"pause_ms": math.nan}, "pause_ms"),
        ({"calibration": ((5, 0.1),)}, "all rising"),
    ],
)
def test_settings_out_of_range_are_refused(settings, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        PhraseSettings(**settings)


def test_values_of_a_slot_that_sound_alike_are_warned_of():
    slots = '[intents]\na = ["go to the {place}"]\n[slots]\nplace = '
    for values in ('["kitchen", "sea", "see"]', '{sea = ["sea"], see = ["look", "see"]}', '["sea", "Sea"]'):
        with pytest.warns(UserWarning, match="The value '[sS]e[ea]' of the slot 'place' sounds like 'sea'"):
            decoder(grammar=slots + values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoder(grammar=slots + '{sea = ["sea", "see"], "/L EY K/" = ["the [big] lake"]}')


def test_phrases_that_sound_alike_are_warned_of():
    with pytest.warns(UserWarning, match="'write now' sounds like 'right now'"):
        decoder("right now", "write now")


def test_a_short_phrase_says_how_many_alarms_to_expect():
    steep = tuple(np.geomspace(0.3, 0.9, 8))
    rows = ((4, *np.geomspace(0.6, 0.94, 8)), (12, *steep))
    with pytest.warns(UserWarning, match=r"'hey you' can be said with 4 sounds.*expect [\d.]+ false alarms per hour"):
        decoder("hey you", calibration=rows, max_alarms_per_hour=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoder("set the alarm for tomorrow morning", calibration=rows)


def test_fewer_alarms_need_higher_confidence_and_longer_phrases_less():
    rows = ((4, *np.geomspace(0.5, 0.9, 8)), (12, *np.geomspace(0.2, 0.7, 8)))
    few, many = (Calibration(rows).thresholds(rate) for rate in (0.1, 10))
    assert (few >= many).all() and few[8] > many[8] and few[12] < few[6]
    assert Calibration(rows).alarms_per_hour(9, few[9]) == pytest.approx(0.1)
    assert Calibration(()).alarms_per_hour(9, 0.5) is None


@pytest.mark.parametrize(
    "outputs, told",
    [
        (np.zeros((3, 4), np.float32), "it needs [frames, 40]"),
        (np.full((3, 40), 0.5, np.float32), "frame 0"),
        (np.where(np.arange(3)[:, None] == 1, np.nan, -1.0) * np.ones((3, 40)), "frame 1"),
    ],
)
def test_outputs_that_are_no_log_probabilities_are_refused_and_change_nothing(outputs, told):
    live = decoder("hey computer")
    before = live.snapshot()
    with pytest.raises(ValueError, match=re.escape(told)):
        live.push(outputs)
    assert all(np.array_equal(before[name], value) for name, value in live.snapshot().items())


@pytest.mark.parametrize("name", ["sentence", "said", "frames", "last_end"])
def test_a_snapshot_that_was_changed_is_refused(name):
    live = decoder("hey computer")
    with pytest.raises(ValueError, match=r"PhraseDecoder.restore got"):
        live.restore(live.snapshot() | {name: 10**9 if name != "frames" else -5})


@pytest.mark.parametrize("path", ["lights.toml", "/home/me/my lights.toml\n"])
def test_a_path_in_place_of_a_grammar_is_told_how_to_pass_its_text(path):
    with pytest.raises(ValueError, match=rf"the text of that file is needed. Pass Path\('{path.strip()}'\).read_text"):
        decoder(grammar=path)


def test_a_grammar_that_is_no_text_is_told_what_it_needs():
    with pytest.raises(TypeError, match=r"A grammar got a \w+; it needs a text, such as Path\(\"lights.toml\"\)"):
        decoder(grammar=Path("lights.toml"))


@pytest.mark.parametrize("value", ["soon", None, math.nan, [], {}, 1.5, True])
def test_a_snapshot_with_other_values_is_refused_for_every_name(value):
    live = decoder("hey computer")
    for name, kept in live.snapshot().items():
        if isinstance(kept, float | bool) and isinstance(value, type(kept)) and value == value:
            continue
        with pytest.raises(ValueError, match=r"PhraseDecoder.restore got"):
            live.restore(live.snapshot() | {name: value})
