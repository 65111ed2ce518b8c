#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What users get to install: built, looked at, installed, run, removed.

    run.py [--tcptrail PATH] [--only NAME ...]     NAME: one of STEPS

The Debian package is installed in scratch roots that root.sh makes of this host's own files: once
with the service's line run as its unit would, once under a real systemd in a container. Nothing
of the host changes and no network is used.

A line a check ("ok", "not ok", "skip"), and a last line: N passed, N failed, N skipped.
"""
import argparse
import fnmatch
import glob
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIMIT_S = 1800  # of whole builds on a busy host; nothing asserts how soon
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import completions  # noqa: E402
import dockerfile   # noqa: E402
import spdx_check   # noqa: E402
from tally import Tally  # noqa: E402


def sibling(suite):
    """tests/SUITE/run.py as a module: it has the same name as this one."""
    path = os.path.join(ROOT, "tests", suite, "run.py")
    spec = importlib.util.spec_from_file_location(suite, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command, cwd=ROOT, **env):
    """(status, what it said). The makes of a test are not those of the make that runs it."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("MAKE", "MFLAGS", "INSTALLED"))}
    try:
        done = subprocess.run(command, cwd=cwd, env={**clean, **env}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return 124, f"not done within {LIMIT_S} s"
    return done.returncode, done.stdout


def ended(status, said):
    return [] if status == 0 else [f"status {status}", *said.splitlines()[-10:]]


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8", errors="replace") as f:
        return f.read()


def version():
    return re.search(r"^VERSION\s*:=\s*(\S+)", read("Makefile"), re.M)[1]


def files_of(tree):
    return {os.path.relpath(os.path.join(where, name), tree)
            for where, _, names in os.walk(tree) for name in names}


# ---- what the sources say -------------------------------------------------------------------

def build_depends():
    """What building by hand needs, the package needs, and `make deb` installs all that it needs."""
    deps = read("tests", "deps.sh")
    build, package = (set(re.search(rf'^{name}="([^"]*)"', deps, re.M)[1].split())
                      for name in ("build", "package"))
    control = read("packaging", "debian", "control")
    control = control.split("Build-Depends:")[1].split("\nStandards")[0]
    named = set(re.findall(r"^ ([a-z0-9.+-]+)", control, re.M))
    out = [f"not in Build-Depends: {p}" for p in build - named - {"gcc", "make", "libc6-dev"}]
    named = named - {"debhelper-compat"} | {"debhelper", "build-essential"}
    return out + [f"not in deps.sh --package: {p}" for p in named - build - package]


def stanza_of(path, stanzas):
    """The last stanza that matches, as the copyright format has it."""
    return [licence for patterns, licence in stanzas
            if any(fnmatch.fnmatch(path, p) for p in patterns)][-1]


def copyright_faults():
    text = read("packaging", "debian", "copyright")
    stanzas = [(m[1].split(), m[2]) for m in
               re.finditer(r"^Files: (.*)\n(?:.+\n)*?License: (.*)$", text, re.M)]
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files"], cwd=ROOT,
                            text=True, stdout=subprocess.PIPE, check=True).stdout
    out = []
    for path in listed.splitlines():
        if not os.path.isfile(os.path.join(ROOT, path)):
            continue
        head = read(path)[:400].split("\n")[:4]
        line = re.search(r"SPDX-License-Identifier: ([A-Za-z0-9. -]*[a-z0-9])", "\n".join(head))
        if line and line[1].replace(" OR ", " or ") != stanza_of(path, stanzas):
            out.append(f"{path}: {line[1]}, in debian/copyright {stanza_of(path, stanzas)}")
    return out


def sources(report, options):
    report.clean("Build-Depends has what tests/deps.sh has", build_depends())
    said = run("dpkg-parsechangelog", "-l", "packaging/debian/changelog", "-S", "Version")[1]
    said = said.strip()
    changes = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)[1]
    report.clean("one version everywhere", [] if {said, changes} == {version()}
                 else [said, changes, version()])
    report.clean("debian/copyright agrees with the SPDX lines", copyright_faults())
    dockerfile.check(report, ROOT)


