"""What a process may still do: it ends in peace while daemon threads compute, and says what a fork has broken."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.lifetime import Running, RunningLock
from streamrnn.models import VoiceActivity, VoiceActivitySettings

ROOT = Path(__file__).parents[1]

# Without the gate, a run of this aborts nearly always.
ENDING = """
import threading, time
import numpy as np
import streamrnn

model, sound = streamrnn.load("vad"), np.zeros(160, np.float32)
began = threading.Semaphore(0)

def tick():
    pool = streamrnn.Pool(model, 16, warm_up=False)
    stream = pool.open()
    began.release()
    while True:
        stream.feed(sound)
        pool.tick()

def step():
    stream = streamrnn.Stream(model)
    began.release()
    while True:
        stream.process(sound)

threads = [threading.Thread(target=work, daemon=True) for work in (tick, tick, step, step)]
for thread in threads:
    thread.start()
for _ in threads:
    began.acquire()
time.sleep(0.05)
print("ends")
"""

FORKING = """
import os, warnings
import numpy as np
import streamrnn

warnings.simplefilter("ignore")
model = streamrnn.load("vad")
child = os.fork()
if child == 0:
    for work in (lambda: streamrnn.Listener(model), lambda: streamrnn.load("vad"), lambda: streamrnn.Pool(model)):
        try:
            work()
        except RuntimeError as error:
            print("spawn" in str(error), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(len(streamrnn.run_file(model, np.zeros(1600, np.float32), 16000)))
"""


def output_of(code: str) -> str:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_a_process_ends_in_peace_while_daemon_threads_compute():
    assert output_of(ENDING) == "ends\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_says_what_is_wrong_in_place_of_hanging_and_its_parent_goes_on():
    assert output_of(FORKING).split() == ["True", "True", "True", "10"]


def test_a_fork_before_jax_runs_breaks_nothing():
    running = Running()
    bridge = sys.modules["jax._src.xla_bridge"]
    with pytest.MonkeyPatch.context() as patch:
        # The name that is asked for is there.
        assert callable(bridge.backends_are_initialized)
        patch.setattr(bridge, "backends_are_initialized", lambda: False)
        running.forked()
        with running:
            pass
        patch.setattr(bridge, "backends_are_initialized", lambda: True)
        running.forked()
    with pytest.raises(RuntimeError, match="forked"):
        running.__enter__()


def test_whoever_is_inside_is_waited_for_and_nobody_comes_in_any_more():
    running, inside, entered = Running(), threading.Event(), threading.Event()
    running._is_watched = True

    def work():
        with running:
            with running:
                inside.set()
            threading.Event().wait(0.1)
            done.append("first")
        with running:
            done.append("never")
        entered.set()

    done = []
    threading.Thread(target=work, daemon=True).start()
    assert inside.wait(10)
    running._end()
    assert done == ["first"] and not entered.wait(0.1)
    with running:
        pass


def test_the_lock_can_be_held_twice_by_one_thread_and_by_no_other():
    lock, taken = RunningLock(), []

    def take():
        with lock:
            taken.append(True)

    with lock, lock:
        other = threading.Thread(target=take)
        other.start()
        other.join(0.05)
        assert not taken
    other.join(10)
    assert taken


SMALL = VoiceActivitySettings(hidden=8, channels=8, mels=8)


def test_a_pickled_model_is_the_model():
    model = VoiceActivity(SMALL, rngs=nnx.Rngs(1))
    again = pickle.loads(pickle.dumps(model))
    assert (type(again), again.settings, again.decision) == (VoiceActivity, model.settings, model.decision)
    sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert np.array_equal(streamrnn.run_file(again, sound, 16_000), streamrnn.run_file(model, sound, 16_000))


def test_a_model_that_its_settings_do_not_build_is_not_pickled():
    model = VoiceActivity(SMALL, rngs=nnx.Rngs(0))
    model.network = VoiceActivity(VoiceActivitySettings(hidden=16, channels=8, mels=8), rngs=nnx.Rngs(0)).network
    with pytest.raises(pickle.PicklingError, match="a different network"):
        pickle.dumps(model)
