# SPDX-License-Identifier: Apache-2.0
"""What the tests of `tcptrail serve` share: a server that runs, requests to it, a network
namespace of one's own, connections in it."""
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tally import Skip  # noqa: E402

DEADLINE_S = 120        # for something to happen at all; nothing asserts how soon
CLONE_NEWNET = 0x40000000


def wait_for(what, check):
    """check() until it is true; its value."""
    end = time.monotonic() + DEADLINE_S
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {DEADLINE_S} s")
        time.sleep(0.1)


def holds(check):
    """check() until none of its assertions fails; its value. For what two sides say at two moments."""
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


class Server:
    """`tcptrail serve` on a port; ends with close()."""

    def __init__(self, tcptrail, port, *args, listen=True):
        self.port = port
        self.log = tempfile.TemporaryFile()
        where = ["--listen", f"127.0.0.1:{port}"] if listen else []
        self.process = subprocess.Popen([tcptrail, "serve", *where, *args],
                                        stdout=subprocess.DEVNULL, stderr=self.log)
        try:
            wait_for("tracing", lambda: "tcptrail: tracing" in self.said() or self.ended())
        except AssertionError:
            self.close()
            raise
        if self.ended():
            raise AssertionError(f"serve ended: {self.said()}")

    def ended(self):
        return self.process.poll() is not None

    def said(self):
        """The place in the file is shared with the process that writes: it is not touched."""
        fd = self.log.fileno()
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")

    def request(self, path, method="GET", headers=None, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read()
        finally:
            c.close()

    def json(self, path):
        status, _, body = self.request(path)
        assert status == 200, f"{path}: {status} {body[:200]}"
        return json.loads(body)

    def metrics(self):
        status, _, body = self.request("/metrics")
        assert status == 200, status
        return parse_metrics(body.decode())

    def close(self):
        if not self.ended():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        finally:
            if not self.ended():
                self.process.kill()
                self.process.wait()
            self.log.close()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def refused(tcptrail, *args):
    """The line with which it ends at once."""
    r = subprocess.run([tcptrail, "serve", *args], capture_output=True, text=True, timeout=DEADLINE_S)
    lines = r.stderr.strip().splitlines()
    assert r.returncode == 2 and len(lines) == 1, (args, r.returncode, r.stderr)
    return lines[0]


def parse_metrics(text):
    """{(name, ((label, value), ...)): number}"""
    out = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        m = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        assert m, f"no metric: {line!r}"
        labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or "")))
        assert (m[1], labels) not in out, f"twice: {line!r}"
        out[m[1], labels] = float(m[3])
    return out


def total(metrics, name, **labels):
    return sum(v for (n, ls), v in metrics.items()
               if n == name and all((k, w) in ls for k, w in labels.items()))


class Namespace:
    """A network namespace in which this process opens sockets; ss looks into it."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        if self.libc.unshare(CLONE_NEWNET):
            raise Skip("no network namespaces here")
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.inode = os.fstat(self.fd).st_ino
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.leave()

    def enter(self):
        assert self.libc.setns(self.fd, CLONE_NEWNET) == 0

    def leave(self):
        assert self.libc.setns(self.home, CLONE_NEWNET) == 0

    def ss(self, *args):
        self.enter()
        try:
            return subprocess.run(["ss", "-tnHe", *args], check=True, capture_output=True,
                                  text=True).stdout.splitlines()
        finally:
            self.leave()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        os.close(self.home)


class Pairs:
    """A listener and connections to it, both ends ours; in the namespace ns or here."""

    def __init__(self, n, ns=None):
        self.ends = []
        if ns:
            ns.enter()
        try:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port = self.listener.getsockname()[1]
            self.more(n)
        finally:
            if ns:
                ns.leave()

    def more(self, n):
        for _ in range(n):
            a = socket.create_connection(("127.0.0.1", self.port))
            b, _ = self.listener.accept()
            self.ends.append((a, b))

    def close(self):
        for a, b in self.ends:
            a.close()
            b.close()
        self.ends = []
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cookies(ss_lines):
    """The sk: of ss -e."""
    return sorted(m[1] for line in ss_lines if (m := re.search(r"\bsk:([0-9a-f]+)", line)))
