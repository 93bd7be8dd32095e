"""Limits that make no sense are refused, and optional packages are named."""

import subprocess
import sys

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
