"""One door to models: shipped ones by name, saved ones, and exported ones, which need no JAX."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streamrnn.decisions.outlets import decided

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamrnn.contract import Layer
    from streamrnn.models import Model

# Arguments of streams, which are easily taken for settings.
STREAM = frozenset({"sample_rate", "channels", "channel", "encoding"})


def load(
    name_or_path: str | PathLike[str],
    model_class: "type[Model] | None" = None,
    *,
    build: "Callable[..., Layer] | None" = None,
    threads: int = 1,
    **decision: Any,
) -> "Model":
    """A model in eval mode: a shipped one by name ("vad"; `streamrnn models` lists them), or one saved to a path.

    The name of a task stands for its default model: "keywords" for keywords-en, "digits" for digits-ctc.

    A path that ends in .onnx is that of an exported model (`streamrnn export`). What comes back is then a
    `streamrnn.runtime.OnnxModel`: it runs in Stream, Listener, Enhancer, Pool and over recordings as any model does,
    without importing JAX, and can be neither trained nor saved.

    "hf://owner/name" is a model on the Hugging Face Hub, where `streamrnn push` puts them, and "hf://owner/name@revision"
    a branch, a tag or a commit of it. It is fetched once, and then there without a connection, too.

    Args:
        name_or_path: a shipped model's name, the path of a file that save() or `streamrnn export` wrote, or an address.
        model_class: your own class, if the model's is neither in streamrnn.models nor that of a task.
        build: of a model made by Model.of, the function that builds its layers, if it is not imported, or was renamed.
        threads: of an exported model, that compute; with 1, the caller's is the only one.
        decision: settings of its decision that take the place of the model's own: threshold=0.7 of vad, phrases=["hey
            computer"] of phrases.

    Raises:
        ConnectionError: an address came, and the Hub does not answer.
        FileNotFoundError: there is no such model.
        TypeError: neither a name nor a path came.
        TypeError, ValueError: an unknown decision setting, or one out of range.
        ImportError: an exported model came, and ONNX Runtime is not installed; or an address, and huggingface_hub.
        ValueError: the files are corrupt, have a newer format, or don't fit each other.
    """
    for name in STREAM.intersection(decision):
        raise TypeError(f"{name} is not a model's but a stream's. Load the model, then: Listener(model, {name}=...).")
    is_file = isinstance(name_or_path, str | PathLike) and not is_address(name_or_path)
    if is_file and Path(name_or_path).suffix == ".onnx":
        if not Path(name_or_path).is_file():
            raise FileNotFoundError(f"There is no file {name_or_path}. `streamrnn export` writes such files.")
        # Here, not above: each of the two kinds does without the packages of the other.
        from streamrnn.runtime.exported import OnnxModel

        exported: Any = OnnxModel(name_or_path, threads=threads)
        model = cast("Model", exported)
    else:
        from streamrnn.pretrained.weights import load_weights

        model = load_weights(name_or_path, model_class, build)
    model.decision = decided(model.decision, decision)
    if decision:
        # What cannot be decided is said here, and not where a stream begins.
        model.outlet()
    return model


def is_address(name: Any) -> bool:
    """Whether it names a model on the Hub, rather than a shipped one or a path."""
    return isinstance(name, str) and name.startswith("hf://")


__all__ = ["is_address", "load"]
