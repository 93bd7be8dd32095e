"""Whole recordings over HTTP: received into a temporary file, worked off in a thread, a few at once."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource, as_samples, write_audio
from streamrnn.audio.files import UNKNOWN_FRAMES
from streamrnn.models import Model
from streamrnn.runtime import enhance_file
from streamrnn.runtime.files import run_file_events
from streamrnn.serve.catalogue import checked, gives_sound
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, ProtocolError
from streamrnn.serve.settings import ServerSettings

CHUNK_S = 5
RETRY_S = 2


class Refused(Exception):
    """An answer other than 200: its status, the code and the message of its error."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Uploads:
    """Takes recordings, and gives what a model makes of them.

    Args:
        settings: limits.
        metrics: where uploads are counted.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics):
        self._settings, self._metrics = settings, metrics
        self._under_way = 0

    async def answer(self, request: Request, model: Model, parameters: Mapping[str, str]) -> Response:
        """The events of the recording that the request brings, or its sound without noise.

        Raises:
            Refused: there is none, or it may not be worked off.
        """
        with self._counted(), ExitStack() as kept:
            folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="streamrnn-")))
            decision = _decision(model, parameters)
            await self._receive(request, folder / "recording")
            work = _enhanced if gives_sound(model) else _events
            answer = await asyncio.to_thread(work, model, folder, decision, self._settings.upload_s)
            if isinstance(answer, Path):
                # Sent after this function's end.
                later = kept.pop_all()
                return FileResponse(answer, media_type="audio/wav", background=BackgroundTask(later.close))
            return JSONResponse(answer)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._under_way >= self._settings.max_uploads:
            raise Refused(503, "busy", f"{self._under_way} recordings are being worked off. Try again later.")
        self._under_way += 1
        outcome = "failed"
        try:
            yield
            outcome = "done"
        except Refused:
            outcome = "refused"
            raise
        finally:
            self._under_way -= 1
            self._metrics.uploads.labels(outcome).inc()

    async def _receive(self, request: Request, path: Path) -> None:
        limit = self._settings.upload_bytes
        too_large = Refused(413, "too_large", f"the recording's file has more than {limit} bytes.")
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        size = 0
        try:
            async with asyncio.timeout(self._settings.upload_time_s):
                with path.open("wb") as file:
                    async for part in request.stream():
                        size += len(part)
                        if size > limit:
                            raise too_large
                        file.write(part)
        except TimeoutError:
            seconds = f"{self._settings.upload_time_s:g} s"
            raise Refused(408, "bad_request", f"the recording did not arrive within {seconds}.") from None
        except ClientDisconnect:
            raise Refused(400, "bad_request", "the connection was lost.") from None
        if not size:
            raise Refused(400, "bad_request", "there is no recording in the request. Send a file as its body.")


def _decision(model: Model, parameters: Mapping[str, str]) -> dict[str, float]:
    try:
        return checked(model, {name: float(value) for name, value in parameters.items()})
    except ProtocolError as error:
        raise Refused(400, "bad_request", error.message) from None
    except ValueError:
        raise Refused(400, "bad_request", "a setting is no number.") from None


class _Recording:
    """A file of limited length and width, mono, in chunks; it counts its samples."""

    def __init__(self, path: Path, longest_s: float):
        self.file, self.longest_s, self.samples = AudioFile(path), longest_s, 0
        rate, channels = self.file.sample_rate, self.file.channels
        if not LOWEST_RATE <= rate <= HIGHEST_RATE or channels > MOST_CHANNELS:
            raise AudioError(
                f"the recording has {channels} channels at {rate} Hz; up to {MOST_CHANNELS} at {LOWEST_RATE} to "
                f"{HIGHEST_RATE} Hz are taken."
            )

    @property
    def duration_s(self) -> float:
        return self.samples / self.file.sample_rate

    def source(self) -> ChunkSource:
        return ChunkSource(self._chunks(), self.file.sample_rate)

    def _chunks(self) -> Iterator[np.ndarray]:
        # What the header promises comes first, so that nothing is decoded in vain. It may promise too little, or
        # not know: tiny files can hold hours of silence.
        self._limit(self.file.duration_s if self.file.frames < UNKNOWN_FRAMES else 0.0)
        try:
            for chunk in self.file.chunks(CHUNK_S * self.file.sample_rate):
                self.samples += len(chunk)
                self._limit(self.duration_s)
                yield as_samples(chunk)
        # Where warnings are errors: what could be decoded is an answer.
        except AudioWarning:
            return

    def _limit(self, duration_s: float) -> None:
        if duration_s > self.longest_s:
            raise Refused(413, "too_large", f"the recording is longer than {self.longest_s:g} s.")


def _events(model: Model, folder: Path, decision: dict[str, float], longest_s: float) -> dict[str, Any]:
    recording, events = _worked_off(
        folder, longest_s, lambda recording: run_file_events(model, recording.source(), None, **decision)
    )
    return {"duration_s": round(recording.duration_s, 6), "events": [event.to_dict() for event in events]}


def _enhanced(model: Model, folder: Path, decision: dict[str, float], longest_s: float) -> Path:
    _, (samples, rate) = _worked_off(
        folder, longest_s, lambda recording: enhance_file(model, recording.source(), None, **decision)
    )
    write_audio(folder / "enhanced.wav", samples, rate)
    return folder / "enhanced.wav"


def _worked_off(folder: Path, longest_s: float, work: Any) -> tuple[_Recording, Any]:
    path = folder / "recording"
    try:
        recording = _Recording(path, longest_s)
        with recording.file:
            return recording, work(recording)
    except AudioError as error:
        # Where files lie is nobody's business.
        raise Refused(400, "bad_audio", str(error).replace(str(path), "the recording")) from None


__all__ = ["RETRY_S", "Refused", "Uploads"]
