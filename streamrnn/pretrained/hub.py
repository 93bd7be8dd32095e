"""Models on the Hugging Face Hub: hf://owner/name, and hf://owner/name@revision.

A repository holds config.json and model.safetensors, which are what save() writes under the names that the Hub knows;
or both under the repository's own name, as save() names them. Nothing else is fetched, and no pickle is ever opened.
The network is used only where an address begins with hf://.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamrnn.packages import check_package
from streamrnn.pretrained.descriptions import MOST_BYTES, describe

SCHEME = "hf://"
# The Hub must answer within this time.
ANSWER_S = 10.0
_ADDRESS = re.compile(r"hf://([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w./-]+))?")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# What such files do as they are opened is up to whoever wrote them.
PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_PIPELINES = {
    "speech_start": "voice-activity-detection",
    "keyword": "audio-classification",
    "label": "audio-classification",
    "endpoint": "automatic-speech-recognition",
    "sound": "audio-to-audio",
}


def fetched(address: str) -> Path:
    """The .safetensors file of a model on the Hub, in the Hub's cache, with its description beside it.

    What was fetched before is there without a connection, too.

    Args:
        address: hf://owner/name, with @ and a branch, a tag or a commit behind it where the newest is not wanted.

    Raises:
        ConnectionError: the Hub does not answer, and the model is not in the cache.
        FileNotFoundError: there is no such repository or revision for this user, or it holds no model of ours.
        ImportError: huggingface_hub is missing, or of another version.
        OSError: the Hub refuses.
        ValueError: the address is none, or the description is not one of ours.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no address of a model. Pass hf://owner/name, or hf://owner/name@revision.")
    repository, revision = match.groups()
    hub = _hub()
    name = repository.partition("/")[2]
    with _explained(hub, address):
        for description, weights in (("config.json", "model.safetensors"), (f"{name}.json", f"{name}.safetensors")):
            about = _file(hub, repository, description, revision)
            if about is None:
                continue
            path = about.with_name(weights)
            describe(path)
            found = _file(hub, repository, weights, revision)
            if found is None:
                raise FileNotFoundError(_without_ours(hub, address, repository, revision))
            if found.parent != about.parent:
                raise ValueError(f"{address} changed while it was fetched. Try again.")
            return found
        raise FileNotFoundError(_without_ours(hub, address, repository, revision))


