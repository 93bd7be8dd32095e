"""Train a detector of two new words on a folder of clips, and hear it work at once.

python examples/05_train_two_words.py [FOLDER_OF_CLASS_FOLDERS]

The folder has one folder of clips per word, and perhaps one called "unknown" with other words. The command
`streamrnn train keywords --data FOLDER --start keywords` does so for longer, with all its settings as flags.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import streamrnn
from streamrnn.audio import read_audio
from streamrnn.data import AugmentSettings, read_folder
from streamrnn.learning import TrainingSettings
from streamrnn.recipes import KeywordsRecipe, KeywordsTraining, like
from streamrnn.recipes.train import train

TWO_WORDS = Path(__file__).parents[1] / "audio_samples" / "two_words"

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TWO_WORDS
settings = KeywordsTraining(
    training=TrainingSettings(steps=180, learning_rate=2e-3, warmup_steps=10, validate_every=60),
    augment=AugmentSettings(speed=(0.85, 1.15), room_share=0.0, noise_share=0.5, snr_db=(10, 30)),
    batch_size=32,
    # Clips alone are learned in a minute. For daily use leave running sound in, and add recordings of noise.
    running_s=0.0,
    unknown_share=0.3,
    label_smoothing=0.0,
)
# Starting from a model of other words, of its sizes, takes a tenth of the time of starting from random weights.
start = streamrnn.load("keywords")
recipe = KeywordsRecipe([folder], like(settings, start))
words = recipe.settings.model.words
print(f"learning {' and '.join(words)} from {folder.name}")
with tempfile.TemporaryDirectory() as run:
    model, accuracy = train(recipe, "keywords", Path(run), start=start)
print(f"{100 * accuracy:.0f} % right on voices that it has not heard")

# One long recording of clips kept for testing, a second of silence after each, heard as if it were live.
clips = [clip for clip in read_folder(folder) if clip.split == "test"][:12]
sound = [np.concatenate([read_audio(clip.path, 16_000)[0], np.zeros(16_000, np.float32)]) for clip in clips]
starts = np.cumsum([0, *map(len, sound)]) / 16_000
print("said: " + ", ".join(f"{clip.label} at {start:.0f} s" for clip, start in zip(clips, starts, strict=False)))
for event in streamrnn.listen(model, np.concatenate(sound), sample_rate=16_000):
    print(f"after {event.decided_s:5.2f} s: {event.label}, score {event.score:.2f}")
