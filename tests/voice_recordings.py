"""Small recordings with labels of speech, and settings of a training on them that takes seconds."""

from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.learning import TrainingSettings
from streamrnn.models import VoiceActivitySettings
from streamrnn.recipes.voice_activity import VoiceActivityTraining

RATE = 2000
SPOKEN = (1000, 3000)
TINY = VoiceActivitySettings(
    sample_rate=RATE, hop_samples=100, window_samples=200, mels=8, memory_s=0.0, channels=4, hidden=4
)
SETTINGS = VoiceActivityTraining(
    model=TINY,
    training=TrainingSettings(steps=40, learning_rate=0.03, warmup_steps=2, validate_every=20),
    batch_size=4,
    duration_s=5.0,
    parts=1,
    workers=1,
)


def write_folder(folder: Path, splits: dict[str, str], samples: np.ndarray, sample_rate: int = RATE) -> None:
    """A folder whose recordings, name -> split, all sound the same, but are no copies of each other."""
    folder.mkdir(parents=True)
    for number, name in enumerate(splits):
        write_audio(folder / name, (1 - number / 1000) * samples, sample_rate)
    rows = "".join(f"{name},{split}\n" for name, split in splits.items())
    (folder / "manifest.csv").write_text(f"path,split\n{rows}")


def voice() -> np.ndarray:
    """Two seconds; from 0.5 to 1.5 s something harmonic that swells and fades, as vowels do."""
    t = np.arange(2 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * 120 * harmonic * t) / harmonic for harmonic in range(1, 6))
    spoken = (t >= 0.5) & (t < 1.5)
    return 0.2 * spoken * tones * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * t))


def write_data(data: Path) -> Path:
    rng = np.random.default_rng(0)
    both = {"a.wav": "train", "b.wav": "valid"}
    write_folder(data / "talk", {**both, "crowd.wav": "train"}, voice())
    segments = "a.wav,1000,3000,A\nb.wav,1000,3000,A\ncrowd.wav,1000,3000,B\n"
    (data / "talk/vad_segments.csv").write_text(f"path,start,end,quality\n{segments}")
    write_folder(data / "noise_hiss", both, 0.1 * rng.standard_normal(4 * RATE))
    write_folder(data / "music", both, 0.1 * np.sin(np.arange(4 * RATE) / 3))
    write_folder(data / "rir", {"far.wav": "train", "near.wav": "valid"}, np.r_[np.zeros(9), 0.9, np.zeros(50), 0.3])
    return data
