"""`streamrnn record`: clips of a word by those who will say it, checked as they are made."""

import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from streamrnn.audio import FileSource, Microphone, PipeSource, Source, mono, read_audio, write_audio
from streamrnn.audio.sinks import Speaker
from streamrnn.cli.display import SILENCE_DB, level_db
from streamrnn.cli.flags import default_is, device_of, parse
from streamrnn.cli.interrupt import ending_of, until_interrupted
from streamrnn.cli.outputs import check_folder
from streamrnn.runtime.cutting import Utterance

# Silence before the first word: the detector's noise floors settle, and the speaker reads what to do.
COUNT_IN_S = 3
SOFTEST_DB = -45.0
LEAST_SNR_DB = 10.0
SHORTEST_S = 0.2
FULL_SCALE = 0.999
CLIPPED_SAMPLES = 3
# Between words; longer than the closure of a stop inside of one.
PAUSE_MS = 400.0


@dataclass(frozen=True)
class Record:
    """Records clips of a word or phrase, said again and again with a pause after each.

    A clip that is too soft, clipped, too short or too long is rejected with the reason, and you say it again. In a
    terminal you can then play clips and delete some.

    examples:
      streamrnn record "hey computer" MY_WORDS
      streamrnn record yes MY_WORDS --count 40 --speaker ada
      streamrnn record yes MY_WORDS --source said.wav

    Clips are MY_WORDS/WORD/*.wav, for `streamrnn train keywords --data MY_WORDS` and
    `streamrnn train wake WORD --recordings MY_WORDS/WORD`. Existing clips stay.
    """

    word: tyro.conf.Positional[str]
    """The word or phrase; also the name of the folder of its clips."""
    folder: tyro.conf.Positional[Path]
    """Folder that holds the folders of words."""
    count: int = 20
    """Number of clips to keep before stopping."""
    speaker: str = ""
    """Who speaks, so that training keeps one speaker's clips together. Letters, digits and hyphens."""
    source: str = "mic"
    """`mic`, a recording of the word said many times, or `-` for raw signed 16 bit samples at 16 kHz from a pipe."""
    longest_s: float = 3.0
    """Maximum length of a clip, in seconds."""
    device: Annotated[str | None, default_is("the system's input")] = None
    """The microphone: its number, or part of its name."""

    def check(self) -> None:
        """Raises ValueError for flags that mean nothing."""
        word = self.word.strip()
        if not word or word.startswith(".") or any(sign in word for sign in "/\\\0"):
            raise ValueError(f"the word is {self.word!r}; it names a folder. Give letters, without slashes.")
        if self.count < 1:
            raise ValueError(f"--count is {self.count}; it must be at least 1.")
        if not SHORTEST_S < self.longest_s <= 30:
            raise ValueError(f"--longest-s is {self.longest_s}; it must be above {SHORTEST_S} and at most 30.")
        if self.speaker and not self.speaker.replace("-", "").isalnum():
            raise ValueError(f"--speaker is {self.speaker!r}; give letters, digits and hyphens, such as ada.")
        if self.device is not None and self.source != "mic":
            raise ValueError(f"--device is for the source mic; this is {self.source}. Leave it out.")

    @property
    def place(self) -> Path:
        """The folder of the word's clips."""
        return self.folder / self.word.strip()

    def open(self) -> Source:
        """The source, opened."""
        match self.source:
            case "mic":
                return Microphone(device=device_of(self.device))
            case "-":
                return PipeSource(sample_rate=16_000)
        return FileSource(self.source)


@dataclass(frozen=True)
class Take:
    """One clip: its sound, and what is said of it."""

    samples: np.ndarray
    seconds: float
    level_db: float
    snr_db: float
    clipped: int

    @classmethod
    def of(cls, utterance: Utterance, room_db: float) -> "Take":
        """The take of an utterance in a room whose own noise has this level."""
        rate, ends_s = utterance.sample_rate, utterance.end_s - utterance.sound_start_s
        first = round((utterance.start_s - utterance.sound_start_s) * rate)
        said = utterance.samples[first : round(ends_s * rate)]
        level = level_db(said) if len(said) else SILENCE_DB
        clipped = int(np.sum(np.abs(utterance.samples) >= FULL_SCALE))
        return cls(utterance.samples, utterance.end_s - utterance.start_s, level, level - room_db, clipped)

    def fault(self, longest_s: float) -> str | None:
        """Why it is not kept, and what to do; None: it is good."""
        if self.clipped >= CLIPPED_SAMPLES:
            return "too loud, it was clipped. Go back a little, or turn the microphone down."
        if self.level_db < SOFTEST_DB:
            return f"too soft ({self.level_db:.0f} dB of full scale). Come nearer, or turn the microphone up."
        if self.snr_db < LEAST_SNR_DB:
            return f"only {max(0.0, self.snr_db):.0f} dB louder than the room. Come nearer, or silence the room."
        if self.seconds < SHORTEST_S:
            return f"too short ({self.seconds:.2f} s). Say the whole word."
        if self.seconds > longest_s:
            return f"too long ({self.seconds:.1f} s). Make a pause after each word, or raise --longest-s."
        return None


