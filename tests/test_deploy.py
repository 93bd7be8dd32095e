"""What lies in deploy/ speaks of the server as it is: its flags, paths, metrics and times."""

import asyncio
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streamrnn.cli.flags import parse
from streamrnn.cli.serve import Serve
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.access import TOKEN_VARIABLE
from streamrnn.serve.handover import KEY_VARIABLE
from tests.serve.conftest import LoudnessDetector

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
METRIC = re.compile(r"\b(?:streamrnn|process)_[a-z_]+\b")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def of_kind(kind: str) -> dict[str, Any]:
    return next(document for document in documents("kubernetes.yaml") if document["kind"] == kind)


def dockerfile() -> dict[str, list[str]]:
    """Instructions and what they say, in order."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line:
            found.setdefault(line.split()[0], []).append(line.split(maxsplit=1)[1])
    return found


def unit() -> dict[str, list[str]]:
    lines = [line.partition("=") for line in (DEPLOY / "streamrnn.service").read_text().splitlines()]
    return {key: value.split() for key, sign, value in lines if sign and key[0] != "#"}


def commands() -> dict[str, list[str]]:
    """What streamrnn is started with by each file."""
    return {
        "Dockerfile": json.loads(dockerfile()["CMD"][0]),
        "streamrnn.service": unit()["ExecStart"][1:],
        "kubernetes.yaml": pod()["containers"][0]["args"],
    }


def pod() -> dict[str, Any]:
    return of_kind("Deployment")["spec"]["template"]["spec"]


class Client:
    """Asks an application that is not begun.

    Attributes:
        server: behind it.
    """

    def __init__(self, app: Any):
        self._app, self.server = app, app.state.server

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(answer())


@pytest.fixture
def client(monkeypatch) -> Client:
    """Of a server that needs a token, and has a store, which is asked only once it is begun."""
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)
    app = make_app({"loudness": LoudnessDetector()}, ServerSettings(store="redis://127.0.0.1:6379"))
    return Client(app)


@pytest.mark.parametrize("name", ["grafana.json", "kubernetes.yaml", "prometheus-adapter.yaml"])
def test_metrics_are_those_of_the_server(client, name):
    # Engines that are not begun have no figures; the names are there without.
    client.server.engines.clear()
    answer = client.get("/metrics", authorization="Bearer secret")
    known = set()
    for found, kind in re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.MULTILINE):
        known |= {f"{found}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {found}
    (adapter,) = documents("prometheus-adapter.yaml")
    made = {rule["name"]["as"] for rule in adapter["rules"]["custom"]}
    named = set(METRIC.findall((DEPLOY / name).read_text()))
    assert named and named <= known | made
    scaled_by = {metric["pods"]["metric"]["name"] for metric in of_kind("HorizontalPodAutoscaler")["spec"]["metrics"]}
    assert scaled_by == made


def test_the_dashboard_has_a_query_in_each_panel_and_panels_do_not_overlap():
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert all(target["expr"] for panel in panels for target in panel["targets"])
    assert all(panel["targets"] for panel in panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels) == len({panel["id"] for panel in panels})
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(panels))) <= variables


@pytest.mark.parametrize("name", ["Dockerfile", "streamrnn.service", "kubernetes.yaml"])
def test_commands_have_flags_that_exist(name):
    command, *flags = commands()[name]
    assert command == "serve"
    settings = parse(Serve, "serve", flags).settings
    if name != "streamrnn.service":
        assert settings.host == "0.0.0.0"
        ports = [int(dockerfile()["EXPOSE"][0]), pod()["containers"][0]["ports"][0]["containerPort"]]
        assert ports == [settings.port] * 2


def test_flags_in_comments_exist():
    flags = {
        "--" + name.replace("_", "-") for kind in (Serve, ServerSettings) for name in kind.__dataclass_fields__
    } | {"--now", "--time", "--from-literal"}  # of systemctl, docker and kubectl
    for name in ("streamrnn.service", "kubernetes.yaml", "grafana.json"):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", (DEPLOY / name).read_text()))
        assert named <= flags


def test_a_server_that_ends_is_not_ready_but_alive(client):
    container = pod()["containers"][0]
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    checked = re.findall(r"http://127\.0\.0\.1:8765(/\w*)", dockerfile()["HEALTHCHECK"][0])
    assert [client.get(path).status_code for path in (*paths.values(), *checked)] == [200] * 4
    client.server.is_ending = True
    assert client.get(paths["readiness"]).status_code == 503
    assert client.get(paths["liveness"]).status_code == client.get(checked[0]).status_code == 200


def test_metrics_are_scraped_where_they_are_from_pods_that_are_ours(client):
    (prometheus,) = documents("prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    assert client.get(job["metrics_path"]).status_code == 401
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    port = pod()["containers"][0]["ports"][0]["name"]
    assert job["relabel_configs"][0]["regex"] == f"{labels['app']};{port}"
    assert of_kind("Service")["spec"]["selector"] == labels


def test_there_is_time_to_hand_streams_over():
    container = pod()["containers"][0]
    name, pause_s = container["lifecycle"]["preStop"]["exec"]["command"]
    shutdown_s = parse(Serve, "serve", container["args"][1:]).settings.shutdown_s
    assert name == "sleep"
    assert pod()["terminationGracePeriodSeconds"] >= float(pause_s) + shutdown_s + 5
    assert float(unit()["TimeoutStopSec"][0]) >= ServerSettings().shutdown_s + 5


def test_containers_run_without_rights_and_write_where_they_may():
    environment = dict(pair.split("=", 1) for pair in shlex.split(dockerfile()["ENV"][0]))
    context, container = pod()["securityContext"], pod()["containers"][0]
    assert dockerfile()["USER"] == [str(context["runAsUser"])]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert f"{environment['XDG_CACHE_HOME']}/streamrnn" in mounted
    assert {entry["name"] for entry in container["env"]} == {TOKEN_VARIABLE, KEY_VARIABLE}


def test_the_image_is_built_of_what_exists():
    copied = [part for line in dockerfile()["COPY"] if "--from" not in line for part in line.split()[:-1]]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert all((ROOT / name).exists() and f"!{name}" in allowed for name in copied)
    extras = re.findall(r"\[([a-z,]+)\]\"", dockerfile()["RUN"][0])[0].split(",")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert pod()["containers"][0]["image"].endswith(f":{PROJECT['version']}")