# ---- make install ---------------------------------------------------------------------------

def installed(report, options):
    build = os.path.dirname(options.tcptrail)
    with tempfile.TemporaryDirectory() as work:
        where = [f"BUILD={build}", f"DESTDIR={work}", "PREFIX=/opt/t", "SYSCONFDIR=/opt/t/etc"]
        report.clean("make install", ended(*run("make", "-s", "install", *where)))
        there = files_of(work)
        wanted = {f"opt/t/{p}" for p in (
            "sbin/tcptrail", "share/man/man8/tcptrail.8", "etc/default/tcptrail",
            "share/bash-completion/completions/tcptrail", "share/zsh/site-functions/_tcptrail",
            "lib/systemd/system/tcptrail.service", "share/tcptrail/event-v1.schema.json",
            "share/tcptrail/dashboards/tcptrail.json", "share/tcptrail/dashboards/alerts.yml",
            "share/tcptrail/fleet/clickhouse.sql", "share/doc/tcptrail/README.md",
            "share/doc/tcptrail/LICENSE")}
        report.clean("it installs each thing, below PREFIX alone", sorted(wanted - there)
                     + [p for p in there if not p.startswith("opt/t/")])
        unit = read(work, "opt/t/lib/systemd/system/tcptrail.service")
        report.clean("the unit names this PREFIX", [] if "ExecStart=/opt/t/sbin/tcptrail " in unit
                     and "EnvironmentFile=-/opt/t/etc/default/tcptrail\n" in unit else [unit])
        conf = os.path.join(work, "opt/t/etc/default/tcptrail")
        with open(conf, "a", encoding="utf-8") as f:
            f.write("# mine\n")
        run("make", "-s", "install", *where)
        report.clean("a changed configuration is kept", [] if "# mine" in read(conf) else ["lost"])
        run("make", "-s", "uninstall", *where)
        report.clean("uninstall leaves that alone",
                     sorted(files_of(work) ^ {"opt/t/etc/default/tcptrail"}))


def complete(report, options):
    with tempfile.TemporaryDirectory() as work:
        completions.run(report, options.tcptrail, work)


# ---- the Debian package ---------------------------------------------------------------------

def scratch_root(report, mode, deb):
    """inside.py's lines of one scratch root, and what was left in it."""
    status, said = run(os.path.join(HERE, "root.sh"), mode, deb)
    lines = said.splitlines()
    if status == 3:
        return report.skip(f"the package installed, {mode}", lines[-1])
    for line in lines:
        m = re.match(r"(ok|not ok) ([^\n]*)$", line)
        if m:
            report.clean(f"{mode}: {m[2].split(': ', 1)[0] if m[1] != 'ok' else m[2]}",
                         [] if m[1] == "ok" else [m[2]])
    if "done" not in lines:
        report.clean(f"{mode}: to its end", lines[-5:] or [f"status {status}"])
    report.clean(f"{mode}: purge leaves nothing", [li for li in lines if li.startswith("left ")])


def deb_content(report, deb, work):
    tree = os.path.join(work, "deb")
    run("dpkg-deb", "-x", deb, tree)
    doc = "usr/share/doc/tcptrail"
    wanted = {"usr/sbin/tcptrail", "usr/share/man/man8/tcptrail.8.gz", "etc/default/tcptrail",
              "lib/systemd/system/tcptrail.service", "usr/share/tcptrail/event-v1.schema.json",
              "usr/share/bash-completion/completions/tcptrail",
              "usr/share/zsh/vendor-completions/_tcptrail",
              "usr/share/tcptrail/dashboards/alerts.yml", f"{doc}/copyright",
              f"{doc}/changelog.gz", f"{doc}/tcptrail.spdx.json"}
    report.clean("the package holds each thing", sorted(wanted - files_of(tree)))
    sibling("security").hardening(report, os.path.join(tree, "usr/sbin/tcptrail"))
    check_spdx(report, "the package", tree, f"{doc}/tcptrail.spdx.json", "DYNAMIC_LINK",
               ("glibc", "libbpf", "libmicrohttpd", "libpcap", "libseccomp"))


