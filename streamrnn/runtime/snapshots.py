"""The state of one stream, to be stored, sent, and resumed elsewhere."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamrnn.comparing import as_kept
from streamrnn.decisions.outlets import USES, Gives, Outlet
from streamrnn.runtime.inlets import Inlet
from streamrnn.runtime.steps import Step

FORMAT = 1
# The metadata entry that holds everything but the arrays: a digest of the whole, a space, JSON.
KEY = "streamrnn.snapshot"
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Snapshot:
    """The state of a `Stream`, `Listener`, `Enhancer` or stream of a `Pool`, between two blocks.

    As bytes it is a safetensors file whose metadata hold the rest as JSON. Reading it runs no code, and a stream that
    cannot resume from it raises ValueError and stays unchanged, whatever the file contains.

    Attributes:
        fingerprint: the model's.
        gives: what the stream outputs: numbers, events or sound.
        settings: its decision settings.
        state: the model's state, arrays [1, ...] by name.
        inlet, outlet: buffered input and pending output: plain values and arrays, nested in dicts.
        warm_up: number of outputs still to be dropped.
        flushed: whether the stream has ended.
    """

    fingerprint: str
    gives: Gives
    settings: dict[str, Any] | None
    state: dict[str, np.ndarray]
    inlet: dict[str, Any]
    outlet: dict[str, Any]
    warm_up: int
    flushed: bool

    def to_bytes(self) -> bytes:
        """The snapshot as bytes, for a file, a store or another machine."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arrays = dict(_arrays(fields, ""))
        # safetensors for NumPy does not read types that are not NumPy's own, such as bfloat16.
        others = {path: array.dtype.name for path, array in arrays.items() if array.dtype.kind == "V"}
        arrays |= {path: arrays[path].view(f"u{arrays[path].itemsize}") for path in others}
        text = json.dumps({"format": FORMAT, **({"dtypes": others} if others else {}), **_without_arrays(fields)})
        # A single entry, because safetensors writes several in random order: equal snapshots are equal bytes.
        return save(arrays, {KEY: f"{_digest(text, arrays)} {text}"})

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, most_bytes: int = MOST_BYTES) -> "Snapshot":
        """Reads what `to_bytes` wrote.

        Args:
            data: any bytes.
            most_bytes: limit on their number.

        Raises:
            ValueError: it is too long, not a snapshot, truncated, changed, or of a later version.
        """
        if len(data) > most_bytes:
            raise ValueError(f"A snapshot of {len(data)} bytes came; the limit is {most_bytes}. Raise most_bytes.")
        try:
            arrays, (digest, text) = load(bytes(data)), _metadata(bytes(data))
            fields = json.loads(text)
            version = fields.pop("format")
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"These {len(data)} bytes are not a snapshot ({error!r}). Pass all that Snapshot.to_bytes() returned."
            ) from None
        if type(version) is not int or version > FORMAT:
            raise ValueError(
                f"The snapshot has format {version}; this version reads up to {FORMAT}. Upgrade streamrnn."
            )
        if digest != _digest(text, arrays):
            raise ValueError("The snapshot was changed in transit. Pass what Snapshot.to_bytes() returned.")
        return cls(**_checked_fields(fields, _with_dtypes(arrays, fields.pop("dtypes", {}))))


