"""Batches on a Ray cluster, and models as a stage of Ray Data.

`streamrnn batch ... --ray auto` processes a batch with actors, each of which loads the model once. Recordings and
outputs are in folders that all nodes can access. Each actor records its progress in its journal: if a worker or the
driver dies, only the recordings in progress are lost.
"""

import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamrnn.audio import AudioError, AudioFile
from streamrnn.batch import BatchRecording, DiskFull, Done, Failed, Journal, Plan, work_off
from streamrnn.batch.work import Outcome
from streamrnn.packages import check_package
from streamrnn.runtime import configure, enhance_file, run_file, run_file_events
from streamrnn.runtime.steps import step_of

LEAST, BELOW = "2.40", "3"
WAIT_S = 0.25
# Recordings assigned per actor, so that it has the next one when it finishes one.
AT_HAND = 2
# A warning is issued if the cluster has provided no worker after this time.
PATIENCE_S = 60.0
LOCAL, LOCAL_TRIES = "local", 3


def _ray() -> Any:
    check_package("ray", "ray", LEAST, BELOW)
    import ray

    return ray


@dataclass
class RayWorkers:
    """Workers of a batch on a Ray cluster; see streamrnn.batch.Workers.

    Attributes:
        address: "local" starts a cluster on this machine that ends with the batch; "auto", HOST:6379 or
            ray://HOST:10001 is a running one.
        actors: number of workers; those without room yet start when there is some, as on a cluster that scales up.
            None: one per core of the cluster.
        gpus: per worker; may be a fraction.
    """

    address: str
    actors: int | None = None
    gpus: float = 0.0
    _heard_s: float = 0.0
    _has_joined: bool = False

    def join(self) -> None:
        """Joins the cluster, unless it has. Best before JAX is used: Ray forks this process.

        Raises:
            ConnectionError: there is no such cluster.
            ImportError: Ray is missing, or has another version.
        """
        ray = _ray()
        if not ray.is_initialized():
            _join(ray, self.address)
            self._has_joined = True

    def heard_s(self) -> float:
        """Seconds of sound of the finished recordings."""
        return self._heard_s

    def outcomes(self, plan: Plan, recordings: Iterable[BatchRecording]) -> Iterator[Outcome | None]:
        """Yields the outcome of each recording.

        Raises:
            ConnectionError: there is no such cluster.
            DiskFull: the outputs cannot be written.
            ImportError: Ray is missing, or has another version.
            ValueError: no worker could start, for instance because the model cannot be loaded there.
        """
        todo = list(recordings)
        if not todo:
            return
        self.join()
        ray = _ray()
        try:
            count = min(self.actors or int(ray.cluster_resources().get("CPU", 1)), len(todo))
            for outcome in _Driver(ray, _actors(ray, plan, count, self.gpus), plan, todo).outcomes():
                if isinstance(outcome, Done):
                    self._heard_s += outcome.duration_s
                yield outcome
        finally:
            if self._has_joined:
                ray.shutdown()
                self._has_joined = False


def transform(
    dataset: Any,
    model: str,
    *,
    path: str = "path",
    concurrency: int | tuple[int, int] = 1,
    **decision: Any,
) -> Any:
    """Runs a model on the recordings named in the rows of a Ray Dataset.

    Args:
        dataset: of rows with the path of a recording.
        model: its name or path, valid on every node.
        path: the column with the paths.
        concurrency: number of actors, or the minimum and maximum.
        decision: settings that override the model's.

    Returns:
        A Dataset of the same rows with the column `duration_s`, and `events` (a list of dicts), or `sound` and
        `sample_rate`, or `outputs` ([frames][out]), depending on the model; `error` says why there is no result, and
        is "" if there is one.

    Raises:
        ImportError: Ray is missing, or has another version.
    """
    _ray()
    options = {"path": path, "decision": decision}
    return dataset.map(_Hearing, fn_constructor_args=(model,), fn_constructor_kwargs=options, concurrency=concurrency)


class _Hearing:
    """A model that processes rows, loaded once per actor."""

    def __init__(self, model: str, path: str, decision: dict[str, Any]):
        from streamrnn.pretrained import load

        configure()
        self._model, self._path, self._decision = load(model), path, decision
        self._gives = step_of(self._model).outlet(**decision).gives

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        empty: dict[str, Any] = {
            "events": {"events": []},
            "sound": {"sound": [], "sample_rate": 0},
            "numbers": {"outputs": []},
        }[self._gives]
        try:
            recording = Path(row[self._path])
            with AudioFile(recording) as file:
                duration_s = file.measured_frames() / file.sample_rate
            return row | {"duration_s": duration_s, "error": ""} | self._heard(recording)
        except (AudioError, OSError) as error:
            return row | {"duration_s": 0.0, "error": str(error)} | empty

    def _heard(self, recording: Path) -> dict[str, Any]:
        if self._gives == "events":
            events = run_file_events(self._model, recording, **self._decision)
            return {"events": [{"reason": "", **event.to_dict()} for event in events]}
        if self._gives == "sound":
            sound, rate = enhance_file(self._model, recording, **self._decision)
            return {"sound": sound, "sample_rate": rate}
        return {"outputs": run_file(self._model, recording).tolist()}


