"""Whole recordings over HTTP: the answer is that of a local run, and no file is too clever."""

import io
import struct
import tempfile
import time

import httpx
import numpy as np
import pytest
import soundfile

from streamrnn.decisions import Event
from streamrnn.runtime import enhance_file
from streamrnn.runtime.files import run_file_events
from streamrnn.serve.forms import MOST_PARTS, NoFile, file_in
from streamrnn.serve.uploads import Uploads


@pytest.fixture(scope="module")
def recorder(running, loudness, quieter):
    """A server that takes up to three seconds, or 400,000 bytes."""
    with running({"loudness": loudness, "quieter": quieter}, upload_s=3.0, upload_bytes=400_000) as server:
        yield server


@pytest.fixture
def send():
    """send(server, body, **parameters) -> the answer."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield lambda server, body, **parameters: client.post(
            f"{server.url}/v1/recordings", params=parameters, content=body
        )


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code; and nothing is told of where files lie."""
    error = answer.json()["error"]
    assert tempfile.gettempdir() not in error["message"] and "Traceback" not in error["message"]
    return answer.status_code, error["code"]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_the_events_of_a_recording_are_those_of_a_local_run(recorder, loudness, send, recording, bursts, suffix):
    body = recording(bursts(2.5, 22_050, 2), 22_050, suffix)
    answer = send(recorder, body, model="loudness").json()
    sound, rate = soundfile.read(io.BytesIO(body), dtype="float32")
    expected = run_file_events(loudness, sound, rate)
    assert [Event(**event).to_dict() for event in answer["events"]] == [event.to_dict() for event in expected]
    assert answer["duration_s"] == 2.5 and expected


def test_decision_settings_are_parameters(recorder, loudness, send, recording, bursts):
    answer = send(recorder, recording(bursts(2.5)), min_silence_ms="900").json()
    expected = run_file_events(loudness, bursts(2.5), 16_000, min_silence_ms=900)
    assert [event["decided_s"] for event in answer["events"]] == [round(event.decided_s, 6) for event in expected]


def test_models_that_give_sound_answer_with_a_recording(recorder, quieter, send, recording, bursts):
    answer = send(recorder, recording(bursts(1.0, 24_000), 24_000), model="quieter", max_attenuation_db="10")
    assert answer.headers["content-type"] == "audio/wav"
    sound, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    expected, _ = enhance_file(quieter, bursts(1.0, 24_000), 24_000, max_attenuation_db=10)
    assert rate == 24_000
    np.testing.assert_allclose(sound, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"model": "gpt"}, 404, "unknown_model"),
        ({"volume": "11"}, 400, "bad_request"),
        ({"threshold": "loud"}, 400, "bad_request"),
        ({"threshold": "nan"}, 400, "bad_request"),
        ({"threshold": "7"}, 400, "bad_request"),
    ],
)
def test_wrong_parameters_are_refused(recorder, send, recording, bursts, parameters, status, code):
    assert refusal(send(recorder, recording(bursts(0.2)), **parameters)) == (status, code)


def test_what_is_no_recording_is_refused(recorder, send, recording, bursts):
    wave = recording(bursts(0.5))
    assert refusal(send(recorder, b"")) == (400, "bad_request")
    assert refusal(send(recorder, b"no sound at all")) == (400, "bad_audio")
    assert refusal(send(recorder, b"RIFF" + bytes(100))) == (400, "bad_audio")
    assert refusal(send(recorder, recording(bursts(0.5), suffix=".flac")[:60])) == (400, "bad_audio")
    assert refusal(send(recorder, wave.replace(struct.pack("<I", 16_000), struct.pack("<I", 999)))) == (
        400,
        "bad_audio",
    )


def test_a_recording_with_numbers_that_are_none_is_refused(recorder, send):
    body = io.BytesIO()
    soundfile.write(body, np.full(1600, np.nan, np.float32), 16_000, format="WAV", subtype="FLOAT")
    assert refusal(send(recorder, body.getvalue())) == (400, "bad_audio")


