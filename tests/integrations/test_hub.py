"""Models on the Hugging Face Hub, by the real huggingface_hub, against a Hub on this machine."""

import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import streamrnn
from streamrnn.cli import main
from streamrnn.pretrained import locate, save
from streamrnn.pretrained.hub import with_front_matter
from tests.integrations.documents import ROOT, examples, run_example
from tests.integrations.fake_hub import FakeHub

pytest.importorskip("huggingface_hub.errors")

CARD = "---\nlicense: mit\nlanguage: en\ntags:\n- mine\n---\n# Mine\n"


@pytest.fixture(scope="module")
def online():
    hub = FakeHub()
    yield hub
    hub.close()


@pytest.fixture
def hub(online, tmp_path, monkeypatch):
    """The Hub, empty, as huggingface_hub sees it, with a cache and a token of the test's own."""
    from huggingface_hub import constants

    online.repositories.clear(), online.branches.clear(), online.asked.clear(), online.authorizations.clear()
    monkeypatch.setattr(constants, "ENDPOINT", online.url)
    template = f"{online.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    return online


def vad_files(**changed) -> dict[str, bytes]:
    path = locate("vad")
    description = json.loads(path.with_suffix(".json").read_text())
    description["decision"].update(changed)
    return {"config.json": json.dumps(description).encode(), "model.safetensors": path.read_bytes()}


def test_a_model_of_the_hub_gives_the_same_numbers_as_the_one_that_was_pushed(hub, capsys):
    assert main(["push", "vad", "ada/ears"]) == 0
    pinned = capsys.readouterr().out.split()[1]
    assert pinned == f"hf://ada/ears@{hub.branches['ada/ears']['main']}"
    sound = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    expected = streamrnn.Stream(streamrnn.load("vad")).process(sound)
    for address in ("hf://ada/ears", pinned):
        np.testing.assert_array_equal(streamrnn.Stream(streamrnn.load(address)).process(sound), expected)
    asked = zip(hub.asked, hub.authorizations, strict=True)
    assert {token for path, token in asked if "ada" in path} == {"Bearer hf_test"}


def test_what_was_pushed_has_a_page_that_the_hub_understands(hub):
    from huggingface_hub import ModelCard

    assert main(["push", "vad", "ada/ears", "--license", "cc-by-4.0"]) == 0
    files = hub.repositories["ada/ears"][hub.branches["ada/ears"]["main"]]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    card = ModelCard(files["README.md"].decode())
    told = card.data.to_dict()
    assert (told["library_name"], told["pipeline_tag"]) == ("streamrnn", "voice-activity-detection")
    assert told["license"] == "cc-by-4.0"
    assert "# vad" in card.text


@pytest.mark.parametrize(
    ("name", "pipeline"),
    [
        ("keywords-en", "audio-classification"),
        ("digits-ctc", "automatic-speech-recognition"),
        ("denoise", "audio-to-audio"),
    ],
)
def test_the_task_is_told_by_the_name_that_the_hub_has_for_it(hub, name, pipeline):
    assert main(["push", name, "ada/model"]) == 0
    files = hub.repositories["ada/model"][hub.branches["ada/model"]["main"]]
    assert f"\npipeline_tag: {pipeline}\n" in files["README.md"].decode()


def test_a_page_that_is_there_stays_unless_a_card_is_given(hub, tmp_path):
    hub.commit("ada/ears", {"README.md": b"written by hand"})
    assert main(["push", "vad", "ada/ears"]) == 0
    page = lambda: hub.repositories["ada/ears"][hub.branches["ada/ears"]["main"]]["README.md"].decode()  # noqa: E731
    assert page() == "written by hand"
    card = tmp_path / "card.md"
    card.write_text(CARD)
    assert main(["push", "vad", "ada/ears", "--card", str(card)]) == 0
    assert page() == with_front_matter(CARD, "voice-activity-detection", None)


def test_front_matter_of_a_card_is_kept_and_completed():
    assert with_front_matter(CARD, "audio-to-audio", None) == (
        "---\nlibrary_name: streamrnn\npipeline_tag: audio-to-audio\n"
        "license: mit\nlanguage: en\ntags:\n- mine\n---\n\n# Mine\n"
    )
    assert "license: mit" not in with_front_matter(CARD, None, "apache-2.0")


def test_a_revision_pins_a_model_against_later_pushes(hub):
    first = hub.commit("ada/ears", vad_files(threshold=0.3))
    hub.commit("ada/ears", vad_files(threshold=0.8))
    hub.commit("ada/ears", vad_files(threshold=0.6), "loud")
    assert streamrnn.load(f"hf://ada/ears@{first}").decision.threshold == 0.3
    assert streamrnn.load("hf://ada/ears").decision.threshold == 0.8
    assert streamrnn.load("hf://ada/ears@loud").decision.threshold == 0.6


def test_both_files_may_have_the_name_of_the_repository_as_save_writes_them(hub, tmp_path):
    save(streamrnn.load("vad"), tmp_path / "ears")
    hub.commit("ada/ears", {name: (tmp_path / name).read_bytes() for name in ("ears.json", "ears.safetensors")})
    assert streamrnn.load("hf://ada/ears").sample_rate == 16_000


