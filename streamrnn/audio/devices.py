"""The only user of sounddevice: microphones and loudspeakers of this machine."""

from collections.abc import Callable
from typing import Any, TypeVar

from streamrnn.audio.chunks import AudioError

Opened = TypeVar("Opened")


def open_device(
    what: str, device: int | str | None, rate: int | None, open_: Callable[[Any], Opened], advice: str
) -> Opened:
    """The stream that `open_` creates with the package sounddevice.

    Args:
        what: "microphone" or "speaker", for messages.
        device: PortAudio's number or a part of the name; None: the default one.
        rate: Hz; None: its own.
        open_: (sounddevice) -> a stream.
        advice: what to do if it cannot be opened.

    Raises:
        ImportError: the package sounddevice or the PortAudio library is missing; the message says how to install it.
        AudioError: there is no such device, or it does not support the request.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError(f'the {what} needs the package sounddevice: pip install "streamrnn[mic]"') from error
    except OSError as error:
        raise ImportError(
            f"the {what} needs the PortAudio library. Debian and Ubuntu: apt install libportaudio2; "
            "macOS: brew install portaudio"
        ) from error
    try:
        return open_(sounddevice)
    except (sounddevice.PortAudioError, ValueError) as error:
        wanted = f"the default {what}" if device is None else f"{what} {device!r}"
        asked = "its own rate" if rate is None else f"{rate} Hz"
        devices = str(sounddevice.query_devices()) or "none"
        raise AudioError(f"cannot open {wanted} at {asked}: {error}. {advice} Devices:\n{devices}") from error


__all__ = ["open_device"]
