"""Small models whose events can be foreseen or at least occur, sound for them, and the ways to run them."""

import contextlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.cells import GRU
from streamrnn.decisions import SpeechSettings
from streamrnn.features import RunningNormalise, log_mel
from streamrnn.layers import Apply, Chain, Delay, Dense, Embedding, Lookahead, Recurrent, StackFrames
from streamrnn.models import Model, VoiceActivity, VoiceActivitySettings
from streamrnn.signals import Series

QUICK = SpeechSettings(min_speech_ms=30, min_silence_ms=50)


def small_voice_activity(seed=1, lookahead_frames=3, logit_scale=20.0):
    """Untrained: with large logits, its probabilities cross the thresholds wherever noise begins or ends."""
    settings = VoiceActivitySettings(hidden=16, channels=8, mels=16, lookahead_frames=lookahead_frames)
    model = VoiceActivity(settings, QUICK, rngs=nnx.Rngs(seed))
    head = model.network.layers[2]
    head.kernel[...] *= logit_scale
    return model


@dataclass(frozen=True)
class StridedSettings:
    sample_rate: int = 16_000
    hop_samples: int = 160
    mels: int = 8
    hidden: int = 8


class StridedVoiceActivity(Model):
    """One probability per two frames, with a look-ahead of two of them."""

    def __init__(self, settings, decision, *, rngs):
        mels, hidden = settings.mels, settings.hidden
        front_end = Chain(
            *log_mel(settings.sample_rate, 400, settings.hop_samples, mels, amin=1e-8),
            RunningNormalise(mels, 500),
            StackFrames(2),
        )
        core = Chain(Lookahead(2), Recurrent(GRU(2 * mels, hidden, rngs=rngs)))
        super().__init__(settings, decision, Chain(front_end, core, Dense(hidden, 1, rngs=rngs)), 1)

    def readout(self, logits):
        return jax.nn.sigmoid(20 * logits)


class LoudnessDetector(VoiceActivity):
    """Speech is what exceeds -40 dB of full scale, told three frames later: its events follow from the sound."""

    def __init__(self):
        head = Dense(1, 1, rngs=nnx.Rngs(0))
        head.kernel[...], head.bias[...] = jnp.ones((1, 1)), jnp.full(1, 40.0)
        network = Chain(Apply(_power_db), Delay(3, 1), head)
        Model.__init__(self, VoiceActivitySettings(), SpeechSettings(), network, 1)


def _power_db(frames):
    return 10 * jnp.log10(jnp.mean(frames**2, axis=-1, keepdims=True) + 1e-10)


@pytest.fixture(scope="session")
def new_model():
    """(seed, lookahead_frames, logit_scale) -> a small VoiceActivity that nobody else uses."""
    return small_voice_activity


@pytest.fixture(scope="session")
def loudness():
    return LoudnessDetector()


@pytest.fixture(scope="session")
def models():
    return {
        "looking ahead": small_voice_activity(),
        "not looking ahead": small_voice_activity(lookahead_frames=0),
        "of stride 2": StridedVoiceActivity(StridedSettings(), QUICK, rngs=nnx.Rngs(0)),
    }


READINGS = Series(4, 50.0, padding=-1.0)
IDS = Series(1, 10.0, "int32", padding=8, ids=9)


def of_series(signal, *first):
    """Three numbers per two frames, with a look-ahead of two frames."""
    rngs = nnx.Rngs(0)
    network = Chain(*first, Lookahead(2), StackFrames(2), Recurrent(GRU(8, 5, rngs=rngs)), Dense(5, 3, rngs=rngs))
    return Model(None, None, network, 3, signal=signal)


@pytest.fixture(scope="session")
def of_readings():
    """A model of frames of four floats that gives numbers."""
    return of_series(READINGS)


@pytest.fixture(scope="session")
def of_ids():
    """A model of ids that gives numbers."""
    return of_series(IDS, Embedding(9, 4, rngs=nnx.Rngs(1)))


@pytest.fixture(scope="session")
def frames():
    """(model, n) -> n frames that it takes."""

    def make(model, n):
        draw = np.random.default_rng(n)
        if model.signal.dtype == "int32":
            return draw.integers(0, model.signal.ids, (n, model.signal.features), dtype=np.int32)
        return draw.normal(size=(n, model.signal.features)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def model(models):
    return models["looking ahead"]


@pytest.fixture(params=["looking ahead", "not looking ahead", "of stride 2"], scope="session")
def any_model(request, models):
    return models[request.param]


@pytest.fixture(scope="session")
def bursts():
    """(duration_s, sample_rate, channels) -> noise, loud in every other quarter of a second: int16[n] or [n, 2]."""

    def make(duration_s, sample_rate=16_000, channels=1):
        n = round(duration_s * sample_rate)
        loud = np.arange(n) * 4 // sample_rate % 2
        noise = np.random.default_rng(0).normal(0, 60 + 6000 * loud, (channels, n)).T
        sound = noise.clip(-32768, 32767).astype(np.int16)
        return sound[:, 0] if channels == 1 else sound

    return make


@pytest.fixture(scope="session")
def tone_between():
    """(spans, duration_s, sample_rate) -> float32[n]: a loud tone within the spans of seconds, silence elsewhere."""

    def make(spans, duration_s, sample_rate=16_000):
        t = np.arange(round(duration_s * sample_rate)) / sample_rate
        loud = np.any([(start <= t) & (t < end) for start, end in spans], axis=0)
        return (0.5 * loud * np.sin(2 * np.pi * 440 * t)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def cut():
    """(sound[n, ...], lengths) -> chunks of these lengths, and one of the rest."""
    return lambda sound, lengths: np.split(sound, np.minimum(np.cumsum(np.asarray(lengths, int)), len(sound)))


@pytest.fixture(scope="session")
def run():
    """(stream, chunks) -> all outputs, float32[frames, out], the flush included."""

    def outputs_of(stream, chunks):
        outputs = [stream.process(chunk) for chunk in chunks]
        return np.concatenate([*outputs, stream.flush()])

    return outputs_of


@pytest.fixture(scope="session")
def hear():
    """(listener, chunks) -> all events, the finish included."""

    def events_of(listener, chunks):
        events = [event for chunk in chunks for event in listener.feed(chunk)]
        return events + listener.finish()

    return events_of


@pytest.fixture
def recording(tmp_path):
    """(sound, sample_rate) -> the path of a WAV file that holds it."""

    def write(sound, sample_rate=16_000):
        path = tmp_path / "recording.wav"
        write_audio(path, sound, sample_rate)
        return path

    return write


@pytest.fixture
def compilations():
    """A context manager; it gives a list that holds one entry for each program that is compiled inside."""

    @contextlib.contextmanager
    def counting():
        compiled = []

        def count(event, duration_s, **_):
            if event == "/jax/core/compile/backend_compile_duration":
                compiled.append(duration_s)

        jax.monitoring.register_event_duration_secs_listener(count)
        try:
            yield compiled
        finally:
            jax.monitoring.unregister_event_duration_listener(count)

    return counting