def test_a_recording_that_was_cut_off_gives_what_it_holds(recorder, send, recording, bursts):
    whole = recording(bursts(2.0), suffix=".flac")
    answer = send(recorder, whole[: len(whole) // 2])
    assert answer.status_code == 200 and 0 < answer.json()["duration_s"] < 2


def test_a_file_over_the_limit_is_refused_whether_or_not_it_says_so(recorder, send):
    def parts():
        for _ in range(50):
            yield bytes(10_000)

    assert refusal(send(recorder, bytes(400_001))) == (413, "too_large")
    assert refusal(send(recorder, parts())) == (413, "too_large")


def test_a_tiny_file_that_holds_hours_is_refused_before_it_is_decoded(recorder, send, monkeypatch, recording):
    body = recording(np.zeros(16_000 * 60, np.int16), suffix=".flac")
    assert len(body) < 20_000

    def chunks(self, chunk_samples):
        raise AssertionError("it was decoded")

    monkeypatch.setattr("streamrnn.audio.AudioFile.chunks", chunks)
    assert refusal(send(recorder, body)) == (413, "too_large")


def test_a_tiny_file_whose_header_hides_its_hours_is_refused_while_it_is_decoded(recorder, send, recording):
    body = bytearray(recording(np.zeros(16_000 * 60, np.int16), suffix=".flac"))
    # The 36 bits of the number of samples in STREAMINFO; 0 is unknown.
    body[21] &= 0xF0
    body[22:26] = bytes(4)
    assert refusal(send(recorder, bytes(body))) == (413, "too_large")


def test_more_channels_than_a_stream_may_have_are_refused(recorder, send, recording):
    assert refusal(send(recorder, recording(np.zeros((160, 9), np.int16)))) == (400, "bad_audio")


def test_a_body_that_never_ends_is_not_waited_for(running, raw):
    with running(upload_time_s=0.2, head_s=0.2) as server:
        peer = raw(server, b"POST /v1/recordings HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nRIFF")
        answer = b""
        while part := peer.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408")


def test_only_a_few_recordings_are_received_at_once(running, raw, send, recording, bursts, eventually):
    with running(max_uploads=1) as server:
        peer = raw(server, b"POST /v1/recordings HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nRIFF")
        waiting = server.server.metrics.uploads
        eventually(lambda: (answer := send(server, b"")).status_code == 503 and "retry-after" in answer.headers)
        peer.close()
        eventually(lambda: send(server, recording(bursts(0.2))).status_code == 200)
        assert waiting.labels("done")._value.get() == 1


def test_no_file_ever_has_a_name(running, send, raw, recording, bursts, quieter, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen, receive = [], Uploads._receive

    async def noted(self, request, file):
        await receive(self, request, file)
        seen.append(list(folder.iterdir()))

    monkeypatch.setattr(Uploads, "_receive", noted)
    body = recording(bursts(0.5))
    with running({"quieter": quieter}) as server:
        assert send(server, body).status_code == 200
        assert send(server, body[:40]).status_code == 400
        assert seen == [[], []] and not list(folder.iterdir())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"before": (None, "text")},
        {"a": (None, "1"), "b": (None, "--boundary\r\n\r\n")},
        {"filename": (None, "r.wav"), "a; filename=b": (None, "1")},
    ],
)
def test_a_form_brings_its_file(recorder, recording, bursts, fields):
    body = recording(bursts(2.5))
    with httpx.Client(trust_env=False) as client:
        url = f"{recorder.url}/v1/recordings"
        form = client.post(url, files={**fields, "file": ("r.wav", body), "after": (None, "more")})
        assert form.json() == client.post(url, content=body).json() and form.json()["events"]
        for files in ({"text": (None, "no file")}, {f"f{n}": (None, "1") for n in range(40)} | {"f": ("r", body)}):
            assert refusal(client.post(url, files=files)) == (400, "bad_request")
        for kind in (
            "multipart/form-data",
            "multipart/form-data; boundary=",
            f"multipart/form-data; boundary={99 * 'x'}",
            "multipart/form-data; boundary*=idna'en'b",
        ):
            assert refusal(client.post(url, content=body, headers={"content-type": kind})) == (400, "bad_request")
        head = b"--b\r\nA: b; FileName*=r\r\n\r\n"
        cut = client.post(url, content=head + body, headers={"content-type": "multipart/form-data; boundary=b"})
        assert cut.json() == form.json()


def test_quotes_without_end_cost_no_more_than_other_bytes(tmp_path):
    """All of it in one call of C, in which no other thread has its turn."""
    head = b'\r\nContent-Disposition: form-data; name="' + 4000 * rb"\"" + b"\r\n\r\n"
    (tmp_path / "form").write_bytes(MOST_PARTS * (b"--b" + head + b"1\r\n"))
    began = time.monotonic()
    with (tmp_path / "form").open("rb") as form, pytest.raises(NoFile, match="holds no file"):
        file_in(form, b"--b")
    assert time.monotonic() - began < 2


def sds() -> bytes:
    """The head of a MIDI sample dump, a format which libsndfile reads and tells of on standard output."""
    return bytes.fromhex("F07E000100001018A06B0300000000000000000000F7") + bytes(500)


@pytest.mark.parametrize("tags", [b"", b"ID3\4\0\0\0\0\0\0"])
def test_formats_that_nobody_named_are_not_even_looked_at(recorder, send, capfd, tags):
    assert refusal(send(recorder, tags + sds())) == (400, "bad_audio")
    assert capfd.readouterr().out == ""


def test_rates_whose_conversion_costs_too_much_are_refused(recorder, send, recording, bursts):
    assert refusal(send(recorder, recording(bursts(0.2, 44_101), 44_101))) == (400, "bad_audio")


def test_a_recording_that_takes_too_long_is_given_up(running, send, recording, bursts):
    with running(upload_work_s=1e-9) as server:
        assert refusal(send(server, recording(bursts(0.5)))) == (413, "too_large")
