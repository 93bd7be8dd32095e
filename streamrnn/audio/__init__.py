"""Sound in: files, microphones and pipes as chunks of samples, chunks as exact blocks, sample rates, augmentation."""

from streamrnn.audio.blocks import BlockBuffer
from streamrnn.audio.chunks import AudioError, AudioWarning, Chunk, as_channels, as_samples
from streamrnn.audio.encodings import Encoding
from streamrnn.audio.files import AudioFile, read_audio
from streamrnn.audio.mixing import (
    band_limit,
    change_speed,
    clip_protect,
    coloured_noise,
    fit_length,
    gain,
    mix_at_snr,
    reverberate,
)
from streamrnn.audio.mixing_down import mono, one_channel
from streamrnn.audio.pipes import PipeSource
from streamrnn.audio.resample import StreamingResampler, resample
from streamrnn.audio.source import Source
from streamrnn.audio.sources import ArraySource, ChunkSource, FileSource, Microphone, open_source
from streamrnn.audio.waiting import samples_of
from streamrnn.audio.writing import write_audio

__all__ = [
    "ArraySource",
    "AudioError",
    "AudioFile",
    "AudioWarning",
    "BlockBuffer",
    "Chunk",
    "ChunkSource",
    "Encoding",
    "FileSource",
    "Microphone",
    "PipeSource",
    "Source",
    "StreamingResampler",
    "as_channels",
    "as_samples",
    "band_limit",
    "change_speed",
    "clip_protect",
    "coloured_noise",
    "fit_length",
    "gain",
    "mix_at_snr",
    "mono",
    "one_channel",
    "open_source",
    "read_audio",
    "resample",
    "reverberate",
    "samples_of",
    "write_audio",
]
