# SPDX-License-Identifier: Apache-2.0
"""Where records go: full disks and slow readers, for every output."""
import os
import signal
import subprocess
import time

from fault.suite import lost_of, valid
from tracers import READY

# Every stream, and connections enough to overflow a pipe and the sink's 4 MiB behind it.
OUTPUTS = [("events", "text", 8000), ("events", "json", 2000), ("conns", "text", 32000),
           ("conns", "json", 3000), ("conns", "csv", 16000), ("timeline", "text", 4000),
           ("watch", "text", 6000)]


def full_disk(s):
    """A full disk ends the run: exit 2 and one line, whatever the output."""
    for view, form, _ in OUTPUTS:
        port = s.next_port()
        err = os.path.join(s.directory, "full.err")
        with open("/dev/full", "wb") as out, open(err, "wb") as to:
            t = subprocess.Popen([s.tcptrail, view, "-o", form, "-P", str(port)], stdout=out,
                                 stderr=to, stdin=subprocess.DEVNULL)
        try:
            # A header may end it before the first connection.
            for _ in range(100):
                if t.poll() is not None or READY in open(err, "rb").read():
                    break
                time.sleep(0.05)
            s.make("churn", port, "--count", 50)
            status = t.wait(15)
        except subprocess.TimeoutExpired:
            t.kill()
            status = t.wait()
        said = open(err, "rb").read()
        s.check(f"full disk: {view} -o {form}: exit 2, one line",
                status == 2 and b"tcptrail: stdout: No space left on device\n" in said,
                f"status {status}\n{said.decode()}")


def full_recording(s):
    """The recording ends, the view goes on, and the exit status says so."""
    place = os.path.join(s.directory, "small")
    os.mkdir(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place]).returncode:
        return s.skip("full disk: --record", "no tmpfs can be mounted")
    try:
        port, path = s.next_port(), os.path.join(place, "r")
        t = s.tracer("record", "conns", "-o", "json", "-P", str(port), "--record", path)
        s.check("full disk: --record: traces", t.wait_ready() is None, t.said())
        s.make("churn", port, "--count", 1000)
        time.sleep(1)
        status, said = t.stop(), t.said().decode()
        ends = sum(b'"tcp.connection"' in line for line in open(t.out, "rb"))
        s.check("full disk: --record: said once, exit 2",
                status == 2 and said.count("No space left on device") == 1, f"{status}\n{said}")
        s.check("full disk: --record: the view told all of them", ends == 2000, ends)
    finally:
        subprocess.run(["umount", place], check=True)


def slow_reader(s):
    """A reader that takes nothing: records are whole or counted, and the count is right."""
    for view, form, enough in OUTPUTS:
        port = s.next_port()
        read, write = os.pipe()
        args = [view, "-o", form, "-P", str(port), "--buffer", "64M", "--no-snapshot"]
        err = os.path.join(s.directory, "slow.err")
        other = s.tracer("whole", *args)
        with open(err, "wb") as to:
            t = subprocess.Popen([s.tcptrail, *args], stdout=write, stderr=to,
                                 stdin=subprocess.DEVNULL)
        os.close(write)
        while READY not in open(err, "rb").read() and t.poll() is None:
            time.sleep(0.05)
        other.wait_ready()
        s.churn(port, "-n", enough)
        time.sleep(0.5)
        t.send_signal(signal.SIGINT)
        other.stop(60)
        try:
            status = t.wait(30)
        except subprocess.TimeoutExpired:
            t.kill()
            status = t.wait()
        with os.fdopen(read, "rb") as pipe:
            got = pipe.read()
        said = open(err).read()
        whole = open(other.out, "rb").read()
        lost = lost_of(said, "output slow")
        name = f"slow reader: {view} -o {form}"
        s.check(f"{name}: exit 0", status == 0, f"{status}\n{said}")
        if form == "json":
            # the other tracer's times are its own: it is the number that must agree
            read_whole = got.count(b"\n")
            s.check(f"{name}: read + lost = what there was", lost and
                    read_whole + lost == whole.count(b"\n"),
                    f"{read_whole} + {lost} != {whole.count(chr(10).encode())}")
            faults = sum(not valid(line) for line in got.split(b"\n")[:-1])
            s.check(f"{name}: what arrived is whole", not faults, faults)
        else:
            s.check(f"{name}: says that records are lost", lost and len(got) < len(whole),
                    f"{len(got)} of {len(whole)}\n{said}")


FAULTS = [full_disk, full_recording, slow_reader]
