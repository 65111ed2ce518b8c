# SPDX-License-Identifier: Apache-2.0
"""Real engines that Debian 12 lacks and npm's registry carries whole: DuckDB, a ClickHouse of
today (chDB), Vector's language VRL (its own Rust, as WebAssembly), and the types of Prometheus
Operator's definitions. Fetched once into build/npm, pinned, with no script of theirs run; without
node, npm or the registry what needs them is skipped by name."""
import json
import os
import shutil
import subprocess

import harness

PACKAGES = {
    "duckdb": "@duckdb/node-api@1.5.6-r.1",
    "clickhouse": "chdb@3.4.0",
    "vrl": "@bpinternal/verel@0.2.0",
    "podmonitor": "@kubernetes-models/prometheus-operator@6.0.0",
}
LARGE = ("clickhouse",)  # half a gigabyte: only when asked for (run.py --fetch), or there already
FETCH_S = 300  # a slow registry is a skip, not a failure


class Missing(Exception):
    """This engine cannot be had here; the message says why."""


def installed(name, fetch):
    """The directory whose node_modules holds the engine."""
    if not shutil.which("node"):
        raise Missing("node is not installed")
    where = harness.path(f"build/npm/{name}")
    stamp = os.path.join(where, "has")
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as f:
            if f.read() == PACKAGES[name]:
                return where
    if name in LARGE and not fetch:
        raise Missing("it is large: run.py --fetch gets it")
    if not shutil.which("npm"):
        raise Missing("npm is not installed")
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    try:
        done = subprocess.run(
            ["npm", "install", "--prefix", where, "--ignore-scripts", "--no-audit", "--no-fund",
             "--fetch-retries=1", PACKAGES[name]], cwd=where, capture_output=True, text=True,
            timeout=FETCH_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        raise Missing(f"npm does not answer within {FETCH_S} s") from late
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise Missing(f"npm cannot fetch it: {(said or ['?'])[0][:120]}")
    with open(stamp, "w", encoding="utf-8") as f:
        f.write(PACKAGES[name])
    return where


class Engine:
    """One process of it; ask() raises what it complains of."""

    def __init__(self, name, fetch=False):
        where = installed(name, fetch)
        shutil.copy(harness.path("tests/fleet/engine.mjs"), where)
        self.process = subprocess.Popen(
            ["node", os.path.join(where, "engine.mjs"), name], cwd=where, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.version = PACKAGES[name].rpartition("@")[2]
        try:
            self.read()
        except AssertionError as e:
            self.close()
            raise Missing(f"this node cannot run it: {e}") from e

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            said = self.process.stderr.read()
            raise AssertionError(next((x for x in said.splitlines() if "Error" in x), "it ended"))
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["said"]

    def ask(self, what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()


def use(t, what, name, work, fetch=False):
    """work(engine), or a skip of `what` that says why."""
    try:
        engine = Engine(name, fetch)
    except Missing as why:
        t.skip(what, str(why))
        return
    try:
        work(engine)
    finally:
        engine.close()


class ClickHouse:
    """What clickhouse.Server can, of the engine."""

    def __init__(self, engine):
        self.ask = engine.ask
        self.version = tuple(map(int, engine.ask("SELECT version()")[0][0].split(".")[:2]))

    def create(self, sql):
        self.ask(sql.rstrip().rstrip(";"))
        # It works: seconds after they came, rows of recordings older than that would be gone.
        self.ask("SYSTEM STOP TTL MERGES tcptrail")

    def insert(self, lines):
        self.ask("INSERT INTO tcptrail SETTINGS date_time_input_format = 'best_effort' "
                 "FORMAT JSONEachRow\n" + lines.decode())
