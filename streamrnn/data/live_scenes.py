"""Sound as a live detector receives it: talk, noises that start and stop, and lines that mute and lose packets.

Where `mixtures.Scenes` lays one noise under a whole scene, backgrounds here are processes, each with a start, an end
and an envelope. A detector trained on constant noise takes every change for speech.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data import lines
from streamrnn.data.augment import coloured
from streamrnn.data.clips import pick, pick_by_shares, pick_speed
from streamrnn.data.melodies import music
from streamrnn.data.mixtures import recorded_background
from streamrnn.data.textures import breaths, clicks, engine, equalised, texture
from streamrnn.data.tones import draw_tones

NOISE, SPEECH, UNKNOWN = 0, 1, 2
SPEECH_DB = -26.0
# Speech this far below the other sound at the time may be inaudible, so its label is unknown.
INAUDIBLE_DB = -8.0
TRIM_CELLS = 10
BABBLE_VOICES = (3, 10)
# Relative frequencies of the kinds of backgrounds; see LiveSettings.kinds.
KINDS = {
    "noise": 0.26,
    "music": 0.19,
    "cries": 0.05,
    "melodies": 0.07,
    "tones": 0.10,
    "babble": 0.10,
    "breaths": 0.07,
    "clicks": 0.04,
    "textures": 0.06,
    "engines": 0.04,
    "colours": 0.02,
}
# Labels of non-speech vocal sounds: they resemble speech most, and are rare.
CRIES = (
    *("dog_bark", "dog", "cat", "dude_miaowing", "rooster", "hen", "crow", "cow", "pig", "sheep", "frog", "farmyard"),
    *("baby_cry", "crying_baby", "person_sneeze", "sneeze", "sneezing", "cough", "coughing", "snoring", "breathing"),
)


@dataclass(frozen=True)
class Spoken:
    """A clean recording of speech.

    Attributes:
        samples: int16[n].
        cells: the class of each cell (NOISE, SPEECH or UNKNOWN), int8[n // cell_samples].
        name: for messages.
        label: a number for the caller, such as the class of a word.
    """

    samples: np.ndarray
    cells: np.ndarray
    name: str = ""
    label: int = 0


def trimmed(spoken: Spoken, cell_samples: int) -> Spoken:
    """Trims to 100 ms before the first speech and 100 ms after the last: pauses are drawn, not recorded."""
    margin, speech = TRIM_CELLS, np.flatnonzero(spoken.cells == SPEECH)
    first, last = max(0, speech[0] - margin), min(len(spoken.cells), speech[-1] + 1 + margin)
    samples = spoken.samples[first * cell_samples : last * cell_samples].copy()
    return Spoken(samples, spoken.cells[first:last], spoken.name, spoken.label)


@dataclass(frozen=True)
class LiveSettings:
    """How scenes are drawn. Shares are probabilities; values are drawn uniformly from ranges."""

    kinds: Mapping[str, float] = field(default_factory=lambda: KINDS)
    """Relative frequency of each kind of background in KINDS."""
    snr_db: tuple[float, float] = (-6.0, 30.0)
    """SNR: level of speech relative to each background."""
    alone_db: tuple[float, float] = (0.0, 0.0)
    """How much louder backgrounds are in scenes without speech."""
    floor_db: tuple[float, float] = (-80.0, -35.0)
    """Level of the room's own noise, relative to full scale; speech is at -26 before the gain."""
    gain_db: tuple[float, float] = (-28.0, 12.0)
    """Gain of the whole."""
    voice_db: float = 4.0
    """Standard deviation of the level of utterances."""
    far_share: float = 0.1
    """Share of utterances that are 6 to 20 dB softer than the others."""
    whisper_share: float = 0.03
    """Share of whispered utterances."""
    silent_share: float = 0.3
    """Share of scenes without speech."""
    begins_s: tuple[float, float] = (-3.0, 3.0)
    """Start of the first utterance; below 0, it has already begun."""
    pause_s: float = 5.0
    """Average seconds of talk between pauses of 1 to 10 s; the other pauses are short (exponential, 0.3 s on
    average)."""
    speed: tuple[float, float] = (0.85, 1.2)
    """Speed factor of speech; pitch changes with it."""
    background_speed: tuple[float, float] = (0.6, 1.6)
    """Speed factor of recorded backgrounds."""
    speed_share: float = 0.5
    """Share of utterances and backgrounds whose speed changes."""
    backwards_share: float = 0.25
    """Share of recorded backgrounds that play backwards: new sounds, and without speech."""
    room_share: float = 0.4
    """Share of scenes with reverberant speech."""
    steady_share: float = 0.4
    """Share of scenes with a background that lasts from before the start to after the end."""
    events_s: float = 6.0
    """Average seconds from the start of one background to the start of the next."""
    colour_share: float = 0.4
    """Share of speech, and of recorded backgrounds, through a random filter, as of another microphone."""
    telephone_share: float = 0.22
    """Share of scenes limited to a telephone-like band."""
    codec_share: float = 0.22
    """Share of scenes through a telephone codec."""
    clip_share: float = 0.04
    """Share of scenes with clipping."""
    mute_share: float = 0.25
    """Share of scenes with stretches of digital silence or comfort noise."""
    gate_share: float = 0.1
    """Share of scenes in which nothing is sent between utterances (DTX, push to talk)."""
    loss_share: float = 0.08
    """Share of scenes with lost packets."""


@dataclass(frozen=True)
class LiveScene:
    """A composed recording, float32[n] in [-1, 1]; its cells, int8[n // cell_samples]; the names of its utterances; and
    for each its first speech cell, the one after its last, and its label. These may lie before or after the scene.
    """

    samples: np.ndarray
    cells: np.ndarray
    names: tuple[str, ...]
    said: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class LiveScenes:
    """Draws scenes from pools of recordings, all at one sample rate.

    Attributes:
        speech: pools of utterances, each with the share of utterances drawn from it; may be empty if silent_share is 1;
            babble is then synthesised.
        noise, music: recordings, int16[n]; if empty, synthesised sound takes their share.
        cries: recordings of CRIES, int16[n]; if empty, noise takes their share.
        rooms: impulse responses, float32[n]; may be empty.
        sample_rate: of all of them.
        cell_samples: samples per cell.
        settings: how scenes are drawn.
    """

    speech: Sequence[tuple[float, Sequence[Spoken]]]
    noise: Sequence[np.ndarray]
    music: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]
    sample_rate: int
    cell_samples: int
    settings: LiveSettings = field(default_factory=LiveSettings)
    cries: Sequence[np.ndarray] = ()

    def draw(self, rng: np.random.Generator, cells: int) -> LiveScene:
        """Draws a scene with that many cells; the same generator state gives the same scene."""
        s, n = self.settings, cells * self.cell_samples
        talk, truth, names, said = np.zeros(n, np.float32), np.zeros(cells, np.int8), (), ()
        if rng.random() >= s.silent_share:
            talk, truth, names, said = self._talk(rng, cells)
        background = self._background(rng, n)
        if not names and s.alone_db != (0.0, 0.0):
            background = background * _factor(rng.uniform(*s.alone_db))
        if names and rng.random() < s.colour_share:
            talk = coloured(rng, talk)
        if names and self.rooms and rng.random() < s.room_share:
            talk = mixing.reverberate(talk, pick(rng, self.rooms))
        truth = self._audible(talk, background, truth)
        heard = (talk + background) * _factor(rng.uniform(*s.gain_db))
        samples, truth = self._on_the_line(rng, heard, truth)
        return LiveScene(samples, truth, names, said)

    def _talk(
        self, rng: np.random.Generator, cells: int
    ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[tuple[int, int, int], ...]]:
        """Utterances and pauses."""
        s, size = self.settings, self.cell_samples
        line, truth, names, said = np.zeros(cells * size, np.float32), np.zeros(cells, np.int8), [], []
        at = self._cells(rng.uniform(*s.begins_s))
        while at < cells:
            samples, spoken, voice = self._utterance(rng)
            if at + len(spoken) > 0:
                names.append(voice.name)
                speech = np.flatnonzero(spoken == SPEECH).tolist() or [0]
                said.append((at + speech[0], at + speech[-1] + 1, voice.label))
                skipped = max(0, -at)
                here = spoken[skipped : cells - at]
                truth[at + skipped : at + skipped + len(here)] = here
                line[(at + skipped) * size : (at + skipped + len(here)) * size] = samples[
                    skipped * size : (skipped + len(here)) * size
                ]
            long = rng.random() < len(spoken) / self._cells(s.pause_s)
            at += len(spoken) + self._cells(rng.uniform(1, 10) if long else rng.exponential(0.3))
        return line, truth, tuple(names), tuple(said)

    def _utterance(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Spoken]:
        s, size = self.settings, self.cell_samples
        shares, pools = zip(*self.speech, strict=True)
        voice = pick(rng, pick_by_shares(rng, pools, shares))
        samples, cells = _as_float(voice.samples), voice.cells
        speed = pick_speed(rng, s.speed, s.speed_share)
        if speed != 1:
            samples = mixing.change_speed(samples, speed)
            cells = cells[np.minimum((np.arange(int(len(cells) / speed)) * speed).astype(int), len(cells) - 1)]
        samples = np.pad(samples, (0, max(0, len(cells) * size - len(samples))))[: len(cells) * size]
        spoken = np.repeat(cells == SPEECH, size)
        level_db = SPEECH_DB + s.voice_db * rng.standard_normal()
        if rng.random() < s.whisper_share:
            samples, level_db = whispered(rng, samples), level_db - rng.uniform(3, 15)
        if rng.random() < s.far_share:
            level_db -= rng.uniform(6, 20)
        return _at_level(samples, level_db, of=samples[spoken]), cells, voice

    def _background(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """The room's own noise, and the sounds over it, each with a start, an envelope and an end."""
        s = self.settings
        line = np.zeros(n, np.float32)
        if rng.random() < 0.9:
            line += _at_level(mixing.coloured_noise(n, rng.uniform(0, 2), rng), rng.uniform(*s.floor_db))
        if rng.random() < s.steady_share:
            line += _at_level(self._sound(rng, n), SPEECH_DB - rng.uniform(*s.snr_db))
        for _ in range(rng.poisson(n / self.sample_rate / s.events_s)):
            start = int(rng.integers(-n // 4, n))
            # Whole cells: the FFT of a prime number of samples is slow.
            length = self._cells(rng.choice([rng.uniform(0.2, 2), rng.uniform(2, 15)])) * self.cell_samples
            sound = _at_level(self._sound(rng, length), SPEECH_DB - rng.uniform(*s.snr_db)) * self._course(rng, length)
            first, last = max(start, 0), min(start + length, n)
            if first < last:
                line[first:last] += sound[first - start : last - start]
        return line

    def _sound(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """A background of any kind: recorded noise or music, or synthesised."""
        kinds, shares = tuple(self.settings.kinds), np.array(tuple(self.settings.kinds.values()))
        kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        pool = {"noise": self.noise, "music": self.music, "cries": self.cries or self.noise}.get(kind, ())
        if pool:
            s = self.settings
            sound = recorded_background(rng, _as_float(pick(rng, pool)), n, s.background_speed, s.speed_share)
            sound = sound[::-1] if rng.random() < s.backwards_share else sound
            return equalised(rng, sound, self.sample_rate) if rng.random() < s.colour_share else sound
        if kind == "babble" and self.speech:
            return self._babble(rng, n)
        if kind == "colours":
            return mixing.coloured_noise(n, rng.uniform(-0.5, 2), rng)
        return SYNTHETIC[kind](rng, n, self.sample_rate)

    def _babble(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Many voices at once, none of which stands out."""
        voices = np.zeros(n, np.float32)
        for _ in range(int(rng.integers(*BABBLE_VOICES))):
            shares, pools = zip(*self.speech, strict=True)
            spoken = _as_float(pick(rng, pick_by_shares(rng, pools, shares)).samples)
            voices += _at_level(mixing.fit_length(spoken, n, rng), SPEECH_DB)
        return mixing.reverberate(voices, pick(rng, self.rooms)) if self.rooms and n else voices

    def _course(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """The envelope of a background: sudden or faded in and out, with occasional steps."""
        course = np.ones(n, np.float32)
        for edge in (course, course[::-1]):
            if rng.random() < 0.5:
                length = min(n, round(np.exp(rng.uniform(np.log(0.02), np.log(4))) * self.sample_rate))
                edge[:length] *= np.linspace(0, 1, length, dtype=np.float32) ** 2
        if rng.random() < 0.3 and n:
            step = int(rng.integers(n))
            course[step:] *= _factor(rng.uniform(-20, 10))
        return course

    def _audible(self, talk: np.ndarray, background: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The labels, with unknown where speech is drowned."""
        size = self.cell_samples
        power = [np.square(x.reshape(-1, size)).mean(-1) for x in (talk, background)]
        around = [np.convolve(p, np.ones(21) / 21, "same") if len(p) >= 21 else p for p in power]
        drowned = around[0] < around[1] * 10 ** (INAUDIBLE_DB / 10)
        return np.where(drowned & (truth == SPEECH), np.int8(UNKNOWN), truth)

    def _on_the_line(
        self, rng: np.random.Generator, samples: np.ndarray, truth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        s, rate = self.settings, self.sample_rate
        if rng.random() < s.clip_share:
            samples = lines.clipped(samples, rng.uniform(0.1, 0.6))
        if rng.random() < s.telephone_share:
            samples = mixing.band_limit(samples, rng.uniform(20, 350), rng.uniform(3000, 4000), rate)
        if rng.random() < s.gate_share:
            samples = self._gated(rng, samples, truth)
        if rng.random() < s.codec_share:
            codec = str(rng.choice(["ulaw", "alaw", "gsm", "opus"], p=[0.37, 0.37, 0.24, 0.02]))
            samples = lines.coded(mixing.clip_protect(samples), rate, codec)
        if rng.random() < s.mute_share:
            samples, truth = self._muted(rng, samples, truth)
        if rng.random() < s.loss_share:
            samples, lost = lines.losing_packets(rng, samples, rate, rng.uniform(0.01, 0.15))
            gone = lost.reshape(-1, self.cell_samples).all(-1)
            truth = np.where(gone & (truth == SPEECH), np.int8(UNKNOWN), truth)
        return lines.in_steps_of_16_bits(mixing.clip_protect(samples)), truth

    def _muted(self, rng: np.random.Generator, samples: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        samples, truth, size = samples.copy(), truth.copy(), self.cell_samples
        level_db = self._idle_level(rng)
        for _ in range(int(rng.integers(1, 4))):
            length = self._cells(np.exp(rng.uniform(np.log(0.2), np.log(15))))
            start = int(rng.integers(-length // 2, len(truth)))
            cells = slice(max(start, 0), min(start + length, len(truth)))
            count = cells.stop - cells.start
            samples[cells.start * size : cells.stop * size] = lines.filled(rng, count * size, level_db)
            truth[cells] = NOISE
        return samples, truth

    def _gated(self, rng: np.random.Generator, samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Passes sound from some time before speech to some time after it; in between, the line is idle."""
        before, behind = self._cells(rng.uniform(0.02, 0.4)), self._cells(rng.uniform(0.1, 1.0))
        spoken = np.convolve(truth != NOISE, np.ones(before + behind + 1))
        passes = np.repeat(spoken[before : before + len(truth)] > 0.5, self.cell_samples)
        return np.where(passes, samples, lines.filled(rng, len(samples), self._idle_level(rng)))

    def _idle_level(self, rng: np.random.Generator) -> float | None:
        return None if rng.random() < 0.5 else float(rng.uniform(-80, -50))

    def _cells(self, seconds: float) -> int:
        return round(seconds * self.sample_rate / self.cell_samples)


def whispered(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """Turns voiced speech, float32[n], into a whisper: the spectrum's envelope, excited by noise."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import istft, stft

    if len(samples) < 512:
        return samples
    _, _, spectrum = stft(samples, nperseg=512, noverlap=384)
    # The filter's running sums leave tiny negative numbers where a loud sound ends.
    envelope = np.sqrt(np.maximum(uniform_filter1d(np.abs(spectrum) ** 2, 9, axis=0), 0))
    # Whispering lacks the low frequencies of the voice.
    envelope *= np.minimum(1, np.arange(len(envelope)) / 24)[:, None]
    phase = rng.uniform(0, 2 * np.pi, spectrum.shape)
    _, sound = istft(envelope * np.exp(1j * phase), nperseg=512, noverlap=384)
    return np.pad(sound, (0, max(0, len(samples) - len(sound))))[: len(samples)].astype(np.float32)


# Noise and music are synthesised if there are no recordings.
SYNTHETIC: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "noise": texture,
    "music": music,
    "cries": texture,
    "babble": texture,
    "tones": draw_tones,
    "melodies": music,
    "breaths": breaths,
    "clicks": clicks,
    "textures": texture,
    "engines": engine,
}


def _at_level(samples: np.ndarray, level_db: float, of: np.ndarray | None = None) -> np.ndarray:
    measured = samples if of is None or not len(of) else of
    rms = float(np.sqrt(np.mean(np.square(measured, dtype=np.float64)))) if len(measured) else 0.0
    return np.asarray(samples * (_factor(level_db) / max(rms, 1e-5)), np.float32)


def _factor(gain_db: float) -> np.float32:
    return np.float32(10 ** (gain_db / 20))


def _as_float(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32) / 32768


__all__ = [
    "CRIES",
    "KINDS",
    "NOISE",
    "SPEECH",
    "UNKNOWN",
    "LiveScene",
    "LiveScenes",
    "LiveSettings",
    "Spoken",
    "trimmed",
    "whispered",
]
