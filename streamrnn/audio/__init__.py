"""Sound in: files, microphones and pipes as chunks of samples, chunks as exact blocks, sample rates, augmentation."""

from streamrnn.audio.blocks import BlockBuffer
from streamrnn.audio.chunks import AudioError, AudioWarning, Chunk, as_samples
from streamrnn.audio.files import AudioFile, read_audio, write_audio
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
from streamrnn.audio.resample import StreamingResampler, resample
from streamrnn.audio.sources import (
    ArraySource,
    ChunkSource,
    FileSource,
    Microphone,
    PipeSource,
    Source,
    open_source,
)

__all__ = [
    "ArraySource",
    "AudioError",
    "AudioFile",
    "AudioWarning",
    "BlockBuffer",
    "Chunk",
    "ChunkSource",
    "FileSource",
    "Microphone",
    "PipeSource",
    "Source",
    "StreamingResampler",
    "as_samples",
    "band_limit",
    "change_speed",
    "clip_protect",
    "coloured_noise",
    "fit_length",
    "gain",
    "mix_at_snr",
    "open_source",
    "read_audio",
    "resample",
    "reverberate",
    "write_audio",
]