class Clips:
    """The clips of one word in its folder, numbered on from those that are there."""

    def __init__(self, folder: Path, speaker: str):
        # The part before "_nohash_" is the speaker, as in Speech Commands.
        self._folder, self._stem, self._number = folder, f"{speaker}_nohash_" if speaker else "", 0
        self.kept: dict[int, Path] = {}

    def keep(self, take: Take, sample_rate: int) -> Path:
        """Writes a clip under the next free name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while (path := self._folder / f"{self._stem}{self._number:04d}.wav").exists():
            self._number += 1
        write_audio(path, take.samples, sample_rate)
        self.kept[len(self.kept) + 1] = path
        return path


def takes(source: Source, listening_from_s: float) -> Generator[Take, None, None]:
    """The takes of a source, each as soon as it has ended; what begins earlier than this time is passed over."""
    from streamrnn.pretrained import load
    from streamrnn.runtime import Listener, Utterances

    listener = Listener(load("vad"), source.sample_rate, min_silence_ms=PAUSE_MS)
    stream, room = Utterances(listener), _Room()
    with closing(until_interrupted(mono(source, source.sample_rate))) as chunks:
        for chunk in chunks:
            found = stream.feed(chunk)
            room.hear(chunk, listener.activity)
            yield from (Take.of(u, room.level_db) for u in found if u.start_s >= listening_from_s)
    yield from (Take.of(u, room.level_db) for u in stream.finish() if u.start_s >= listening_from_s)


class _Room:
    """The level of a room's own noise: the median of what was heard where nobody spoke."""

    def __init__(self) -> None:
        self._levels: list[float] = []

    def hear(self, chunk: np.ndarray, activity: np.ndarray) -> None:
        if len(chunk) and len(activity) and activity.max() < 0.1:
            self._levels.append(level_db(chunk))

    @property
    def level_db(self) -> float:
        return float(np.median(self._levels)) if self._levels else SILENCE_DB


def main(args: list[str]) -> None:
    """Runs `streamrnn record`.

    Raises:
        OSError, ValueError, ImportError: the source, or the folder, cannot be used.
        KeyboardInterrupt: it was ended; clips that were kept stay.
    """
    asked = parse(Record, "record", args)
    asked.check()
    check_folder(asked.place)
    with asked.open() as source:
        clips = Clips(asked.place, asked.speaker)
        ended_by = ending_of(lambda: _record(asked, source, clips))
    if sys.stdin.isatty() and clips.kept and asked.source == "mic":
        review(clips, input, _play)
    print(f"{len(clips.kept)} clips in {asked.place}", file=sys.stderr)
    if ended_by is not None:
        raise ended_by
    if not clips.kept:
        raise ValueError(f"no clip was kept of {asked.source}: no word was heard, or each was rejected as told above.")


def _record(asked: Record, source: Source, clips: Clips) -> None:
    is_live = asked.source == "mic"
    if is_live:
        print(
            f"Be quiet for {COUNT_IN_S} seconds, then say “{asked.word}” {asked.count} times, with a pause after each."
        )
    with closing(takes(source, COUNT_IN_S if is_live else 0.0)) as found:
        for take in found:
            fault = take.fault(asked.longest_s)
            if fault is None:
                path = clips.keep(take, source.sample_rate)
                said = f"{path}  {take.seconds:.2f} s  {take.level_db:.0f} dB"
            else:
                said = f"not kept: {fault}"
            print(f"{len(clips.kept):3}/{asked.count}  {said}", flush=True)
            if len(clips.kept) == asked.count:
                return


def review(clips: Clips, ask: Callable[[str], str], play: Callable[[Path], None]) -> None:
    """Lets the speaker hear clips and delete some, by the numbers that were printed, until an empty answer."""
    while clips.kept:
        try:
            answer = ask("Enter keeps all; 3 deletes the third clip, p 3 plays it: ").split()
        except EOFError:
            # Ctrl-D, which leaves the cursor behind the question.
            print()
            return
        if not answer:
            return
        plays, numbers = answer[0] == "p", answer[answer[0] == "p" :]
        if not numbers or not all(n.isdecimal() and int(n) in clips.kept for n in numbers):
            print(f"got {' '.join(answer)!r}; the clips are {', '.join(map(str, clips.kept))}.")
            continue
        for number in dict.fromkeys(map(int, numbers)):
            if plays:
                play(clips.kept[number])
            else:
                clips.kept.pop(number).unlink()


def _play(path: Path) -> None:
    samples, rate = read_audio(path)
    with Speaker(rate) as speaker:
        speaker.write(samples)


__all__ = ["Record", "Take", "main", "review"]
