"""Arguments of the wrong kind get an error that says what came, what is needed and what to do."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import streamrnn
from streamrnn.audio.resample import StreamingResampler
from streamrnn.cli import main


@pytest.fixture(scope="module")
def model():
    return streamrnn.load("vad")


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"treshold": 0.5}, TypeError, "no setting 'treshold'. Did you mean threshold\\? .* min_speech_ms"),
        ({"loudness": 0.5}, TypeError, "no setting 'loudness'. Settings of this model are: threshold,"),
        ({"threshold": "high"}, TypeError, "threshold is 'high', a text; it must be a number, such as 0.75"),
    ],
)
def test_streams_say_what_is_wrong_with_their_arguments(model, wrong, error, says):
    with pytest.raises(error, match=says):
        streamrnn.Listener(model, **wrong)
    with pytest.raises(error, match=says):
        streamrnn.Pool(model, capacity=1).open(**wrong)


# Not of a stream: in tests, the JAX rooms check the types of every call before their own code does.
def test_a_rate_is_a_number():
    with pytest.raises(ValueError, match="sample rate is '8000'; it must be a number"):
        StreamingResampler("8000", 16_000)


def test_a_model_is_printed_in_a_line(model):
    assert (
        repr(model)
        == str(model)
        == ("VoiceActivity(224,481 parameters, Sound(sample_rate=16000, hop_samples=160), labels speech)")
    )


@pytest.fixture(scope="module")
def mistakes():
    """What mistyped calls say, by call. In a process of their own: there nothing checks types before the code does."""
    script = Path(__file__).parent / "packages" / "mistakes.py"
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("Listener(model, sample_rate='8000')", r"AudioError: sample rate is '8000'; it must be a number"),
        ("Stream(model, sample_rate='8000')", r"AudioError: sample rate is '8000'; it must be a number"),
        ("Pool(model, capacity=2).open(sample_rate='8000')", r"AudioError: sample rate is '8000'; it must be a number"),
        ("run_file(model, zeros, sample_rate='8000')", r"AudioError: sample rate is '8000'; it must be a number"),
        ("load('vad', sample_rate='8000')", r"TypeError: sample_rate is not a model's but a stream's"),
        ("Listener(model).feed('hello')", r"TypeError: a chunk of sound is the text 'hello'; .* streamrnn.listen"),
        ("Listener(model).feed(None)", r"TypeError: a chunk of sound is a NoneType; it must be an array"),
        ("Chain(cell)", r"TypeError: Chain got a GRU, a cell, .* Recurrent\(GRU\(...\)\)"),
        ("Chain([Chain()])", r"TypeError: Chain got a list, not a Layer. Pass layers one by one"),
        ("Chain(Chain)", r"TypeError: Chain got Chain, a class. Pass an instance"),
        ("Residual(cell, 4)", r"TypeError: Residual got a GRU, a cell"),
        ("Recurrent(Chain())", r"TypeError: Recurrent got Chain, not a cell"),
        ("Model.of(cell, sample_rate=16000, hop_samples=160)", r"TypeError: Model.of got a GRU, a cell"),
        ("Model.of(Chain(), sample_rate='16000', hop_samples=160)", r"TypeError: Sound got sample_rate='16000'"),
        ("load(None)", r"TypeError: None came where a model's name or path is needed"),
        ("load(model)", r"TypeError: a model, which is loaded already came where"),
        ("load('nofile.safetensors')", r"FileNotFoundError: There is no file nofile.safetensors"),
        ("load('nofolder/x')", r"FileNotFoundError: There is no folder nofolder"),
        ("load('nofile.onnx')", r"FileNotFoundError: There is no file nofile.onnx"),
        ("load('vadd')", r"FileNotFoundError: There is no model 'vadd'. Did you mean 'vad'\?"),
        ("load('keyword')", r"FileNotFoundError: There is no model 'keyword'. Did you mean 'keywords'\?"),
        ("load(zeros_file)", r"FileNotFoundError: .* is no file that streamrnn wrote"),
        ("sample('conversaton')", r"ValueError: There is no sample 'conversaton'. Did you mean 'conversation'\?"),
        (
            "load('phrases', phrases=['computr'])",
            r"ValueError: 'computr' .* not in the dictionary. Did you mean",
        ),
    ],
)
def test_a_wrong_call_says_what_came_and_what_to_do(mistakes, call, says):
    assert re.match(says, mistakes[call]), mistakes[call]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sevre", "vad"], "there is no command 'sevre'. Did you mean 'serve'?"),
        (["models", "vda"], "There is no model 'vda'. Did you mean 'vad'?"),
        (["evaluate", "vda", "--data", "x"], "There is no task 'vda'. Did you mean 'vad'?"),
        (["data", "fetch", "lirispeech", "x"], "there is no corpus 'lirispeech'. Did you mean 'librispeech'?"),
        (["compare", "--systems", "grru"], "There is no system 'grru'. Did you mean 'gru'?"),
    ],
)
def test_a_mistyped_name_gets_the_one_that_was_meant(words, says, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err
