"""Noisy and clean speech written to disk: a fixed test set for any noise suppression."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.data.noisy_speech import NoisySettings
from streamrnn.recipes.denoising import read_noisy_speech
from streamrnn.recipes.test_sets.composed import MANIFEST, Rows, require_new, require_sizes, write_numbered

COLUMNS = ("path", "clean", "start", "end", "sample_rate", "label", "source", "split", "snr_db")


def write_noisy_speech(
    data: Path,
    out: Path,
    *,
    clips: int = 120,
    duration_s: float = 5.0,
    split: str = "test",
    seed: int = 0,
    sample_rate: int = 16_000,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Mixes noisy speech from one split of `data`, as a folder for `streamrnn evaluate denoise`.

    The mixes are those of NoisySettings' defaults: 0 to 15 dB, three quarters noise and one quarter music, no rooms,
    speech of quality A only. `out` gets noisy_0000.flac and clean_0000.flac, ... (16 bit mono), and
    manifest.csv (path: noisy; label: noise or music). The same arguments give the same samples; mix k depends only on
    the seed and k, so a larger set contains the smaller ones.

    Args:
        data: a folder of folders of recordings, as DenoisingRecipe reads them.
        out: created if missing; must not have a manifest.csv yet.
        clips: number of mixes, at least 1.
        duration_s: length of each mix, above 0.
        split: train, valid or test.
        seed: random seed.
        sample_rate: sample rate of the mixes, in Hz.
        progress: called with (mixes written, clips) after each mix.

    Raises:
        FileExistsError: `out` holds a manifest.csv.
        FileNotFoundError, ValueError: `data` lacks speech, noise or music, or `split` does.
        ValueError: clips is below 1, or a mix would have no sample.
    """
    require_sizes(clips, sample_rate, duration_s)
    require_new(out, "mixes")
    mixes = read_noisy_speech([data], split, sample_rate, NoisySettings())

    def write(number: int, rng: np.random.Generator) -> Rows:
        mix, name = mixes.draw(rng, duration_s), f"{number:04}.flac"
        write_audio(out / f"noisy_{name}", mix.samples, sample_rate)
        write_audio(out / f"clean_{name}", mix.clean, sample_rate)
        described = (0, len(mix.samples), sample_rate, mix.description, "composed", split, f"{mix.snr_db:.2f}")
        return {MANIFEST: [(f"noisy_{name}", f"clean_{name}", *described)]}

    write_numbered(out, {MANIFEST: COLUMNS}, clips, write, seed, progress)


__all__ = ["write_noisy_speech"]
