# SPDX-License-Identifier: Apache-2.0
"""What tests/kernel/stuck.py runs: processes with sockets that hang, and `stuck --watch`."""
import json
import os
import re
import signal
import subprocess
import tempfile
import traceback

import stuck_make
from tracers import whole

LIFE_S = 300            # of a maker, whatever happens


class Maker:
    """A process with sockets that hang; gone, with all of them, after close()."""

    ends = []   # of all that run: a child must not keep another's open

    def __init__(self, fn, begin=True):
        """begin=False: only its namespace; what hangs is made by make()."""
        down_read, self.end = os.pipe()
        up_read, up_write = os.pipe()
        self.name = fn.__name__
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(down_read, 0)
            for fd in (down_read, self.end, up_read, *Maker.ends):
                os.close(fd)
            self.child(fn, up_write)
        Maker.ends.append(self.end)
        os.close(down_read)
        os.close(up_write)
        self.up = os.fdopen(up_read, "rb")
        self.error, self.expected, self.netns = None, [], 0
        self.hear()
        if begin:
            self.make()

    def hear(self):
        try:
            self.__dict__.update(json.loads(self.up.readline()))
        except ValueError:
            self.error = self.error or "it died"

    def make(self):
        os.write(self.end, b"g")
        self.hear()
        self.up.close()

    @staticmethod
    def child(fn, up):
        keep = []

        def tell(**what):
            os.write(up, json.dumps(what).encode() + b"\n")

        try:
            stuck_make.new_netns()
            tell(netns=os.stat("/proc/self/ns/net").st_ino)
            os.read(0, 1)
            tell(expected=fn(keep))
        except BaseException:  # pylint: disable=broad-except
            tell(error=traceback.format_exc(limit=-2))
        os.close(up)
        signal.alarm(LIFE_S)
        os.read(0, 1)
        os._exit(0)

    def close(self):
        Maker.ends.remove(self.end)
        os.close(self.end)
        os.waitpid(self.pid, 0)

    def ss(self):
        """cookie -> (state, [(pid, fd)])"""
        out = subprocess.run(["nsenter", "-t", str(self.pid), "-n", "ss", "-tanpeH"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        found = {}
        for line in out.splitlines():
            sk = re.search(r"\bsk:([0-9a-f]+)", line)
            if sk:
                held = re.findall(r"pid=(\d+),fd=(\d+)", line)
                found[sk[1]] = (line.split()[0], sorted((int(p), int(f)) for p, f in held))
        return found


class Watch:
    """`stuck --watch`, running; what it says goes to a file, so that no pipe can fill."""

    def __init__(self, tool, *args):
        self.out = tempfile.TemporaryFile("w+")  # pylint: disable=consider-using-with
        self.p = subprocess.Popen([tool, "stuck", "--watch", "--interval", "1", "-o", "json",
                                   "--list", "--min-age", "0", *args], stdout=self.out,
                                  stderr=subprocess.PIPE, text=True)
        for line in self.p.stderr:
            if line.startswith("tcptrail: tracing"):
                return
        raise AssertionError("it did not start to trace")

    def findings(self, netns):
        """Of one namespace, or of none; the latest first."""
        rows = [json.loads(line) for line in whole(self.out).splitlines(True)
                if line.endswith("\n")]
        return [r for r in reversed(rows) if r["event"]["name"] == "tcp.finding" and
                r["tcp"].get("netns", 0) in (netns, 0)]

    def close(self):
        """Its exit status, and what it said last."""
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGINT)
        err = self.p.communicate(timeout=60)[1]
        self.out.close()
        return self.p.returncode, err
