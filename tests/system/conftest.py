"""A virtual microphone: what is played into a PulseAudio sink comes out of the default recording device."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("pulseaudio", "pactl", "paplay")
START_TIMEOUT_S = 20
PLAY_TIMEOUT_S = 30

# Sink and recordings share one rate, so that nothing is resampled on the way.
SERVER_SCRIPT = """\
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=loudspeaker rate=16000 channels=1 format=s16le
load-module module-remap-source source_name=microphone master=loudspeaker.monitor
set-default-sink loudspeaker
set-default-source microphone
"""
ALSA_CONFIGURATION = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"


@dataclass(frozen=True)
class VirtualMicrophone:
    """A microphone that hears what is played.

    Attributes:
        environment: for processes whose default recording device it shall be.
        sample_rate: of the sound server.
    """

    environment: dict[str, str]
    sample_rate: int = 16000

    def play(self, path: Path) -> None:
        """Plays a WAV file to its end."""
        subprocess.run(["paplay", str(path)], env=self.environment, check=True, timeout=PLAY_TIMEOUT_S)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMicrophone]:
    """A sound server of its own, apart from any that the machine runs."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.fail(f"Missing programs: {', '.join(missing)}. `make test-system` installs them.")
    home = tmp_path_factory.mktemp("sound_server")
    environment = sound_environment(home)
    (home / "server.pa").write_text(SERVER_SCRIPT)
    (home / ".asoundrc").write_text(ALSA_CONFIGURATION)
    with (home / "log.txt").open("w") as log:
        server = subprocess.Popen(server_command(home), env=environment, stdout=log, stderr=log)
    try:
        wait_until_ready(server, environment, home / "log.txt")
        yield VirtualMicrophone(environment)
    finally:
        end(server)


def sound_environment(home: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "DBUS_"))}
    return inherited | dict.fromkeys(["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"], str(home))


def server_command(home: Path) -> list[str]:
    flags = ["--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no", "--high-priority=no"]
    return ["pulseaudio", "-n", f"--file={home / 'server.pa'}", *flags]


def wait_until_ready(server: subprocess.Popen, environment: dict[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        if "Default Source: microphone" in server_information(environment):
            return
        time.sleep(0.05)
    pytest.fail(f"The sound server did not start:\n{log.read_text()}")


def server_information(environment: dict[str, str]) -> str:
    asked = subprocess.run(["pactl", "info"], env=environment, capture_output=True, text=True, timeout=START_TIMEOUT_S)
    return asked.stdout


def end(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(timeout=5)
