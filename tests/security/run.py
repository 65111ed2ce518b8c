#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile neighbour may try, and what the program is built and shipped with.

    run.py [--tcptrail PATH]

Processes whose names and cgroups are escape sequences, quotes, line ends, invalid UTF-8 and
bidirectional overrides make connections; every output must stay what it is: text without a
control character, JSON that parses, CSV whose rows have as many fields as the header. The
shipped unit's exposure is asked of systemd-analyze, the hardening of the binary itself.

A line a check ("ok", "not ok", "skip"), and a last line: N passed, N failed, N skipped.
"""
import argparse
import csv
import ctypes
import io
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "kernel")]

from tally import Tally  # noqa: E402
from tracers import Tracer  # noqa: E402

PORT = 29300
PR_SET_NAME = 15
EXPOSURE = 2.1
READY_S = 60        # for eight at once; nothing asserts how soon

# At most 15 bytes each; what must be left of each in any output is the word in it.
NAMES = {
    "esc": b"\x1b[31mesc\x07",
    "bell": b"\x1b]0;bell\x07\x9b",
    "quote": b'quote","x":{"',
    "line": b"line\r\nx,y\ttab",
    "latin": b"latin\xff\xfe\x80\xc0\xaf",
    "bidi": b"bidi\xe2\x80\xae\xe2\x81\xa6",
    "formula": b"=formula+1|cmd",
    "back": b"back\\x1b\\n\x7f",
}
VIEWS = [("conns", "text"), ("conns", "json"), ("conns", "csv"), ("events", "text"),
         ("events", "json"), ("timeline", "text"), ("timeline", "json"), ("watch", "text")]
# The narrow tables cut a name: there only what is left of it is judged.
STUCK = [("text", []), ("text", ["-w"]), ("text", ["--list"]), ("text", ["--list", "-w"]),
         ("json", []), ("csv", [])]


# ---- hostile names --------------------------------------------------------------------------

def forbidden(text):
    """Characters that a terminal or a reader could obey."""
    return [f"U+{ord(c):04X} in {line[:120]!a}" for line in text.split("\n") for c in line
            if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]


def plain(data):
    try:
        return forbidden(data.decode())
    except UnicodeDecodeError as e:
        return [str(e)]


def judge(data, form):
    faults = plain(data)
    if form == "json":
        for line in data.split(b"\n")[:-1]:
            try:
                json.loads(line)
            except ValueError as e:
                faults.append(f"{e}: {line[:200]!r}")
    if form == "csv":
        rows = list(csv.reader(io.StringIO(data.decode(errors="replace"))))
        faults += [f"{len(r)} fields, header {len(rows[0])}: {r}" for r in rows
                   if len(r) != len(rows[0])]
        faults += [f"a formula: {cell!r}" for r in rows[1:] for cell in r if re.match(r"[=@+]", cell)]
    return faults


def missing(data, words):
    return [f"nothing of the process {word!r}" for word in words if word.encode() not in data]


def neighbour(name, port, group, ready=None):
    """A process of that name, in that cgroup, that makes a connection to itself; with a FIN that it
    never answers where the port is odd, once it has written a byte to `ready`."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if group:
            with open(os.path.join(group, b"cgroup.procs"), "w", encoding="ascii") as f:
                f.write(str(os.getpid()))
        ctypes.CDLL(None).prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)
        listener = socket.create_server(("127.0.0.1", port), reuse_port=True)
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
        client.close()
        server.recv(1)
        if port % 2:
            os.write(ready, b"!")
            time.sleep(600)
        server.close()
        time.sleep(0.1)
    finally:
        os._exit(0)


def cgroups():
    """Where version 2 is mounted."""
    with open("/proc/mounts", encoding="ascii", errors="replace") as f:
        return next((where for _, where, kind, *_ in map(str.split, f) if kind == "cgroup2"), None)


def make_group(name):
    place = cgroups()
    if not place:
        return None
    own = b"tcptrail-test-%d-" % os.getpid()    # what another run has, or has left, is not ours
    path = os.path.join(place.encode(), own + name.replace(b"/", b"_").replace(b"\n", b""))
    try:
        os.mkdir(path)
    except OSError:
        return None
    return path


