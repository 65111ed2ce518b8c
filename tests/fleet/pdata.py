# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry Collector's own reader of OTLP's JSON, pdata: Debian's newest suite has its
Go sources and a compiler. They are fetched (50 MB) and unpacked beside the machine's own packages,
pdata.go is built with them, and the program is kept in the cache. That takes most of a minute,
so it is done only when asked for (run.py --fetch); what was built once is used from then on."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

sys.path.append(harness.path("tests/vm"))
import kernels  # noqa: E402  pylint: disable=wrong-import-position

SUITES = {"Debian": ("sid",)}
COLLECTOR = "golang-opentelemetry-collector-dev"
NEEDS = (COLLECTOR, "golang-github-hashicorp-go-version-dev", "golang-github-json-iterator-go-dev",
         "golang-github-modern-go-concurrent-dev", "golang-github-modern-go-reflect2-dev",
         "golang-go.uber-multierr-dev")
COMPILER = re.compile(r"golang-1\.(\d+)-go")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tcptrail-fleet"
ASK = "run.py --fetch builds it from Debian's newest suite"


class Missing(Exception):
    """It is not here; the message says why."""


def source():
    return Path(harness.path("tests/fleet/pdata.go"))


def compiler(available):
    """The newest Go whose two packages are there: its series."""
    series = [int(m[1]) for m in map(COMPILER.fullmatch, available)
              if m and f"golang-1.{m[1]}-src" in available]
    if not series:
        raise Missing("no Go compiler in Debian's newest suite")
    return f"1.{max(series)}"


def compile_with(tree, go, work):
    place = work / "path/src/pdata"
    place.mkdir(parents=True)
    shutil.copy(source(), place / "main.go")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(work), "GOROOT": str(tree / f"usr/lib/go-{go}"),
        "GOPATH": f"{work / 'path'}:{tree / 'usr/share/gocode'}", "GOCACHE": str(work / "cache"),
        "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
    done = subprocess.run(
        [tree / f"usr/lib/go-{go}/bin/go", "build", "-o", work / "program", "pdata"],
        env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise Missing(f"it does not build: {done.stderr.strip()[-300:]}")
    return work / "program"


def build():
    apt = kernels.PrivateApt(CACHE / "apt", SUITES)
    try:
        apt.update()
        have = apt.available()
        go = compiler(have)
        wanted = [*NEEDS, f"golang-{go}-go", f"golang-{go}-src"]
        lacking = [name for name in wanted if name not in have]
        if lacking:
            raise Missing(f"Debian's newest suite has no {lacking[0]}")
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            work = Path(work)
            for name in wanted:
                deb = apt.download(name, have[name])
                kernels.run("dpkg-deb", "-x", str(deb), str(work / "tree"))
                os.unlink(deb)
            program = compile_with(work / "tree", go, work)
            shutil.move(program, CACHE / "pdata")
        (CACHE / "pdata.json").write_text(json.dumps({
            "source": hashlib.sha256(source().read_bytes()).hexdigest(),
            "version": have[COLLECTOR]}))
    except (kernels.Skip, subprocess.CalledProcessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Missing(said[-1] if said else "unknown") from error


def built():
    """What is known of the program in the cache, if it is of today's source."""
    try:
        known = json.loads((CACHE / "pdata.json").read_text())
    except (OSError, ValueError):
        return None
    same = known["source"] == hashlib.sha256(source().read_bytes()).hexdigest()
    return known if same and (CACHE / "pdata").exists() else None


def bare(value):
    """What both ways of writing say: an empty id is no id, an empty list holds nothing."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items()
                if not (v == "" and k in ("traceId", "spanId")) and not (v == [] and k == "values")}
    if isinstance(value, list):
        return [bare(v) for v in value]
    return value


def through(lines):
    done = subprocess.run([CACHE / "pdata"], input="".join(x + "\n" for x in lines),
                          capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr.strip()[:400])
    return done.stdout.splitlines()


def same(lines):
    back = through(lines)
    harness.Tally.equal(len(back), len(lines))
    for sent, got in zip(lines, back):
        harness.Tally.equal(bare(json.loads(got)), bare(json.loads(sent)))


def refuses(line):
    try:
        through([line])
    except AssertionError:
        return
    raise AssertionError(f"{line[:200]} was taken")


def check(t, fetch, make_lines):
    what = "otlp-json in the Collector's own reader"
    try:
        if fetch and not built():
            build()
    except Missing as why:
        t.skip(what, str(why))
        return
    known = built()
    if not known:
        t.skip(what, ASK)
        return
    lines = make_lines()
    t.check(f"{what} (pdata {known['version']}): {len(lines)} lines, each given back as it was",
            lambda: same(lines))
    for wrong in (lines[0][:-1], lines[0].replace('"timeUnixNano":"', '"timeUnixNano":"x'),
                  lines[0].replace('"traceId":""', '"traceId":"xyz"')):
        t.check("... and a damaged line is refused", lambda w=wrong: refuses(w))
