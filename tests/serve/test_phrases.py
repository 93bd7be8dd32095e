from streamrnn.serve import connect
from tests.decisions.spoken_phonemes import heard, sounds
from tests.phoneme_model import RATE, as_sound, phoneme_model


def test_a_client_hears_phrases_and_commands_of_its_own(running):
    sound = as_sound(heard(sounds("hey computer play two songs good morning"), 4))
    grammar = '[intents]\nplay = ["play {number} songs"]'
    with running({"phrases": phoneme_model(("hey computer",))}) as server:
        for settings, expected in (
            ({}, [("hey computer", {})]),
            ({"phrases": ["good morning"], "grammar": grammar}, [("play", {"number": "2"}), ("good morning", {})]),
        ):
            with connect(server.url, sample_rate=RATE, encoding="f32le", **settings) as client:
                events = client.feed(sound) + client.finish()
            assert [(event.label, event.slots) for event in events] == expected
