from .blocks import BlockBuffer
from .chunks import AudioError, AudioWarning, Chunk, as_channels, as_samples
from .encodings import Encoding
from .files import AudioFile, read_audio
from .mixing import band_limit, change_speed, clip_protect, coloured_noise, fit_length, gain, mix_at_snr, reverberate
from .mixing_down import mono, one_channel
from .pipes import PipeSource
from .resample import StreamingResampler, resample
from .source import Source
from .sources import ArraySource, ChunkSource, FileSource, Microphone, open_source
from .waiting import samples_of
from .writing import write_audio

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
