"""Limits that make no sense are refused, and optional packages are named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamrnn.serve import ServerSettings, make_app, serve


@pytest.mark.parametrize(
    "wrong", [{"max_streams": 0}, {"idle_s": -1.0}, {"tick_ms": float("nan")}, {"port": 70_000}, {"queue_s": 0.05}]
)
def test_limits_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ServerSettings(**wrong)


def test_a_key_needs_its_certificate(tmp_path):
    with pytest.raises(ValueError, match="certfile"):
        ServerSettings(keyfile=tmp_path / "key.pem")


def test_a_certificate_that_cannot_be_used_is_named(tmp_path, loudness):
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(FileNotFoundError, match=r"missing\.pem"):
        serve({"loudness": loudness}, ServerSettings(port=0, certfile=missing))
    with pytest.raises(ValueError, match=r"empty\.pem"):
        serve({"loudness": loudness}, ServerSettings(port=0, certfile=empty))
    pem = Path(__file__).with_name("localhost.pem").read_text()
    certificate, key, locked = (tmp_path / name for name in ("certificate.pem", "key.pem", "locked.pem"))
    for block in re.findall(r"-----BEGIN .*?-----END [^\n]*\n", pem, re.DOTALL):
        (certificate if "CERTIFICATE" in block else key).write_text(block)
    encrypt = ["openssl", "pkey", "-in", key, "-out", locked, "-aes128", "-passout", "pass:secret"]
    subprocess.run(encrypt, check=True, capture_output=True)
    for keyfile, says in (
        (None, r"certificate\.pem has no private key in it. Pass keyfile"),
        (empty, r"empty\.pem has no private key"),
        (locked, "the private key is encrypted"),
        (missing, r"keyfile is .*missing\.pem, which cannot be read: No such file"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            serve({"loudness": loudness}, ServerSettings(port=0, certfile=certificate, keyfile=keyfile))


@pytest.mark.parametrize("name", ["token_file", "resume_key_file"])
def test_a_file_that_is_not_there_is_told_with_the_setting_that_names_it(tmp_path, loudness, name):
    with pytest.raises(FileNotFoundError, match=rf"{name} is .*nothing, which cannot be read: No such file"):
        make_app({"loudness": loudness}, ServerSettings(port=0, **{name: tmp_path / "nothing"}))


def test_models_are_needed_and_have_names_of_their_own(loudness):
    with pytest.raises(ValueError, match="no model"):
        make_app([])
    with pytest.raises(ValueError, match="same name"):
        make_app(["vad", "vad"])
    with pytest.raises(FileNotFoundError, match="nothing"):
        make_app("nothing")


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_package_needs_neither_jax_nor_a_web_server_before_it_is_used():
    code = (
        "import sys, streamrnn.serve, streamrnn.serve.protocol, streamrnn.serve.encodings\n"
        "print([name for name in ('jax', 'starlette', 'uvicorn', 'websockets') if name in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


def test_a_missing_package_is_said_with_the_extra_that_has_it():
    code = (
        "import sys; sys.modules['starlette'] = None; sys.modules['starlette.applications'] = None\n"
        "import streamrnn.serve\n"
        "try: streamrnn.serve.make_app\n"
        "except ImportError as error: print(error)"
    )
    assert "streamrnn[serve]" in run_python(code)
