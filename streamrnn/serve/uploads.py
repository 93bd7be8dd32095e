"""Whole recordings over HTTP: received into an anonymous file, processed in a thread, a few at once."""

import asyncio
import os
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource, as_samples
from streamrnn.models import Model
from streamrnn.runtime.enhance import enhanced_pieces
from streamrnn.runtime.files import run_file, run_file_events
from streamrnn.serve.catalogue import checked, from_texts
from streamrnn.serve.encodings import encoded
from streamrnn.serve.forms import NoFile, boundary_of, file_in
from streamrnn.serve.items import takes_items
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import ProtocolError
from streamrnn.serve.settings import ServerSettings

CHUNK_S = 5
RETRY_S = 2
SENT_BYTES = 65_536


class Refused(Exception):
    """A response other than 200: its status, and the code and message of its error."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Uploads:
    """Receives recordings, and returns what a model computes from them.

    Args:
        settings: limits.
        metrics: where uploads are counted.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics):
        self._settings, self._metrics = settings, metrics
        self._under_way = 0

    async def answer(self, request: Request, model: Model, parameters: Sequence[tuple[str, str]]) -> Response:
        """The response for the recording in the request: events, sound, or numbers.

        Raises:
            Refused: there is no recording, or it may not be processed.
        """
        if takes_items(model):
            raise Refused(400, "bad_request", "this model takes items, not recordings. Stream them, as JSON.")
        with self._counted(), ExitStack() as kept:
            decision = await asyncio.to_thread(_decision, model, parameters)
            # The file has no name: nothing is left behind, whatever happens.
            body = kept.enter_context(tempfile.TemporaryFile())
            await self._receive(request, body)
            work = partial(_worked_off, model, body, request.headers.get("content-type"), decision, self._settings)
            answer = await asyncio.to_thread(work)
            if isinstance(answer, dict):
                return JSONResponse(answer)
            size = str(answer.seek(0, os.SEEK_END))
            headers = {"content-length": size, "accept-ranges": "none"}
            return StreamingResponse(_sent(answer), media_type="audio/wav", headers=headers)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._under_way >= self._settings.max_uploads:
            raise Refused(503, "busy", f"{self._under_way} recordings are being processed. Try again later.")
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

    async def _receive(self, request: Request, file: BinaryIO) -> None:
        limit = self._settings.upload_bytes
        too_large = Refused(413, "too_large", f"the recording's file has more than {limit} bytes.")
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        size = 0
        try:
            async with asyncio.timeout(self._settings.upload_time_s):
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
        file.flush()


def _decision(model: Model, parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    try:
        return checked(model, from_texts(model, parameters))
    except ProtocolError as error:
        raise Refused(400, "bad_request", error.message) from None


class _Recording:
    """A file of limited length, mono, in chunks; counts its samples."""

    def __init__(self, file: BinaryIO, settings: ServerSettings):
        self.file, self.samples = AudioFile(file, trusted=False), 0
        self._longest_s, self._until = settings.upload_s, time.monotonic() + settings.upload_work_s

    @property
    def duration_s(self) -> float:
        return self.samples / self.file.sample_rate

    def source(self) -> ChunkSource:
        return ChunkSource(self._chunks(), self.file.sample_rate)

    def _chunks(self) -> Iterator[np.ndarray]:
        # The length in the header is checked first, so that nothing is decoded in vain. It may be too short, or
        # unknown: tiny files can hold hours of silence.
        self._limit(self.file.duration_s or 0.0)
        try:
            for chunk in self.file.chunks(CHUNK_S * self.file.sample_rate):
                self.samples += len(chunk)
                self._limit(self.duration_s)
                yield as_samples(chunk)
        # Warnings may be configured as errors: what could be decoded is still an answer.
        except AudioWarning:
            return

    def _limit(self, duration_s: float) -> None:
        if duration_s > self._longest_s:
            raise Refused(413, "too_large", f"the recording is longer than {self._longest_s:g} s.")
        if time.monotonic() > self._until:
            raise Refused(413, "too_large", "the recording takes too long to process. Send it in parts.")


def _worked_off(
    model: Model, body: BinaryIO, content_type: str | None, decision: dict[str, Any], settings: ServerSettings
) -> dict[str, Any] | BinaryIO:
    """Events or numbers as JSON, or sound as a file."""
    try:
        boundary = boundary_of(content_type)
        with body if boundary is None else file_in(body, boundary) as file:
            recording = _Recording(file, settings)
            with recording.file:
                return WORK[model.outlet(**decision).gives](model, recording, decision)
    except NoFile as error:
        raise Refused(400, "bad_request", str(error)) from None
    except AudioError as error:
        raise Refused(400, "bad_audio", str(error).replace("the file object", "the recording")) from None


def _enhanced(model: Model, recording: _Recording, decision: dict[str, Any]) -> BinaryIO:
    enhanced = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with wave.open(enhanced, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(recording.file.sample_rate)
            for piece in enhanced_pieces(model, recording.source(), **decision):
                file.writeframes(encoded(piece, "s16le"))
    except BaseException:
        enhanced.close()
        raise
    return enhanced


def _events(model: Model, recording: _Recording, decision: dict[str, Any]) -> dict[str, Any]:
    events = run_file_events(model, recording.source(), None, **decision)
    return {"duration_s": round(recording.duration_s, 6), "events": [event.to_dict() for event in events]}


def _numbers(model: Model, recording: _Recording, decision: dict[str, Any]) -> dict[str, Any]:
    outputs = run_file(model, recording.source())
    return {
        "duration_s": round(recording.duration_s, 6),
        "frame_s": model.frame_s,
        "outputs": [[round(number, 6) for number in frame] for frame in outputs.tolist()],
    }


# By what the model outputs.
WORK = {"events": _events, "sound": _enhanced, "numbers": _numbers}


def _sent(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while part := file.read(SENT_BYTES):
            yield part


__all__ = ["RETRY_S", "Refused", "Uploads"]