def test_what_was_fetched_is_there_without_a_connection(hub, monkeypatch):
    from huggingface_hub import constants

    hub.commit("ada/ears", vad_files())
    hub.commit("ada/other", vad_files())
    streamrnn.load("hf://ada/ears")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    template = f"{closed}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    hub.asked.clear()
    assert streamrnn.load("hf://ada/ears").sample_rate == 16_000
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"hf://ada/other is not in the cache, and http://127\.0\.0\.1"):
        streamrnn.load("hf://ada/other")
    assert time.monotonic() - began < 10, "it asks once"
    assert hub.asked == []


def test_a_repository_with_a_pickle_in_place_of_a_model_is_refused_and_the_pickle_not_fetched(hub):
    hub.commit("ada/pickled", {"pytorch_model.bin": b"\x80\x04cos\nsystem\n.", "README.md": b""})
    with pytest.raises(FileNotFoundError, match=r"holds pytorch_model.bin, a pickle.*from_torch"):
        streamrnn.load("hf://ada/pickled")
    assert not any("pytorch_model" in asked for asked in hub.asked)


def test_a_pickle_beside_a_model_is_left_where_it_is(hub):
    hub.commit("ada/ears", {**vad_files(), "pytorch_model.bin": b"\x80\x04cos\nsystem\n.", "training_args.pkl": b"."})
    assert streamrnn.load("hf://ada/ears").sample_rate == 16_000
    assert not any(asked.endswith((".bin", ".pkl")) for asked in hub.asked)


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"config.json": bytes(1 << 23), "model.safetensors": b""}, ValueError, "8,388,608 bytes, which is no desc"),
        ({"README.md": b""}, FileNotFoundError, "holds no model of streamrnn.*holds README.md"),
        ({}, FileNotFoundError, "holds nothing"),
        (
            {"config.json": b'{"model_type": "wav2vec2"}', "model.safetensors": b""},
            ValueError,
            "no description of a model",
        ),
        ({"config.json": vad_files()["config.json"]}, FileNotFoundError, "holds no model of streamrnn"),
        ({**vad_files(), "model.safetensors": b"\x80\x04."}, ValueError, "corrupt or no safetensors file"),
    ],
)
def test_a_repository_without_a_model_of_ours_is_refused(hub, files, error, said):
    hub.commit("ada/other", files)
    with pytest.raises(error, match=said):
        streamrnn.load("hf://ada/other")


def test_weights_of_another_library_are_not_even_fetched(hub):
    hub.commit("ada/other", {"config.json": b"{}", "model.safetensors": bytes(1 << 20)})
    with pytest.raises(ValueError, match="no description of a model"):
        streamrnn.load("hf://ada/other")
    assert not any("model.safetensors" in asked for asked in hub.asked)


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("hf://ada", ValueError, "is no address of a model. Pass hf://owner/name"),
        ("hf://ada/ears/../../x", ValueError, "is no address"),
        ("hf://ada/nothing", FileNotFoundError, "no such repository, or it is not for you.*hf auth login"),
        ("hf://ada/ears@v9", FileNotFoundError, "no such revision"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(hub, address, error, said):
    hub.commit("ada/ears", vad_files())
    with pytest.raises(error, match=said):
        streamrnn.load(address)


def test_pushing_without_a_token_says_how_to_get_one(hub, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", "vad", "ada/ears"]) == 2
    assert "hf auth login" in capsys.readouterr().err


@pytest.mark.parametrize("repository", ["ears", "ada/ears/x", "https://huggingface.co/ada/ears"])
def test_pushing_to_what_is_no_repository_is_refused_before_anything_is_sent(hub, repository, capsys):
    assert main(["push", "vad", repository]) == 2
    assert "Pass owner/name" in capsys.readouterr().err
    assert hub.asked == []


def test_a_name_that_is_no_address_asks_no_network(hub):
    streamrnn.load("vad")
    with pytest.raises(FileNotFoundError, match="hf://owner/name"):
        streamrnn.load("ada/ears")
    assert hub.asked == []


def test_only_an_address_imports_the_package():
    code = "import sys, streamrnn; streamrnn.load('vad'); sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("streamrnn.packages.version", version)
    with pytest.raises(ImportError, match=r"huggingface_hub is missing.*streamrnn\[hub\]"):
        streamrnn.load("hf://ada/ears")


def test_the_example_of_the_page_runs(hub, monkeypatch, capsys):
    hub.commit("ada/vad-kitchen", vad_files())
    monkeypatch.chdir(ROOT)
    for block in examples("The Hugging Face Hub", {}):
        run_example(block)
    assert capsys.readouterr().out.count("speech_start") >= 3


def test_a_model_of_the_hub_runs_on_the_command_line(hub, capsys):
    hub.commit("ada/ears", vad_files())
    assert main(["run", "hf://ada/ears", str(ROOT / "audio_samples" / "conversation.flac"), "--json"]) == 0
    assert '"speech_start"' in capsys.readouterr().out
