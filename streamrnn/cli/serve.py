"""`streamrnn serve`: models for many live streams, over WebSockets and HTTP."""

import os
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from streamrnn.cli.decision import spoken
from streamrnn.cli.flags import default_is, parse, show_defaults
from streamrnn.decisions import PhraseSettings
from streamrnn.serve import ServerSettings

if TYPE_CHECKING:
    Limits = ServerSettings
else:
    Limits = show_defaults(
        ServerSettings,
        token_file="the environment variable STREAMRNN_TOKEN, if set",
        resume_key_file="STREAMRNN_RESUME_KEY, or this user's own key",
        store="none",
        certfile="no TLS",
        keyfile="in certfile",
        origins="none",
        record="no recordings",
    )
CANNOT_LISTEN = 1
# As of a program that crashed: a supervisor starts it again.
ENGINE_FAILED = 70


@dataclass(frozen=True)
class Serve:
    """Serves models: live streams over WebSockets, whole recordings over HTTP, and a page to try them.

    examples:
      streamrnn serve vad                                the page is at http://127.0.0.1:8765
      streamrnn serve vad keywords-en denoise            several models
      streamrnn serve phrases --phrase "hey computer"     clients may choose phrases of their own
      streamrnn serve keywords-en digits-ctc --wyoming 10400 --host 0.0.0.0
      streamrnn serve vad --workers 4                    four processes behind the one port
      STREAMRNN_TOKEN=... streamrnn serve vad --host 0.0.0.0 --certfile cert.pem --keyfile key.pem

    Listens on this machine only, unless --host says otherwise. Logs go to standard error, one JSON object per line.
    Ctrl-C stops it after the last events of all streams; a second Ctrl-C stops it at once.
    """

    models: tyro.conf.Positional[tuple[str, ...]]
    """Names of models or tasks (see `streamrnn models`), or `phrases`; paths of .safetensors or .onnx files; or
    hf://owner/name. The first is the default."""
    phrase: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """For phrases: a phrase to listen for, unless the client sends its own. Repeat for each phrase."""
    grammar: Annotated[Path | None, default_is("none")] = None
    """For phrases: a TOML file of commands with slots to listen for."""
    wyoming: Annotated[int | None, default_is("off")] = None
    """Port for Home Assistant and its satellites, which speak Wyoming and expect 10400. It does not support tokens."""
    zeroconf: Annotated[str | None, default_is("not announced")] = None
    """Name under which to announce the Wyoming port to Home Assistant on the local network."""
    workers: int = 1
    """Worker processes behind the one port, about one per two cores. Each loads the models, and limits apply to
    each."""
    settings: Limits = field(default_factory=Limits)


def main(args: list[str]) -> None:
    """Runs `streamrnn serve`.

    Raises:
        OSError, ValueError, ImportError: models or settings cannot be used.
        SystemExit: with status 1 if the address cannot be listened at, 70 if an engine failed for good.
    """
    flags = parse(Serve, "serve", args)
    from streamrnn.serve.engine import EngineFailed
    from streamrnn.serve.handover import KEY_VARIABLE, own_key_file
    from streamrnn.serve.listen import CannotListen, serve
    from streamrnn.serve.workers import WorkerFailed, serve_workers

    _prepare()
    settings = flags.settings
    if settings.resume_key_file is None and not os.environ.get(KEY_VARIABLE):
        # So that the next server goes on with the streams of this one.
        settings = replace(settings, resume_key_file=own_key_file())
    try:
        if flags.workers == 1:
            serve(_listening(flags), settings, _say_where, dialects(flags))
        else:
            # Of the class itself: the flags' own is no module's, and does not reach other processes.
            plain = ServerSettings(**{f.name: getattr(settings, f.name) for f in fields(ServerSettings)})
            spoken = dialects(flags)
            serve_workers(_listening(flags), plain, flags.workers, _say_where, spoken[:2], spoken[2:], _prepare)
    except (CannotListen, EngineFailed, WorkerFailed) as error:
        print(f"streamrnn: {error}", file=sys.stderr)
        sys.exit(CANNOT_LISTEN if isinstance(error, CannotListen) else ENGINE_FAILED)


def _prepare() -> None:
    """What each worker does first."""
    from streamrnn.runtime import configure
    from streamrnn.serve.logs import log_to_stderr

    log_to_stderr()
    configure(threads=1)


def _listening(flags: Serve) -> Any:
    """The models, those of phrases with what they listen for.

    Raises:
        ValueError: something was said for which there is no such model.
    """
    wanted = spoken(flags.phrase, flags.grammar)
    if not wanted:
        return flags.models
    from streamrnn.pretrained import load
    from streamrnn.serve.app import loaded

    found = loaded(flags.models)
    hear = [name for name, model in found.items() if isinstance(model.decision, PhraseSettings)]
    if not hear:
        raise ValueError(f"--phrase and --grammar are for phrases; {', '.join(found)} came. Serve phrases as well.")
    return found | {name: load(path, **wanted) for name, path in zip(found, flags.models, strict=True) if name in hear}


def dialects(flags: Serve) -> list[Any]:
    """The languages that the flags ask for; from the third on with an address of their own. Raises ValueError where
    they lack a part."""
    from streamrnn.integrations.realtime import Realtime
    from streamrnn.integrations.vosk import Vosk

    found: list[Any] = [Realtime(), Vosk()]
    if flags.wyoming is not None:
        from streamrnn.integrations.wyoming import Wyoming

        found.append(Wyoming(flags.wyoming, flags.zeroconf))
    elif flags.zeroconf is not None:
        raise ValueError("--zeroconf announces the Wyoming port, and there is none. Pass --wyoming PORT as well.")
    return found


def _say_where(url: str) -> None:
    print(f"serving at {url}", flush=True)


__all__ = ["Serve", "dialects", "main"]
