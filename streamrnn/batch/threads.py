"""Workers in this process: threads, each with its own recording. Decoding and the model release Python's lock, so one
thread decodes while another computes."""

import queue
import threading
from collections.abc import Iterable, Iterator

from streamrnn.batch.journal import Journal
from streamrnn.batch.recordings import BatchRecording
from streamrnn.batch.work import Outcome, Plan, Stopped, work_off
from streamrnn.runtime.steps import AnyModel

# Poll interval of the waiting thread.
WAIT_S = 0.25


class Threads:
    """Processes several recordings at once, in this process.

    Args:
        model: the loaded model.
        jobs: number of threads.

    Raises:
        ValueError: jobs is below 1.
    """

    def __init__(self, model: AnyModel, jobs: int):
        if jobs < 1:
            raise ValueError(f"jobs is {jobs}; it must be 1 or more.")
        self._model, self._jobs = model, jobs
        self._heard_s, self._lock = 0.0, threading.Lock()

    def heard_s(self) -> float:
        """Seconds of sound so far, of all threads."""
        return self._heard_s

    def outcomes(self, plan: Plan, recordings: Iterable[BatchRecording]) -> Iterator[Outcome | None]:
        """Yields the outcome of each recording: see Workers."""
        todo, journal, stop = iter(list(recordings)), Journal(plan.out), threading.Event()
        found: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while not stop.is_set():
                    with self._lock:
                        recording = next(todo, None)
                    if recording is None:
                        break
                    found.put(work_off(plan, self._model, recording, journal, stop, self._hear))
            except Stopped:
                pass
            # Raised again in the waiting thread.
            except BaseException as error:
                found.put(error)
            finally:
                found.put(None)

        threads = [threading.Thread(target=work, name=f"streamrnn batch {n}") for n in range(self._jobs)]
        for thread in threads:
            thread.start()
        try:
            yield from _all(found, len(threads))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            journal.close()

    def _hear(self, seconds: float) -> None:
        with self._lock:
            self._heard_s += seconds


def _all(found: "queue.SimpleQueue[Outcome | BaseException | None]", threads: int) -> Iterator[Outcome | None]:
    while threads:
        try:
            outcome = found.get(timeout=WAIT_S)
        except queue.Empty:
            yield None
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            threads -= 1
        else:
            yield outcome


__all__ = ["Threads"]
