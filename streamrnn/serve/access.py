"""Who may use a server: its token, and the web pages that may connect to it."""

import hmac
import ipaddress
import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from streamrnn.serve.settings import read_setting

TOKEN_VARIABLE = "STREAMRNN_TOKEN"
_USUAL_PORTS = {"http": 80, "https": 443}


def read_token(path: Path | None) -> str | None:
    """Returns the token in the file, else the one in the environment variable STREAMRNN_TOKEN, else None.

    Raises:
        OSError: the file cannot be read.
        ValueError: the token is empty, or has characters that a header cannot hold.
    """
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE)
    else:
        token = read_setting("token_file", path).decode("utf-8", "replace").strip()
    if token is None:
        return None
    if not token or not all(33 <= ord(character) <= 126 for character in token):
        where = TOKEN_VARIABLE if path is None else path
        raise ValueError(
            f"the token in {where} is empty, or has spaces or characters beyond ASCII. "
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


class Access:
    """Decides which clients are admitted.

    Args:
        token: what clients must send; None: no token is needed.
        origins: pages of other servers that may use this one.

    Attributes:
        origins: the same, in the form in which browsers send them.

    Raises:
        ValueError: an origin is not valid.
    """

    def __init__(self, token: str | None, origins: Collection[str]):
        self._token = None if token is None else token.encode()
        self.origins = sorted(map(_as_origin, origins))
        self._hosts = {urlsplit(origin).hostname for origin in self.origins}

    @property
    def needs_token(self) -> bool:
        """Whether clients must send a token."""
        return self._token is not None

    def admits(self, authorization: str | None, token: str | None = None) -> bool:
        """Whether an Authorization header, or a token, is valid. Takes the same time for every wrong one."""
        if self._token is None:
            return True
        if token is None:
            scheme, _, token = (authorization or "").partition(" ")
            if scheme.lower() != "bearer":
                return False
        return hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)

    def trusts(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of this origin may use the server at this host.

        Only pages send an origin. A page of the server's own host may connect; without a token the host must be an
        address or localhost, since any domain name can be made to point at this machine (DNS rebinding).
        """
        if origin is None:
            return True
        try:
            origin = _as_origin(origin)
            if origin in self.origins:
                return True
            parts = urlsplit(origin)
            own = origin == _as_origin(f"{parts.scheme}://{host or ''}")
            return own and (self.needs_token or _is_address(parts.hostname or ""))
        except ValueError:
            return False

    def knows(self, host: str | None) -> bool:
        """Whether requests without an origin may address the server by this name.

        Pages send no origin with a GET to their own host, and any name can be made to point at this machine. So without
        a token it must be an address, localhost, a name without a dot, which nobody can register, or that of an origin.
        """
        if self.needs_token or host is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return _is_address(name) or "." not in name.rstrip(".") or name in self._hosts


def _as_origin(text: str) -> str:
    """An origin in the one form in which browsers send it: lower case, no slash, no default port.

    Raises:
        ValueError: it is not valid.
    """
    parts = urlsplit(text.strip().lower().rstrip("/"))
    bare = parts._replace(path="", query="", fragment="") == parts and parts.username is None
    if not (parts.scheme and parts.hostname and bare):
        raise ValueError(f"{text!r} is no origin. Pass scheme and host, such as https://app.example.org.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = None if parts.port == _USUAL_PORTS.get(parts.scheme) else parts.port
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _is_address(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["TOKEN_VARIABLE", "Access", "is_loopback", "read_token"]
