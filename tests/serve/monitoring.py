# SPDX-License-Identifier: Apache-2.0
"""/metrics in a real Prometheus, the dashboard and the alerts. Debian's package is unpacked
(tests/deps.sh; else into a cache), not installed; without it these are skipped by name."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request

from rig import DEADLINE_S, Namespace, Pairs, Server, Skip, total, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FETCH_S = 300       # a slow mirror is a skip, not a failure
CACHE = os.environ.get("TCPTRAIL_CACHE", "/var/tmp/tcptrail-tests")


def fetch():
    """The package, whole or not at all, into the cache; another run may be quicker."""
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as d:
        got = subprocess.run(["apt-get", "download", "prometheus"], cwd=d, capture_output=True,
                             timeout=FETCH_S)
        debs = glob.glob(os.path.join(d, "*.deb"))
        if got.returncode or not debs or subprocess.run(
                ["dpkg-deb", "-x", debs[0], os.path.join(d, "x")]).returncode:
            return
        with contextlib.suppress(OSError):
            os.rename(os.path.join(d, "x"), os.path.join(CACHE, "prometheus"))


def tool(name):
    """prometheus or promtool: installed, else of the unpacked package."""
    places = (os.path.join(TOP, "build/unpacked"), os.path.join(CACHE, "prometheus"))
    paths = [os.path.join(p, "usr/bin", name) for p in places]
    for may_fetch in (True, False):
        path = shutil.which(name) or next(filter(os.path.exists, paths), None)
        if path:
            return path
        if may_fetch:
            with contextlib.suppress(subprocess.TimeoutExpired):
                fetch()
    raise Skip("Debian's package prometheus cannot be had")


def run(*args, text=None):
    r = subprocess.run(args, input=text, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, f"{args}: {r.stdout}{r.stderr}"
    return r.stdout


def promtool_check(t):
    """promtool finds nothing wrong with /metrics"""
    promtool = tool("promtool")
    with Server(t, 29540) as s, Pairs(3):
        text = s.request("/metrics")[2].decode()
    r = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True,
                       timeout=120)
    assert r.returncode == 0 and not r.stderr, r.stderr


def alert_rules(t):
    """the alerts are valid, pass their unit tests, and name a summary and a runbook"""
    promtool = tool("promtool")
    run(promtool, "check", "rules", os.path.join(TOP, "dashboards/alerts.yml"))
    run(promtool, "test", "rules", os.path.join(TOP, "dashboards/alerts_test.yml"))
    with open(os.path.join(TOP, "dashboards/alerts.yml"), encoding="utf-8") as f:
        text = f.read()
    n = len(re.findall(r"^\s+- alert:", text, re.M))
    assert n >= 5
    for key in ("summary:", "description:", "runbook_url:", "severity:"):
        assert text.count(key) == n, key


class Prometheus:
    def __init__(self, directory, target, port):
        self.url = f"http://127.0.0.1:{port}"
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{TOP}/dashboards/alerts.yml]
scrape_configs:
- job_name: tcptrail
  static_configs: [{{targets: ['127.0.0.1:{target}']}}]
""")
        self.log = open(os.path.join(directory, "log"), "wb")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=self.log, stderr=self.log)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE_S) as r:
            return json.load(r)

    def query(self, expr):
        try:
            return self.get("/api/v1/query?query=" + urllib.parse.quote(expr))["data"]["result"]
        except OSError:
            return []

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def dashboard_expressions():
    with open(os.path.join(TOP, "dashboards/tcptrail.json"), encoding="utf-8") as f:
        board = json.load(f)
    assert board["uid"] == "tcptrail"
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            assert "$instance" in target["expr"], panel["title"]
            yield panel["title"], target["expr"]


def names_of(expr):
    return set(re.findall(r"\btcptrail_\w+", expr))


def real_prometheus(t):
    """a real Prometheus scrapes, answers every expression of the dashboard, and a rule fires"""
    tool("prometheus")
    with tempfile.TemporaryDirectory() as d, Namespace() as ns, \
            Server(t, 29541, "--netns", str(ns.inode)) as s:
        p = Prometheus(d, 29541, 29542)
        try:
            wait_for("a scrape", lambda: [r for r in p.query("up") if r["value"][1] == "1"])
            with Pairs(7, ns):
                wait_for("the connections", lambda: [
                    r for r in p.query('sum(tcptrail_connections{state="established"})')
                    if r["value"][1] == "14"])
            wait_for("their ends", lambda: [
                r for r in p.query('sum(tcptrail_connections_closed_total{conn_state="SF"})')
                if r["value"][1] == "14"])
            families = {n for n, _ in s.metrics()}
            families |= {line.split()[2] for line in s.request("/metrics")[2].decode().splitlines()
                         if line.startswith("# TYPE")}
            for title, expr in dashboard_expressions():
                assert names_of(expr) <= families, (title, names_of(expr) - families)
                real = expr.replace("$instance", ".*").replace("$__rate_interval", "1m")
                answer = p.get("/api/v1/query?query=" + urllib.parse.quote(real))
                assert answer["status"] == "success", (title, answer)
            with open(os.path.join(TOP, "dashboards/alerts.yml"), encoding="utf-8") as f:
                assert names_of(f.read()) <= families
            assert total(s.metrics(), "tcptrail_events_total") > 0
            s.close()
            wait_for("the rule for a target that is down", lambda: [
                a for a in p.get("/api/v1/alerts")["data"]["alerts"]
                if a["labels"]["alertname"] == "TcptrailDown"])
        finally:
            p.close()


TESTS = [promtool_check, alert_rules, real_prometheus]
