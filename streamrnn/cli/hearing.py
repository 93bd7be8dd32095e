"""Where `streamrnn run` lets a model hear: in this process, or on a server. Sessions see no difference."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from streamrnn.cli.starting import starting
from streamrnn.decisions import Event, SpeechSettings
from streamrnn.decisions.phrases import NoPhrases
from streamrnn.serve.access import TOKEN_VARIABLE
from streamrnn.signals import Sound

if TYPE_CHECKING:
    from streamrnn.runtime import Enhancer, Listener
    from streamrnn.runtime.steps import AnyModel
    from streamrnn.serve.client import Client

IN_PYTHON = "In Python, use streamrnn.run_file or streamrnn.Stream."
WHAT_FOR = 'Say what to listen for: --phrase "hey computer", or --grammar FILE.'


class Hearing(Protocol):
    """A fresh stream of a model that gives events."""

    sample_rate: int
    frame_s: float

    @property
    def speech(self) -> SpeechSettings | None:
        """How it decides, if it finds speech, and not words."""

    @property
    def duration_s(self) -> float: ...
    @property
    def activity(self) -> np.ndarray:
        """What the model heard of what it listens for in the last feed() or finish(), [frames] in [0, 1]."""
        ...

    def feed(self, samples: np.ndarray, /) -> list[Event]: ...
    def finish(self) -> list[Event]: ...
    def latency(self) -> str:
        """What events wait for."""
        ...


class Enhancing(Protocol):
    """A fresh stream of a model that gives sound."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def duration_s(self) -> float: ...
    def process(self, samples: np.ndarray, /) -> np.ndarray: ...
    def flush(self) -> np.ndarray: ...
    def latency(self) -> str:
        """What sound waits for."""
        ...


class Place(Protocol):
    """Where a model is. A context manager."""

    @property
    def gives(self) -> str:
        """What the model gives: "events", "sound" or "numbers"."""
        ...

    @property
    def advice(self) -> str:
        """What to do where it gives numbers."""
        ...

    def hearing(self) -> Hearing: ...
    def enhancing(self) -> Enhancing: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception) -> None: ...


