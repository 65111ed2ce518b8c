# SPDX-License-Identifier: Apache-2.0
"""Starting the tracer, knowing that it traces, stopping it.

Only processes started here are ever signalled, by their own handle.
"""
import os
import signal
import subprocess
import time

READY = b"tcptrail: tracing"


def whole(file):
    """All that a child wrote there until now. Not by seek(): it has the same offset, and what it
    writes meanwhile would go over what it wrote before."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def until(what, limit_s=60):
    """Is it true within that time? A limit that only a failure meets: the machine may be busy."""
    end = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Tracer:
    """One run of the program; its output goes to files, so that no pipe can fill: but where stdout
    is given."""

    def __init__(self, program, args, directory, tag, stdout=None, preexec_fn=None):
        self.tag, self.args = tag, args
        self.out = os.path.join(directory, tag + ".out")
        self.err = os.path.join(directory, tag + ".err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stderr=err,
                                            stdout=out if stdout is None else stdout,
                                            preexec_fn=preexec_fn)

    def said(self):
        with open(self.err, "rb") as f:
            return f.read()

    def wait_ready(self, limit_s=60):
        """None, or why it does not trace."""
        for _ in range(int(limit_s * 20)):
            if READY in self.said():
                return None
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        text = self.said().decode(errors="replace").strip().splitlines()
        return f"{self.tag}: {text[-1] if text else 'said nothing'} " \
               f"(status {self.process.poll()})"

    def turn(self, limit_s=60):
        """Comes back when it has taken all that the kernel had told by now, its first look at what
        was there before included (it traces before it looks). None, or what is wrong."""
        told = self.said().count(b"STATE ")
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
        for _ in range(limit_s * 50):
            if self.said().count(b"STATE ") > told:
                return None
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        return f"{self.tag}: no answer to SIGUSR1 (status {self.process.poll()})"

    def stop(self, limit_s=60):
        """Its exit status after SIGINT; None if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