def package(report, options):
    with tempfile.TemporaryDirectory() as work:
        status, said = run("packaging/deb.sh", version(), work,
                           DEB_BUILD_OPTIONS=f"nocheck noautodbgsym parallel={os.cpu_count()}")
        report.clean("make deb, lintian finds nothing", ended(status, said))
        found = glob.glob(os.path.join(work, "tcptrail_*.deb"))
        if status or not found:
            return
        deb_content(report, found[0], work)
        scratch_root(report, "plain", found[0])
        scratch_root(report, "systemd", found[0])


# ---- the tarball and its list ---------------------------------------------------------------

def check_spdx(report, what, tree, own, how, some):
    d = json.loads(read(tree, own))
    report.clean(f"{what}: its SPDX list is valid and true", spdx_check.faults(d, tree, own))
    libraries = {r["relatedSpdxElement"] for r in d["relationships"]
                 if r["relationshipType"] == how}
    known = {p["SPDXID"]: p for p in d["packages"]}
    report.clean(f"{what}: the list has the libraries, with version and licence",
                 [i for i in libraries
                  if "NOASSERTION" in (known[i]["licenseDeclared"], known[i]["versionInfo"])]
                 or [w for w in some if f"SPDXRef-Library-{w}" not in libraries])


def tarball_in(report, name, tree):
    out = os.path.join(tree, "build", "tarball")
    other = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"} if name == "again" else {}
    status, said = run("make", "-s", "tarball", cwd=tree, **other)
    found = glob.glob(os.path.join(out, "*.tar.gz"))
    report.clean(f"make tarball ({name})", ended(status, said) or ([] if found else ["no archive"]))
    return found[0] if found else None


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def tarball(report, options):
    with tempfile.TemporaryDirectory() as work:
        archives = []
        for name in ("once", "again"):
            tree = os.path.join(work, name, "x" * 20 * len(archives))
            run("bash", "-c", f". packaging/tree.sh; copy_tree '{tree}'")
            archives.append(tarball_in(report, name, tree))
        if not all(archives):
            return
        sums = {sha256(a) for a in archives}
        report.clean("two builds, two directories: the same bytes",
                     [] if len(sums) == 1 else sorted(sums))
        run("tar", "-xf", archives[0], "-C", work)
        tree = archives[0].split("/")[-1].removesuffix(".tar.gz")
        tarball_content(report, os.path.join(work, tree))


def tarball_content(report, tree):
    doc = "share/doc/tcptrail"
    wanted = {"README", "LICENSE", "sbin/tcptrail", "share/man/man8/tcptrail.8",
              "etc/default/tcptrail", "lib/systemd/system/tcptrail.service",
              "share/zsh/site-functions/_tcptrail",
              "share/bash-completion/completions/tcptrail", f"{doc}/tcptrail.spdx.json",
              f"{doc}/licences/libmicrohttpd", f"{doc}/licences/LGPL-2.1"}
    report.clean("the tarball holds each thing", sorted(wanted - files_of(tree)))
    program = os.path.join(tree, "sbin/tcptrail")
    status, said = run("env", "-i", program, "--version")
    report.clean("its program runs and says what it lacks",
                 [] if not status and "no TLS" in said else [said])
    said = run("readelf", "-lW", program)[1]
    report.clean("it is static", ["it has an interpreter"] if "INTERP" in said else [])
    with open(program, "rb") as f:
        data = f.read()
    report.clean("no path of who built it is in it", [p for p in (os.path.dirname(tree), ROOT)
                                                      if p.encode() + b"/" in data])
    check_spdx(report, "the tarball", tree, f"{doc}/tcptrail.spdx.json", "STATIC_LINK",
               ("elfutils", "glibc", "libbpf", "libmicrohttpd", "libpcap", "libseccomp", "zlib"))


STEPS = {"sources": sources, "complete": complete, "install": installed, "deb": package,
         "tarball": tarball}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    p.add_argument("--only", nargs="*", choices=STEPS, default=list(STEPS))
    options = p.parse_args()
    options.tcptrail = os.path.abspath(options.tcptrail)
    report = Tally()
    for name in options.only:
        STEPS[name](report, options)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