def _arrays(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in tree.items():
        if isinstance(value, np.ndarray):
            yield f"{path}{name}", np.ascontiguousarray(value)
        elif isinstance(value, Mapping):
            yield from _arrays(value, f"{path}{name}/")


def _without_arrays(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_arrays(value) if isinstance(value, Mapping) else value
        for name, value in tree.items()
        if not isinstance(value, np.ndarray)
    }


def _with_dtypes(arrays: Mapping[str, np.ndarray], dtypes: Any) -> dict[str, np.ndarray]:
    """The arrays, those of the types that JAX adds to NumPy's made from their bits."""
    if not dtypes:
        return dict(arrays)
    import ml_dtypes

    try:
        return {**arrays, **{path: arrays[path].view(getattr(ml_dtypes, name)) for path, name in dtypes.items()}}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The snapshot's types {str(dtypes)[:80]} are not known here. It was damaged.") from error


def _metadata(data: bytes) -> tuple[str, str]:
    # The file starts with the length of its header, which safetensors checks but does not expose.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    digest, _, text = header["__metadata__"][KEY].partition(" ")
    return digest, text


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _checked_fields(fields: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The fields of a snapshot, with its arrays in place."""
    kinds: dict[str, Any] = {"fingerprint": str, "gives": str, "settings": dict | None, "state": dict, "inlet": dict}
    kinds |= {"outlet": dict, "warm_up": int, "flushed": bool}
    if fields.keys() != kinds.keys() or not all(isinstance(fields[name], kind) for name, kind in kinds.items()):
        raise ValueError(f"The snapshot needs {', '.join(kinds)}. Pass what Snapshot.to_bytes() returned.")
    for path, array in arrays.items():
        part, _, rest = path.partition("/")
        # The model names a state's arrays, and a slash may be part of a name.
        names = [rest] if part == "state" else rest.split("/")
        place = fields.get(part)
        for name in names[:-1]:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or names[-1] in place:
            raise ValueError(f"The snapshot has an array {path!r}, which does not belong there.")
        place[names[-1]] = array
    if fields["gives"] not in USES or not all(isinstance(leaf, np.ndarray) for leaf in fields["state"].values()):
        raise ValueError("The snapshot's `gives` is unknown, or its state has no arrays. It was changed or damaged.")
    return fields


def taken(
    step: Step, inlet: Inlet, outlet: Outlet, state: dict[str, np.ndarray], warm_up: int, flushed: bool
) -> Snapshot:
    """The snapshot of a stream with these parts."""
    settings, inside, given = _settings(outlet), inlet.snapshot(), outlet.snapshot()
    return Snapshot(step.fingerprint, outlet.gives, settings, state, inside, given, warm_up, flushed)


def put_back(snapshot: Any, step: Step, inlet: Inlet, outlet: Outlet) -> np.ndarray:
    """Restores a fresh inlet and a fresh outlet from a snapshot, and checks its other parts.

    Returns:
        The numbers of an incomplete block, for the inlet's buffer.

    Raises:
        TypeError: it is not a snapshot.
        ValueError: it is of another model or other settings, or was changed. Discard both parts then.
    """
    if not isinstance(snapshot, Snapshot):
        raise TypeError(
            f"restore got a {type(snapshot).__name__}; pass what snapshot() of a stream of the same model returned."
        )
    _require_same(snapshot, step, outlet)
    found, needed = (
        {name: (leaf.shape, leaf.dtype.name) for name, leaf in sorted(state.items())}
        for state in (snapshot.state, step.fresh_state)
    )
    if found != needed:
        raise ValueError(f"The snapshot's state is {found}; this stream's is {needed}. It was changed or damaged.")
    warm_up, flushed = snapshot.warm_up, snapshot.flushed
    if type(warm_up) is not int or not 0 <= warm_up <= step.lookahead // step.stride or type(flushed) is not bool:
        raise ValueError(f"The snapshot has warm_up={warm_up!r}, flushed={flushed!r}. It was changed or damaged.")
    waiting = inlet.restore(snapshot.inlet)
    outlet.restore(snapshot.outlet)
    return waiting


def _require_same(snapshot: Snapshot, step: Step, outlet: Outlet) -> None:
    if snapshot.fingerprint != step.fingerprint:
        raise ValueError(
            f"The snapshot is of a model with fingerprint {snapshot.fingerprint}; this stream's has "
            f"{step.fingerprint}. Restore it into a stream of the model that it was taken from."
        )
    if snapshot.gives != outlet.gives:
        raise ValueError(
            f"The snapshot is of a stream that gives {snapshot.gives}; this one gives {outlet.gives}. "
            f"{USES.get(snapshot.gives, 'It was changed or damaged.')}"
        )
    there, here = snapshot.settings or {}, _settings(outlet) or {}
    if there != here:
        differing = ", ".join(f"{name}={there.get(name)!r}" for name in there if there.get(name) != here.get(name))
        raise ValueError(
            f"The snapshot is of a stream with the settings {there}; this one has {here}. Make the stream with "
            f"{differing or 'those'}."
        )


def _settings(outlet: Outlet) -> dict[str, Any] | None:
    if outlet.settings is None:
        return None
    return as_kept(dataclasses.asdict(outlet.settings))


__all__ = ["Snapshot", "put_back", "taken"]