class Here:
    """A model in this process.

    Args:
        model: its name or path.
        sample_rate: of the sound.
        overrides: the model's decision settings class -> settings that were given.
    """

    def __init__(self, model: str, sample_rate: int, overrides: Callable[[type], dict[str, Any]]):
        with starting():
            self._model, self._rate = _loaded(model), sample_rate
        decision = self._model.decision
        self._settings = {} if decision is None else overrides(type(decision))
        self._outlet = self._model.outlet(**self._settings)

    @property
    def gives(self) -> str:
        return self._outlet.gives

    @property
    def advice(self) -> str:
        return WHAT_FOR if isinstance(self._outlet, NoPhrases) else IN_PYTHON

    def hearing(self) -> Hearing:
        from streamrnn.runtime import Listener

        with starting():
            return _HearingHere(Listener(self._model, self._rate, **self._settings))

    def enhancing(self) -> Enhancing:
        from streamrnn.runtime import Enhancer

        with starting():
            return _EnhancingHere(Enhancer(self._model, self._rate, **self._settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        """Nothing is held."""


class There:
    """A model on a server.

    Args:
        url: of the server.
        model: one that it serves.
        sample_rate: of the sound.
        live: the sound comes as it is spoken, so that it means something how long answers take.
        overrides: decision settings that were given.
    """

    def __init__(self, url: str, model: str, sample_rate: int, live: bool, overrides: dict[str, Any]):
        from streamrnn.serve import connect

        # As floats, so that not a bit differs from what a model here would hear.
        form: Any = {"encoding": "f32le", "levels": True, "token": os.environ.get(TOKEN_VARIABLE) or None}
        self._connect, self._live = lambda: connect(url, model, sample_rate, **form, **overrides), live
        self._client = self._connect()
        self._clients, self._is_taken = [self._client], False

    @property
    def gives(self) -> str:
        return self._client.ready.gives

    @property
    def advice(self) -> str:
        return WHAT_FOR if "phrases" in self._client.ready.settings else IN_PYTHON

    def hearing(self) -> Hearing:
        if self._is_taken:
            self._clients.append(self._connect())
        self._is_taken = True
        return _HearingThere(self._clients[-1], self._live)

    def enhancing(self) -> Enhancing:
        return _EnhancingThere(self._client, self._live)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        for client in self._clients:
            client.close()


class _HearingHere:
    def __init__(self, listener: "Listener"):
        self._listener, stream = listener, listener.stream
        self.sample_rate, self.frame_s = stream.sample_rate, stream.step.frame_s
        self.feed, self.finish = listener.feed, listener.finish

    @property
    def speech(self) -> SpeechSettings | None:
        outlet = self._listener.outlet
        return outlet.settings if "speech_start" in outlet.kinds else None

    @property
    def duration_s(self) -> float:
        return self._listener.stream.duration_s

    @property
    def activity(self) -> np.ndarray:
        return self._listener.activity

    def latency(self) -> str:
        return _with_compute(self._listener.latency)


class _HearingThere:
    def __init__(self, client: "Client", live: bool):
        self._client, self._live, ready = client, live, client.ready
        self.sample_rate, self.frame_s = ready.sample_rate, ready.frame_s
        self.speech = SpeechSettings(**ready.settings) if "speech_start" in ready.kinds else None
        self.activity = np.zeros(0, np.float32)
        self._frames = 0

    @property
    def duration_s(self) -> float:
        return self._client.duration_s

    def feed(self, samples: np.ndarray) -> list[Event]:
        return self._heard(self._client.feed(samples))

    def finish(self) -> list[Event]:
        return self._heard(self._client.finish())

    def latency(self) -> str:
        return _with_answers(self._client, self._live)

    def _heard(self, events: list[Event]) -> list[Event]:
        parts = [np.zeros(0, np.float32)]
        for start_s, frame_s, values in self._client.levels:
            # What was said while the connection was lost does not come again.
            missing = max(0, round(start_s / frame_s) - self._frames)
            parts += [np.zeros(missing, np.float32), values]
            self._frames += missing + len(values)
        self.activity = np.concatenate(parts)
        return events


class _EnhancingHere:
    def __init__(self, enhancer: "Enhancer"):
        self._enhancer, self.sample_rate = enhancer, enhancer.sample_rate
        self.process, self.flush = enhancer.process, enhancer.flush

    @property
    def duration_s(self) -> float:
        return self._enhancer.duration_s

    def latency(self) -> str:
        return _with_compute(self._enhancer.latency)


class _EnhancingThere:
    def __init__(self, client: "Client", live: bool):
        self._client, self._live, self.sample_rate = client, live, client.ready.sample_rate

    @property
    def duration_s(self) -> float:
        return self._client.duration_s

    def process(self, samples: np.ndarray) -> np.ndarray:
        self._client.feed(samples)
        return self._client.sound()

    def flush(self) -> np.ndarray:
        self._client.finish()
        return self._client.sound()

    def latency(self) -> str:
        return _with_answers(self._client, self._live)


def require_sound(name: str) -> None:
    """Raises what loading the model raises, and ValueError where it takes no sound."""
    with starting():
        model = _loaded(name)
    if not isinstance(model.signal, Sound):
        raise ValueError(
            f"{name} takes no sound. If it reads lines, pass the .safetensors file that it was exported from; else use "
            "streamrnn.Stream in Python."
        )


def _loaded(model: str) -> "AnyModel":
    # Here, not above: JAX takes a second to import, and what is wrong with the sound or the outputs is said before.
    from streamrnn.pretrained import load
    from streamrnn.runtime import configure

    # An exported model runs without JAX.
    if not model.endswith(".onnx"):
        configure()
    return load(model)


def _with_compute(latency: Any) -> str:
    compute = f"{latency.compute_p50_ms:.2f} ms (p99 {latency.compute_p99_ms:.2f} ms)"
    return f"latency {latency.algorithmic_ms:.0f} ms + compute {compute}"


def _with_answers(client: "Client", live: bool) -> str:
    latency = client.latency
    told = f"latency {latency.algorithmic_ms:.0f} ms"
    if not live or np.isnan(latency.answer_p50_ms):
        return told
    return f"{told} + network and server {latency.answer_p50_ms:.0f} ms (p99 {latency.answer_p99_ms:.0f} ms)"


__all__ = ["Enhancing", "Hearing", "Here", "Place", "There", "require_sound"]
