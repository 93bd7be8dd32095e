"""Makes the recordings in this folder, and truth.csv, from speech synthesisers and computed noise and rooms.

    python audio_samples/make_samples.py --out audio_samples

Every voice is synthetic; every noise and room is computed here from a fixed seed. It needs NumPy, SciPy, soundfile and
the Debian packages in PACKAGES. The recordings are one table, RECORDINGS; SOURCES.md describes them in words.
"""

import argparse
import csv
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt, sosfiltfilt

PACKAGES = "espeak-ng flite festival festvox-kallpc16k festvox-us-slt-hts"
TRIM_DB = -45.0

Voice = tuple[str, str]  # program, name of the voice
Segment = tuple[int, int]  # first sample, one past the last
Noise = Callable[[int, int, np.random.Generator], np.ndarray]  # samples, sample rate, seed -> [n] with an RMS of 1
Room = Callable[[int, np.random.Generator], np.ndarray]  # sample rate, seed -> response [n], the direct path at 0
Channel = Callable[[np.ndarray, int], np.ndarray]  # [n, channels], sample rate -> the same shape


@dataclass(frozen=True)
class Say:
    """One utterance, after a pause, with one gain per channel of the recording."""

    voice: Voice
    text: str
    pause_s: float = 0.8
    gains: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Recording:
    """One file: utterances in order, heard in a room, with noises at an SNR in dB, through a channel, at a peak."""

    file: str
    says: tuple[Say, ...] = ()
    noises: tuple[tuple[Noise, float], ...] = ()
    room: Room | None = None
    channel: Channel | None = None
    sample_rate: int = 16000
    channels: int = 1
    tail_s: float = 0.9
    peak_db: float = -3.0


def synthesis_command(voice: Voice, text: str, wav: Path) -> list[str]:
    """The command that writes `text` to `wav`; text2wave reads the text from standard input."""
    program, name = voice
    if program == "espeak-ng":
        return [program, "-b", "1", "-v", name, "-w", str(wav), "--", text]
    if program == "flite":
        return [program, "-voice", name, "-t", text, "-o", str(wav)]
    return [program, "-eval", f"(voice_{name})", "-o", str(wav)]


@lru_cache
def synthesise(voice: Voice, text: str, sample_rate: int) -> np.ndarray:
    """One utterance as float64[n], without the silence around it, with an RMS of 1."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "speech.wav")
        command = synthesis_command(voice, text, wav)
        done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
        if done.returncode or not wav.exists():
            reason = f"{' '.join(command)} failed: {done.stderr.strip()}"
            raise SystemExit(f"{reason}\nInstall the voices with: apt-get install {PACKAGES}")
        samples, source_rate = soundfile.read(wav)
    common = gcd(sample_rate, source_rate)
    return normalised(trim(resample_poly(samples, sample_rate // common, source_rate // common)))


def trim(x: np.ndarray) -> np.ndarray:
    """`x` from its first to its last sample above TRIM_DB of its peak."""
    loud = np.flatnonzero(np.abs(x) > np.abs(x).max() * amplitude(TRIM_DB))
    return x[loud[0] : loud[-1] + 1]


def amplitude(db: float | np.ndarray) -> float | np.ndarray:
    return 10 ** (db / 20)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def normalised(x: np.ndarray) -> np.ndarray:
    return x / rms(x)


def pink(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls as 1/f, from 20 Hz up."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency_hz = np.fft.rfftfreq(n, 1 / sample_rate)
    return normalised(np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency_hz, 20)), n))


def hum(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 Hz and its harmonics up to 1 kHz, each a little weaker, at random phases."""
    time_s = np.arange(n) / sample_rate
    harmonics = np.arange(1, 21)[:, None]
    phases = rng.uniform(0, 2 * np.pi, harmonics.shape)
    return normalised(np.sum(np.sin(2 * np.pi * 50 * harmonics * time_s + phases) / harmonics, axis=0))


