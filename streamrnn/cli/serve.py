"""`streamrnn serve`: models for many live streams, over WebSockets and HTTP."""

import sys
from dataclasses import dataclass, field

import tyro

from streamrnn.cli.flags import parse
from streamrnn.serve import ServerSettings

CANNOT_LISTEN = 1


@dataclass(frozen=True)
class Serve:
    """Serves models: live streams over WebSockets, whole recordings over HTTP, and a page to try them.

    examples:
      streamrnn serve vad                                the page is at http://127.0.0.1:8765
      streamrnn serve vad keywords-en denoise            several models
      STREAMRNN_TOKEN=... streamrnn serve vad --host 0.0.0.0 --certfile cert.pem --keyfile key.pem

    Listens on this machine only, unless --host says otherwise. Logs go to standard error, one JSON object per line.
    Ctrl-C ends it, after the last events of all streams.
    """

    models: tyro.conf.Positional[tuple[str, ...]]
    """Names of models (`streamrnn models` lists them), or paths of .safetensors files; the first is the default."""
    settings: ServerSettings = field(default_factory=ServerSettings)


def main(args: list[str]) -> None:
    """Runs `streamrnn serve`.

    Raises:
        OSError, ValueError, ImportError: models or settings cannot be used.
        SystemExit: with status 1 if the address cannot be listened at.
    """
    flags = parse(Serve, "serve", args)
    from streamrnn.runtime import configure
    from streamrnn.serve.listen import CannotListen, serve
    from streamrnn.serve.logs import log_to_stderr

    configure()
    log_to_stderr()
    try:
        serve(flags.models, flags.settings, _say_where)
    except CannotListen as error:
        print(f"streamrnn: {error}", file=sys.stderr)
        sys.exit(CANNOT_LISTEN)


def _say_where(url: str) -> None:
    print(f"serving at {url}", flush=True)


__all__ = ["Serve", "main"]