def push(
    name_or_path: str,
    repository: str,
    *,
    private: bool = False,
    branch: str | None = None,
    card: Path | None = None,
    licence: str | None = None,
    message: str | None = None,
) -> str:
    """Puts a shipped or saved model on the Hub, as one commit, and returns its pinned address, hf://owner/name@commit.

    The token is that of `hf auth login`, or of the environment's HF_TOKEN. The repository is made if it does not exist.

    Args:
        name_or_path: as for load().
        repository: owner/name.
        private: whether a new repository is for its owner alone.
        branch: to push to; default: the main one.
        card: a Markdown file that becomes the repository's page; default: the .md beside the weights, or a short one.
            Without it, a page that is there stays.
        licence: of the weights, as the Hub names it, such as apache-2.0 or cc-by-4.0, for the page.
        message: of the commit.

    Raises:
        ConnectionError: the Hub does not answer.
        FileNotFoundError: there is no such model, or card.
        ImportError: huggingface_hub is missing, or of another version.
        OSError: the Hub refuses, for want of a token for instance.
        ValueError: `repository` is not owner/name, or the model's files are damaged.
    """
    from streamrnn.pretrained.loading import load
    from streamrnn.pretrained.weights import locate

    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} is no name of a repository. Pass owner/name, such as ada/vad-kitchen.")
    hub = _hub()
    # What can't be loaded is not pushed.
    model, path = load(name_or_path), locate(name_or_path)
    config = json.dumps(describe(path), indent=2) + "\n"
    text = card.read_text(encoding="utf-8") if card is not None else None
    with _explained(hub, f"{SCHEME}{repository}"):
        api = hub.HfApi(library_name="streamrnn")
        api.create_repo(repository, private=private, exist_ok=True)
        files = {"config.json": config.encode(), "model.safetensors": path}
        if text is not None or not api.file_exists(repository, "README.md", revision=branch):
            text = text if text is not None else _card(path, repository)
            files["README.md"] = with_front_matter(text, pipeline_of(model), licence).encode()
        commit = api.create_commit(
            repository,
            [hub.CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=message or f"{path.stem}, by streamrnn push",
            revision=branch,
        )
    return f"{SCHEME}{repository}@{commit.oid}"


def pipeline_of(model: Any) -> str | None:
    """What the Hub calls the task of a model; None where it has no name for it."""
    outlet = model.outlet()
    return next((_PIPELINES[kind] for kind in (*outlet.kinds, outlet.gives) if kind in _PIPELINES), None)


def with_front_matter(card: str, pipeline: str | None, licence: str | None) -> str:
    """A model card with what the Hub looks for at its head: the library, the task, the licence."""
    fields = {"library_name": "streamrnn", "pipeline_tag": pipeline, "license": licence}
    head, body = "", card
    if card.startswith("---\n") and "\n---\n" in card[4:]:
        head, _, body = card[4:].partition("\n---\n")
    kept, name = [], ""
    for line in head.splitlines():
        # A value may go on in further lines, as those of a list.
        name = name if line.startswith((" ", "\t", "-")) else line.partition(":")[0]
        if not fields.get(name):
            kept.append(line)
    told = [f"{name}: {value}" for name, value in fields.items() if value]
    tags = [] if any(line.startswith("tags:") for line in kept) else ["tags:", "- streaming", "- audio"]
    return "\n".join(["---", *told, *kept, *tags, "---", "", body.lstrip("\n")])


def _card(path: Path, repository: str) -> str:
    beside = path.with_suffix(".md")
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    return (
        f"# {repository.partition('/')[2]}\n\nA model of streamrnn, which hears while the sound arrives.\n\n"
        f'```python\nimport streamrnn\n\nmodel = streamrnn.load("{SCHEME}{repository}")\n```\n'
    )


def _hub() -> Any:
    check_package("huggingface_hub", "hub", "1.0", "3")
    import huggingface_hub  # pyright: ignore[reportMissingImports]
    import huggingface_hub.constants  # pyright: ignore[reportMissingImports]
    import huggingface_hub.errors  # pyright: ignore[reportMissingImports]

    return huggingface_hub


def _file(hub: Any, repository: str, name: str, revision: str | None) -> Path | None:
    """A file of a repository in the cache, fetched if need be; None if the repository does not have it."""
    try:
        if not isinstance(hub.try_to_load_from_cache(repository, name, revision=revision), str):
            # Asked once, where the download would ask for half a minute whether there is a connection.
            url = hub.hf_hub_url(repository, name, revision=revision, endpoint=hub.constants.ENDPOINT)
            size = hub.get_hf_file_metadata(url, timeout=ANSWER_S).size or 0
            if name.endswith(".json") and size > MOST_BYTES:
                raise ValueError(f"{repository} has a {name} of {size:,} bytes, which is no description of a model.")
        return Path(hub.hf_hub_download(repository, name, revision=revision, library_name="streamrnn"))
    except hub.errors.RemoteEntryNotFoundError:
        return None


def _without_ours(hub: Any, address: str, repository: str, revision: str | None) -> str:
    """What to say of a repository that holds no model of ours."""
    names = hub.HfApi(library_name="streamrnn").list_repo_files(repository, revision=revision)
    told = f"{address} holds no model of streamrnn (config.json and model.safetensors, as `streamrnn push` writes them)"
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        return (
            f"{told}. It holds {pickles[0]}, a pickle, which can do anything as it is opened, so it is not. Convert "
            "its weights (streamrnn.layers.from_torch) where you trust them, and push the model."
        )
    return f"{told}. It holds {', '.join(sorted(names)[:8]) or 'nothing'}."


@contextmanager
def _explained(hub: Any, address: str) -> Iterator[None]:
    """Says what the Hub's errors mean for a user."""
    errors = hub.errors
    log_in = "Log in with `hf auth login`, or set HF_TOKEN."
    try:
        yield
    except errors.RevisionNotFoundError:
        raise FileNotFoundError(f"{address}: there is no such revision. Pass a branch, a tag or a commit.") from None
    except errors.RepositoryNotFoundError:
        raise FileNotFoundError(f"{address}: there is no such repository, or it is not for you. {log_in}") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ConnectionError(_not_here(hub, address, error)) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        # The Hub does not say of what is private whether it is there.
        if status in (401, 403, 404):
            raise FileNotFoundError(f"{address}: there is no such repository, or it is not for you. {log_in}") from None
        raise OSError(f"{address}: {hub.constants.ENDPOINT} refuses with status {status}. Try again later.") from None
    except errors.LocalTokenNotFoundError:
        raise OSError(f"{address}: there is no token. {log_in}") from None
    # The package's HTTP client has errors of its own, which change with its versions.
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise
        raise ConnectionError(_not_here(hub, address, error)) from None


def _not_here(hub: Any, address: str, error: Exception) -> str:
    where = hub.constants.ENDPOINT
    return f"{address} is not in the cache, and {where} cannot be asked ({error!s:.200}). Try again with a connection."


__all__ = ["fetched", "pipeline_of", "push", "with_front_matter"]