def keyboard(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Typing: about seven keys a second, each heard twice, going down and coming up."""
    strikes_s = np.cumsum(rng.gamma(3, 0.048, 2 + 10 * n // sample_rate))
    x = np.zeros(n + sample_rate)
    for strike_s in strikes_s[strikes_s < n / sample_rate]:
        for delay_s, gain in ((0.0, 1.0), (rng.uniform(0.06, 0.11), 0.4)):
            start = int((strike_s + delay_s) * sample_rate)
            click = gain * rng.uniform(0.5, 1) * key_click(sample_rate, rng)
            x[start : start + len(click)] += click
    return normalised(x[:n])


def key_click(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A 30 ms burst of noise from 1.5 to 5 kHz that dies away within a few milliseconds."""
    n = int(0.03 * sample_rate)
    burst = rng.standard_normal(n) * np.exp(-np.arange(n) / (0.004 * sample_rate))
    return np.asarray(sosfilt(butter(2, (1500, 5000), "bandpass", fs=sample_rate, output="sos"), burst))


def babble(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Eight voices at once, each saying its sentence over and over from a random place."""
    x = np.zeros(n)
    for voice, text in BABBLE:
        speech = synthesise(voice, text, sample_rate)
        x += np.resize(np.roll(speech, -rng.integers(len(speech))), n)
    return normalised(x)


def office(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A shoebox room by the image-source method (Allen & Berkley, 1979), the microphone 2 m from the mouth."""
    size_m = np.array([5.2, 3.9, 2.7])
    mouth_m, microphone_m = np.array([1.6, 2.3, 1.5]), np.array([3.4, 1.5, 1.1])
    reflection, speed_of_sound_m_s = 0.85, 343
    cells = np.indices((75, 75, 75)).reshape(3, -1).T - 37
    images_m = np.where(cells % 2, size_m - mouth_m, mouth_m) + cells * size_m
    distances_m = np.linalg.norm(images_m - microphone_m, axis=1)
    delays = np.rint(distances_m / speed_of_sound_m_s * sample_rate).astype(int)
    response = np.bincount(delays, reflection ** np.abs(cells).sum(axis=1) / distances_m)
    return response[delays.min() :] / response[delays.min()]


def hall(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A large room: the direct sound, then noise that falls by 60 dB in 1.2 s, as strong as the direct sound."""
    n = int(1.2 * sample_rate)
    response = rng.standard_normal(n) * amplitude(-60 * np.arange(n) / n)
    response[: int(0.012 * sample_rate)] = 0
    response /= np.linalg.norm(response)
    response[0] = 1
    return response


def telephone(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """300 to 3400 Hz, then the eight bits of mu-law (ITU-T G.711's curve, mu = 255)."""
    line = sosfiltfilt(butter(4, (300, 3400), "bandpass", fs=sample_rate, output="sos"), x, axis=0)
    line = line / np.abs(line).max()
    compressed = np.sign(line) * np.log1p(255 * np.abs(line)) / np.log(256)
    steps = np.rint(compressed * 127) / 127
    return np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255


def place(recording: Recording) -> tuple[np.ndarray, list[Segment]]:
    """The dry speech, float64[n, channels], and where each utterance lies."""
    parts, segments, end = [], [], 0
    for say in recording.says:
        pause = silence(recording, say.pause_s)
        speech = synthesise(say.voice, say.text, recording.sample_rate)[:, None] * say.gains
        start = end + len(pause)
        end = start + len(speech)
        parts += [pause, speech]
        segments.append((start, end))
    return np.concatenate([*parts, silence(recording, recording.tail_s)]), segments


def silence(recording: Recording, duration_s: float) -> np.ndarray:
    return np.zeros((round(duration_s * recording.sample_rate), recording.channels))


def compose(recording: Recording) -> tuple[np.ndarray, list[Segment]]:
    """The finished recording, float64[n, channels], and its segments of speech."""
    rng = np.random.default_rng(zlib.crc32(recording.file.encode()))
    x, segments = place(recording)
    if recording.room:
        x = fftconvolve(x, recording.room(recording.sample_rate, rng)[:, None], axes=0)[: len(x)]
    x = x + noise_for(recording, x, segments, rng)
    if recording.channel:
        x = recording.channel(x, recording.sample_rate)
    return x * amplitude(recording.peak_db) / np.abs(x).max(), segments


def noise_for(recording: Recording, x: np.ndarray, segments: list[Segment], rng: np.random.Generator) -> np.ndarray:
    """The noises, each at its SNR to the speech within the segments; a channel of its own for each ear."""
    level = rms(np.concatenate([x[start:end] for start, end in segments])) if segments else 1.0
    noise = np.zeros_like(x)
    for make, snr_db in recording.noises:
        for channel in range(recording.channels):
            noise[:, channel] += make(len(x), recording.sample_rate, rng) * level * amplitude(-snr_db)
    return noise


FLITE_SLT, FLITE_RMS, FLITE_AWB = ("flite", "slt"), ("flite", "rms"), ("flite", "awb")
FESTIVAL_SLT, FESTIVAL_KAL = ("text2wave", "cmu_us_slt_arctic_hts"), ("text2wave", "kal_diphone")
BRITISH_MAN = ("espeak-ng", "en-gb+m3")
GERMAN_WOMAN, GERMAN_MAN = ("espeak-ng", "de+f2"), ("espeak-ng", "de+m3")
FRENCH_WOMAN, FRENCH_MAN = ("espeak-ng", "fr-fr+f4"), ("espeak-ng", "fr-fr+m1")
ARABIC_MAN, MANDARIN_WOMAN = ("espeak-ng", "ar+m3"), ("espeak-ng", "cmn-latn-pinyin+f2")

BABBLE = (
    (FLITE_SLT, "I left my umbrella on the bus and now it is raining all over town"),
    (FLITE_RMS, "We had soup at noon and pancakes with apples in the evening"),
    (FLITE_AWB, "My brother repairs old radios and sells them on the market"),
    (FESTIVAL_KAL, "The window by the stairs does not close when the wind blows"),
    (GERMAN_WOMAN, "Im Garten wachsen dieses Jahr viele rote Tomaten und ein paar Bohnen"),
    (GERMAN_MAN, "Mein Fahrrad steht seit gestern Abend vor der alten Apotheke"),
    (FRENCH_WOMAN, "Nous prenons toujours le petit chemin qui longe la rivière"),
    (FRENCH_MAN, "Mon voisin joue du violon chaque soir après le dîner"),
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = {FLITE_SLT: "yes up off", FLITE_RMS: "down left stop", FESTIVAL_SLT: "no right on", BRITISH_MAN: "go"}

RECORDINGS = (
    Recording(
        "conversation.flac",
        (
            Say(FESTIVAL_SLT, "Good morning, can you hear me?"),
            Say(FLITE_RMS, "Yes, every word as you say it.", gains=(0.8,)),
            Say(FESTIVAL_SLT, "Then let us talk until the next tunnel."),
            Say(FLITE_RMS, "Gladly, I have all day.", gains=(0.8,)),
        ),
        noises=((pink, 26),),
    ),
    Recording(
        "telephone_8k.wav",
        (
            Say(FLITE_SLT, "Thank you for calling the lost property office."),
            Say(FESTIVAL_KAL, "Hello, I lost a green umbrella.", gains=(0.6,)),
            Say(FLITE_SLT, "Please hold the line while I look for it."),
        ),
        noises=((hum, 18), (pink, 28)),
        channel=telephone,
        sample_rate=8000,
    ),
    Recording(
        "stereo_44k.flac",
        (
            Say(FESTIVAL_SLT, "I am sitting on the left side of the table.", gains=(1.0, 0.2)),
            Say(BRITISH_MAN, "And I am on the right, next to the lamp.", gains=(0.2, 1.0)),
        ),
        noises=((pink, 36),),
        sample_rate=44100,
        channels=2,
    ),
    Recording(
        "german_platform.ogg",
        (
            Say(GERMAN_WOMAN, "Der Zug nach Freiburg fährt heute von Gleis sieben."),
            Say(GERMAN_WOMAN, "Bitte steigen Sie vorne ein.", pause_s=1.1),
            Say(GERMAN_MAN, "Entschuldigung, ist hier noch ein Platz frei?", pause_s=1.0, gains=(0.7,)),
        ),
        noises=((babble, 16),),
        room=hall,
    ),
    Recording(
        "french_cafe.ogg",
        (
            Say(FRENCH_WOMAN, "Un café et un verre d'eau, s'il vous plaît."),
            Say(FRENCH_MAN, "Tout de suite, madame.", pause_s=0.9),
            Say(FRENCH_WOMAN, "Merci, j'écoute la radio en attendant.", pause_s=1.2),
        ),
        noises=((babble, 10),),
    ),
    Recording(
        "arabic_office.flac",
        (
            Say(ARABIC_MAN, "صَبَاحُ الخَيْرِ."),
            Say(ARABIC_MAN, "هَلْ تَسْمَعُ صَوْتِي بِوُضُوحٍ؟", pause_s=1.0),
            Say(ARABIC_MAN, "يَصِلُ القِطَارُ بَعْدَ خَمْسِ دَقَائِق.", pause_s=1.0),
        ),
        noises=((pink, 22),),
        room=office,
    ),
    Recording(
        "mandarin_keyboard.ogg",
        (
            Say(MANDARIN_WOMAN, "你好，你听得见我说话吗？"),
            Say(MANDARIN_WOMAN, "我一边打字一边听音乐。", pause_s=1.1),
            Say(MANDARIN_WOMAN, "火车五分钟后到站。", pause_s=1.1),
        ),
        noises=((keyboard, 14), (pink, 26)),
    ),
    Recording(
        "hall_far.ogg",
        (
            Say(FLITE_RMS, "Welcome to the old concert hall."),
            Say(FLITE_RMS, "The last row hears every whisper.", pause_s=1.4),
        ),
        noises=((pink, 8),),
        room=hall,
        peak_db=-20,
    ),
    Recording(
        "digits.flac",
        tuple(Say((FLITE_SLT, FLITE_RMS)[i % 2], digit, pause_s=0.5) for i, digit in enumerate(DIGITS)),
        noises=((pink, 30),),
    ),
    Recording(
        "commands.flac",
        tuple(Say(voice, word, pause_s=0.6) for voice, words in COMMANDS.items() for word in words.split()),
        noises=((pink, 24),),
    ),
    Recording("noise_only.ogg", noises=((pink, 0), (hum, 6), (keyboard, 3)), tail_s=6.0, peak_db=-9),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample recordings and truth.csv.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    missing = [program for program in ("espeak-ng", "flite", "text2wave") if shutil.which(program) is None]
    if missing:
        parser.error(f"{', '.join(missing)} not found. Install the synthesisers with: apt-get install {PACKAGES}")
    out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple] = [("path", "start", "end")]
    for recording in RECORDINGS:
        samples, segments = compose(recording)
        soundfile.write(out / recording.file, samples, recording.sample_rate)
        rows += [(recording.file, *segment) for segment in segments]
    with open(out / "truth.csv", "w", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