class _Worker:
    """An actor: a model, and the journal of its finished recordings, which survives a restart."""

    def __init__(self, plan: Plan):
        self._plan, self._journal = plan, Journal(plan.out)
        # Held until the process ends, so that another batch waits for it.
        self._at_work = self._journal.at_work(plan.shard)
        self._at_work.__enter__()
        from streamrnn.pretrained import load

        configure()
        self._model, self._entries = load(plan.model), self._journal.entries()

    def ready(self) -> None:
        """Returns once the model is loaded."""

    def work(self, recording: BatchRecording) -> Outcome | DiskFull:
        entry = self._entries.get(recording.name)
        # Finished by this actor before it died, without the driver's knowledge.
        outputs = self._plan.outputs(recording.name)
        if entry is not None and self._journal.has(entry, recording, outputs, self._plan.by_content):
            return Done(recording, entry.duration_s)
        try:
            return work_off(self._plan, self._model, recording, self._journal, threading.Event())
        except DiskFull as error:
            return error


class _Driver:
    """Assigns recordings to actors that are ready, and collects the outcomes."""

    def __init__(self, ray: Any, actors: list[Any], plan: Plan, todo: list[BatchRecording]):
        self._ray, self._plan, self._todo = ray, plan, iter(todo)
        # A cluster may have no room yet for some actors; they are assigned nothing until they respond.
        self._coming = {actor.ready.remote(): actor for actor in actors}
        self._given: dict[Any, tuple[Any, BatchRecording]] = {}
        self._left, self._failures = len(todo), []

    def outcomes(self) -> Iterator[Outcome | None]:
        began_s, is_told = time.monotonic(), False
        while self._left:
            done, _ = self._ray.wait([*self._coming, *self._given], num_returns=1, timeout=WAIT_S)
            if not done:
                yield None
            for reference in done:
                if reference in self._coming:
                    self._welcome(reference)
                else:
                    yield self._taken(reference)
            if not is_told and not self._given and time.monotonic() - began_s > PATIENCE_S:
                is_told = True
                warnings.warn("the Ray cluster has had no room for a worker for a minute.", UserWarning, stacklevel=2)

    def _welcome(self, reference: Any) -> None:
        actor = self._coming.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._failures.append(error)
            if not self._coming and not self._given:
                raise ValueError(f"no worker could begin on the Ray cluster: {_last_line(error)}") from None
            return
        for _ in range(AT_HAND):
            self._give(actor)

    def _give(self, actor: Any) -> None:
        recording = next(self._todo, None)
        if recording is not None:
            self._given[actor.work.remote(recording)] = actor, recording

    def _taken(self, reference: Any) -> Outcome:
        actor, recording = self._given.pop(reference)
        self._left -= 1
        try:
            outcome = self._ray.get(reference)
        # Its process died every time.
        except self._ray.exceptions.RayError as error:
            outcome = Failed(recording, f"the worker died of it: {_last_line(error)}", self._plan.retries + 1)
        if isinstance(outcome, DiskFull):
            raise outcome
        self._give(actor)
        return outcome


def _join(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == LOCAL:
        quiet["include_dashboard"] = False
        # Ray gives its own processes 30 s to start, which is too short on a busy machine.
        for _ in range(LOCAL_TRIES - 1):
            with suppress(Exception):
                ray.init(address=address, **quiet)
                return
            ray.shutdown()
    try:
        ray.init(address=address, **quiet)
    # Ray raises a plain Exception if one of its processes does not start in time.
    except Exception as error:
        advice = "Start one with `ray start --head`, or pass --ray local." if address != LOCAL else "Try again."
        raise ConnectionError(f"there is no Ray cluster at {address!r} ({_last_line(error)}). {advice}") from error


def _actors(ray: Any, plan: Plan, count: int, gpus: float) -> list[Any]:
    # Killed actors are restarted, and get their assigned recordings again.
    options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": plan.retries}
    worker = ray.remote(**options)(_Worker)
    return [worker.remote(plan) for _ in range(count)]


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


__all__ = ["RayWorkers", "transform"]
