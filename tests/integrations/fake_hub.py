"""A Hub on this machine: what huggingface_hub asks for to fetch and to push models, in memory."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class FakeHub:
    """Repositories as {commit: {name: bytes}}, and what was asked.

    Attributes:
        url: of its HTTP server.
        asked: methods and paths, in order.
        authorizations: of those requests.
    """

    def __init__(self):
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.answer(self, b"")

            def do_HEAD(self):
                hub.answer(self, b"")

            def do_POST(self):
                hub.answer(self, self.rfile.read(int(self.headers.get("content-length") or 0)))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def commit(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds files to what a branch holds; returns the commit."""
        branches = self.branches.setdefault(repository, {})
        commits = self.repositories.setdefault(repository, {})
        held = {**commits.get(branches.get(branch, ""), {}), **files}
        oid = hashlib.sha1(repr((len(commits), sorted(held))).encode()).hexdigest()
        commits[oid], branches[branch] = held, oid
        return oid

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked.append(f"{request.command} {path}")
        self.authorizations.append(request.headers.get("authorization"))
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            repository = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
            if repository in self.repositories:
                reply(request, 409, {"error": "You already created this model repo", "url": f"{self.url}/{repository}"})
            elif request.headers.get("authorization") is None:
                reply(request, 401, {"error": "Unauthorized"})
            else:
                self.commit(repository, {})
                reply(request, 200, {"url": f"{self.url}/{repository}", "name": repository})
        elif path == "/api/validate-yaml":
            reply(request, 200, {"errors": [], "warnings": []})
        elif parts[:2] == ["api", "models"]:
            self._answer_api("/".join(parts[2:4]), parts[4:], request, body)
        elif parts[2:3] == ["resolve"]:
            self._answer_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), request)
        else:
            reply(request, 404, {"error": f"the fake hub has no {path}"})

    def _held(self, repository: str, revision: str, request) -> tuple[str, dict[str, bytes]] | None:
        """The commit and its files; None where it was refused."""
        if repository not in self.repositories:
            # As the Hub answers: it does not say whether there is a private one.
            reply(
                request,
                401,
                {"error": "Invalid username or password."},
                {"X-Error-Message": "Invalid username or password."},
            )
            return None
        oid = self.branches[repository].get(revision, revision)
        if oid not in self.repositories[repository]:
            reply(request, 404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return oid, self.repositories[repository][oid]

    def _answer_file(self, repository: str, revision: str, name: str, request) -> None:
        if (found := self._held(repository, revision, request)) is None:
            return
        oid, files = found
        if name not in files:
            reply(request, 404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid})
            return
        etag = hashlib.sha1(files[name]).hexdigest()
        reply(request, 200, files[name], {"X-Repo-Commit": oid, "ETag": f'"{etag}"'})

    def _answer_api(self, repository: str, rest: list[str], request, body: bytes) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        if (found := self._held(repository, revision, request)) is None:
            return
        oid, files = found
        match rest[:1]:
            case ["preupload"]:
                names = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
                reply(request, 200, {"files": modes})
            case ["commit"]:
                lines = [json.loads(line) for line in body.splitlines()]
                new = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                made = self.commit(repository, new, revision)
                reply(
                    request,
                    200,
                    {"success": True, "commitOid": made, "commitUrl": f"{self.url}/{repository}/commit/{made}"},
                )
            case ["tree"]:
                reply(
                    request,
                    200,
                    [{"type": "file", "path": n, "size": len(f), "oid": "0" * 40} for n, f in files.items()],
                )
            case _:
                siblings = [{"rfilename": name} for name in files]
                reply(request, 200, {"id": repository, "modelId": repository, "sha": oid, "siblings": siblings})


def reply(request: BaseHTTPRequestHandler, status: int, content, headers: dict[str, str] | None = None) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    request.send_header("content-length", str(len(data)))
    if not isinstance(content, bytes):
        request.send_header("content-type", "application/json")
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
