"""Music as lines: notes by name and number, how surprising they are, and sound of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import LineError, MusicLines, midi_of, name_of, sound_of


class Doubting:
    """A model of three keys from C4 on, for which every frame is as likely as any, and which expects the highest."""

    settings = SimpleNamespace(keys=3, lowest_midi=60)

    def log_probability(self, outputs, frames):
        return np.full(len(frames), -3 * np.log(2))

    def draw(self, output, rng, temperature):
        assert temperature == 0
        return np.array([0.0, 0.0, 1.0])


class Silent:
    """A stream whose outputs say nothing."""

    resets = 0

    def process(self, chunk):
        return np.zeros((len(chunk), 2), np.float32)

    def reset(self):
        self.resets += 1


def test_notes_are_names_or_midi_numbers():
    assert [midi_of(word) for word in ("C4", "c4", "60", "A0", "Bb3", "F#5", "C-1")] == [60, 60, 60, 21, 58, 78, 0]
    assert [name_of(midi) for midi in (60, 21, 58, 0)] == ["C4", "A0", "A#3", "C-1"]
    assert all(midi_of(name_of(midi)) == midi for midi in range(128))


def test_a_frame_tells_how_surprising_it_was_and_what_is_expected():
    lines, stream = MusicLines(Doubting()), Silent()
    first, second, rest = (lines.answer(stream, line) for line in ("C4 D4", "61", "-"))
    assert first == {"keys": ["C4", "D4"], "nats": None, "expected": ["D4"]}
    assert second["keys"] == ["C#4"] and second["nats"] == pytest.approx(2.079)
    assert rest["keys"] == [] and lines.said(rest) == "-  2.1 nats; expected next: D4"
    assert lines.answer(stream, "") is None and stream.resets == 1
    assert lines.answer(stream, "C4")["nats"] is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("H4", "'H4' is no note"),
        ("C4 C9", "C9 is none of the model's keys, C4 to D4"),
        ("20", "20 is none"),
        ("-1", "no note"),
    ],
)
def test_what_is_no_note_of_the_model_is_refused(line, told):
    with pytest.raises(LineError, match=told):
        MusicLines(Doubting()).answer(Silent(), line)


def test_a_key_sounds_at_its_pitch_as_long_as_it_is_held():
    frames = np.zeros((4, 88))
    frames[:2, 69 - 21] = 1
    sound = sound_of(frames, 21, 2.0, 8000)
    assert len(sound) == 4 * 4000 + 4000 and np.abs(sound).max() <= 1
    heard = np.abs(np.fft.rfft(sound[:8000]))
    assert heard.argmax() == 440
    assert np.abs(sound[9000:]).max() < 0.01 < np.abs(sound[4000:7900]).max()
    # Held on, a key is struck once: nothing rises where the second frame begins.
    assert np.abs(sound[4000:4100]).max() < 1.1 * np.abs(sound[3800:4000]).max()