def streams(report, program, directory, groups):
    tracers = [(form, Tracer(program, [view, "-o", form, "-w", "--color", "never", "-P",
                                       f"{PORT}"], directory, f"{view}-{form}"))
               for view, form in VIEWS]
    why = [w for w in (t.wait_ready(READY_S) for _, t in tracers) if w]
    for word, name in NAMES.items():
        os.waitpid(neighbour(name, PORT, groups[word]), 0)
    time.sleep(0.7)
    for form, t in tracers:
        status = t.stop()
        with open(t.out, "rb") as f:
            data = f.read()
        faults = why + ([] if status == 0 else [f"status {status}"]) + judge(data, form)
        report.clean(f"hostile names: {t.tag}", faults + missing(data, NAMES))
        report.clean(f"hostile names: {t.tag}: stderr", plain(t.said()))


def stuck(report, program, groups):
    told, ready = os.pipe()
    pids = [neighbour(name, PORT + 1 + 2 * i + PORT % 2, groups[word], ready)
            for i, (word, name) in enumerate(NAMES.items())]
    try:
        there, end = b"", time.monotonic() + READY_S
        while len(there) < len(pids) and time.monotonic() < end:
            if select.select([told], [], [], 1)[0]:
                there += os.read(told, len(pids))
        for form, more in STUCK:
            done = subprocess.run([program, "stuck", "-o", form, *more, "--min-age", "0", "--all",
                                   "--color", "never", "-P", f"{PORT}-{PORT + 40}"],
                                  capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            name = " ".join(["stuck -o", form, *more])
            cut = form == "text" and "-w" not in more
            report.clean(f"hostile names: {name}", judge(done.stdout, form) + plain(done.stderr)
                         + missing(done.stdout, () if cut else NAMES))
    finally:
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(told)
        os.close(ready)


def hostile(report, program):
    groups = {word: make_group(name) for word, name in NAMES.items()}
    if not all(groups.values()):
        made = sum(g is not None for g in groups.values())
        report.skip("hostile cgroup paths", f"{made} of {len(groups)} could be made")
    try:
        with tempfile.TemporaryDirectory(prefix="tcptrail-hostile-") as directory:
            streams(report, program, directory, groups)
        stuck(report, program, groups)
    finally:
        for group in groups.values():
            for _ in range(50):
                try:
                    if group:
                        os.rmdir(group)
                    break
                except OSError:
                    time.sleep(0.1)


# ---- what is shipped --------------------------------------------------------------------------

def unit(report):
    path = os.path.join(ROOT, "packaging", "tcptrail.service")
    if not shutil.which("systemd-analyze"):
        return report.skip("the unit's exposure", "systemd-analyze is not installed")
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)
    report.clean(f"the unit's exposure is {EXPOSURE} or better",
                 [] if found and float(found.group(1)) <= EXPOSURE
                 else [found.group(0) if found else said.stderr])
    said = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    # neither the program nor its manual need be installed here
    faults = [line for line in said.stderr.splitlines()
              if "is not executable" not in line and "Command 'man" not in line
              and "tcptrail.service" in line]
    report.clean("the unit is valid", faults)


def hardening(report, program):
    """The flags that Debian builds with, as they show in the file."""
    def readelf(flag):
        return subprocess.run(["readelf", flag, "-W", program], capture_output=True, text=True,
                              check=True).stdout
    header, dynamic, segments = readelf("-h"), readelf("-d"), readelf("-l")
    symbols = readelf("--dyn-syms")
    stack = re.search(r"GNU_STACK.* (R\S*) ", segments)
    report.clean("built as a position-independent executable",
                 [] if re.search(r"Type:\s+DYN", header) else [header])
    report.clean("relocations are read-only, all at the start",
                 [] if "GNU_RELRO" in segments and re.search(r"BIND_NOW|FLAGS_1.*NOW", dynamic)
                 else [dynamic])
    report.clean("the stack is not executable", [] if stack and "E" not in stack.group(1)
                 else [segments])
    report.clean("stack protector", [] if "__stack_chk_fail" in symbols else ["no guard"])
    report.clean("_FORTIFY_SOURCE", [] if re.search(r"__\w+_chk@", symbols) else ["no check"])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tcptrail", default=os.path.join(ROOT, "build", "tcptrail"))
    options = p.parse_args()
    report = Tally()
    unit(report)
    hardening(report, options.tcptrail)
    if os.geteuid():
        report.skip("hostile names", "needs root")
    else:
        hostile(report, options.tcptrail)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
