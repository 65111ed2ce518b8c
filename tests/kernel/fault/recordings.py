# SPDX-License-Identifier: Apache-2.0
"""Files beside stdout: recordings, the flight recorder, --textfile; full disks, slow pipes.

What is in a recording is counted by tape.py, which knows the format and nothing of the program.
"""
import json
import os
import re
import signal
import subprocess
import time

from fault.outputs import small_disk
from fault.suite import NOTICES, SUMMARY
from fault.tape import Tape
from tracers import until

WHERE = r"tcptrail: (?P<path>[^:\n]+): (?P<held>\d+) events, [^;\n]+B" \
        r"(?:; lost: (?P<missing>\d+) events \((?P<why>[^()\n]+)\))?\n"
FULL = "No space left on device"


def read_tape(path):
    with open(path, "rb") as f:
        return Tape(f.read())


def judge(s, name, tape, said, connections):
    """The line counts what is really in the file; that and what is lost is all that was traced."""
    s.balance(f"{name}: says what is in the file", tape.events, 0, int(said["held"]))
    s.balance(f"{name}: in the file + lost = traced", tape.events, int(said["missing"] or 0),
              int(said["events"]))
    s.check(f"{name}: something is lost, and something there",
            said["missing"] and tape.states < 10 * connections + 2, f"{tape.states} {said[0]}")


def full_recording(s):
    """Of a view: the recording ends, the view goes on, and the exit status says so. Of `record`,
    which is nothing else: so does the run. Full from the start, in the middle, and at the end."""
    for room, connections in (("4k", 100), ("64k", 4000), ("64k", 1200)):
        place = small_disk(s, "small", room)
        if not place:
            return s.skip("full disk: --record", "no tmpfs can be mounted")
        try:
            for args in (["conns", "-o", "json", "--record"], ["record"]):
                port, path = s.next_port(), os.path.join(place, "r")
                name = f"full disk of {room}: {args[0]}, {connections} connections"
                t = s.tracer("record", *args, path, "-P", str(port), "--mode", "base",
                             "--buffer", "64M")
                s.check(f"{name}: traces", t.wait_ready() is None, t.said())
                s.churn(port, "-n", connections)
                time.sleep(1.5)
                status = t.stop()
                ended = rf"tcptrail: {re.escape(path)}: {FULL}: the recording ends here\n"
                said = s.says(f"{name}: said once, exit 2", status,
                              NOTICES + ended + SUMMARY + WHERE, t, 2)
                if said:
                    s.check(f"{name}: why", said["why"] == FULL, said["why"])
                    judge(s, name, read_tape(path), said, connections)
                if args[0] == "conns":
                    with open(t.out, "rb") as f:
                        ends = sum(b'"tcp.connection"' in line for line in f)
                    s.balance(f"{name}: the view told all of them", ends, 0, 2 * connections)
                os.unlink(path)
        finally:
            t.stop()
            subprocess.run(["umount", place], check=True)


def slow_recording(s):
    """A pipe that nobody reads before all is over: whole frames, the others counted. One whose
    reader goes ends quietly."""
    fifo = os.path.join(s.directory, "fifo")
    os.mkfifo(fifo)
    for args, where in ((["record", "-"], None), (["conns", "--record", fifo], fifo)):
        name, port = f"slow reader: {args[0]} to a pipe", s.next_port()
        if where:
            read, write = os.open(where, os.O_RDONLY | os.O_NONBLOCK), None
        else:
            read, write = os.pipe()
        t = s.tracer("record", *args, "-P", str(port), "--mode", "base", "--buffer", "256M",
                     "--no-snapshot", stdout=write)
        if write is not None:
            os.close(write)
        s.check(f"{name}: traces", t.wait_ready() is None, t.said())
        s.churn(port, "-n", 20000)
        time.sleep(0.5)
        status = t.stop(90)
        os.set_blocking(read, True)
        with os.fdopen(read, "rb") as pipe:
            tape = Tape(pipe.read())
        said = s.says(f"{name}: exit 0, says so in its last line", status,
                      NOTICES + SUMMARY + WHERE, t)
        if said:
            s.check(f"{name}: why", said["why"] == "its reader is too slow", said["why"])
            judge(s, name, tape, said, 20000)
    read, write = os.pipe()
    t = s.tracer("record", "record", "-", "-P", str(s.next_port()), "--mode", "base", stdout=write)
    os.close(write)
    t.wait_ready()
    os.close(read)
    s.says("record -: its reader goes: exit 0, without a word", t.process.wait(20), NOTICES, t)


def full_flight_recorder(s):
    """What could not be written is still held, and written when there is room."""
    place = small_disk(s, "flight", "256k")
    if not place:
        return s.skip("full disk: record --last", "no tmpfs can be mounted")
    port, path = s.next_port(), os.path.join(place, "r")
    filler = os.path.join(place, "filler")
    try:
        with open(filler, "wb") as f:
            f.write(b"x" * 252 * 1024)
        t = s.tracer("flight", "record", path, "--last", "60", "-P", str(port), "--mode", "base",
                     "--no-snapshot")
        t.wait_ready()
        s.make("churn", port, "--count", 300)
        t.process.send_signal(signal.SIGUSR2)
        until(lambda: b": not kept; " in t.said())
        os.unlink(filler)
        t.process.send_signal(signal.SIGUSR2)
        until(lambda: b": kept the last " in t.said())
        status = t.stop()
        s.says("full disk: record --last: not kept, then kept; exit 0", status, NOTICES +
               rf"tcptrail: {path}: {FULL}: not kept; the last [0-9.]+ s are still held "
               rf"\(SIGUSR2\)\ntcptrail: {path}: kept the last [0-9.]+ s \(SIGUSR2\)\n" + SUMMARY,
               t)
        tape = read_tape(path)
        s.check("full disk: record --last: then all is in it", tape.states == 3002 and tape.closed,
                (tape.states, tape.closed))
        s.check("full disk: record --last: nothing beside it", os.listdir(place) == ["r"],
                os.listdir(place))
        os.unlink(path)
        with open(filler, "wb") as f:
            f.write(b"x" * 252 * 1024)
        t = s.tracer("flight", "record", path, "--last", "60", "-P", str(port), "--mode", "base",
                     "--no-snapshot")
        t.wait_ready()
        s.churn(port, "-n", 1500)
        t.process.send_signal(signal.SIGUSR2)
        until(lambda: b": not kept; " in t.said())
        s.says("full disk: record --last: nothing kept: exit 2", t.stop(), NOTICES +
               rf"tcptrail: {path}: {FULL}: not kept; the last [0-9.]+ s are still held "
               rf"\(SIGUSR2\)\n" + SUMMARY, t, 2)
    finally:
        t.stop()
        subprocess.run(["umount", place], check=True)


def full_textfile(s):
    """The file before it stays, whole; nothing is left beside it."""
    place = small_disk(s, "text", "8k")
    if not place:
        return s.skip("full disk: --textfile", "no tmpfs can be mounted")
    path = os.path.join(place, "t.prom")
    try:
        with open(path, "wb") as f:
            f.write(b"before 1\n")
        t = s.tracer("text", "serve", "--textfile", path, "--mode", "base", "-d", "3")
        status = t.process.wait(30)
        said = rf"tcptrail: --textfile: '{path}': {FULL}: the one before stays; tried again every " \
               r"15 s\n"
        s.says("full disk: --textfile: one line, exit 2", status,
               NOTICES + said + SUMMARY + "|" + NOTICES[:-len(r"tcptrail: tracing\n")] + said +
               r"tcptrail: tracing\n" + SUMMARY.replace("?P<", "?P<x"), t, 2)
        with open(path, "rb") as f:
            s.check("full disk: --textfile: the one before is whole", f.read() == b"before 1\n")
        s.check("full disk: --textfile: nothing beside it", os.listdir(place) == ["t.prom"],
                os.listdir(place))
    finally:
        subprocess.run(["umount", place], check=True)


def gap(s):
    """What a slow pipe kept out of a recording is missing in each view of it, and said there."""
    port, path = s.next_port(), os.path.join(s.directory, "gap")
    t = s.tracer("gap", "conns", "-o", "json", "--record", path, "-P", str(port), "--mode", "base")
    t.wait_ready()
    s.make("churn", port, "--count", 20)
    time.sleep(0.5)
    t.stop()
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(Tape(data).with_gap(data, 77))
    s.check("gap: is in the file", read_tape(path).gaps == 77, "")
    t = s.tracer("gap", "conns", "-o", "json", "--from", path)
    said = s.says("gap: exit 0, said in the last line", t.process.wait(30), SUMMARY, t)
    s.check("gap: the figure of the line", said and said["slow"] == "77", t.said())
    with open(t.out, encoding="utf-8") as f:
        lost = json.loads(f.read().splitlines()[-1])["tracer"]["lost"]
    s.check("gap: the ledger's figure", lost["output_slow"] == lost["total"] == 77, lost)


FAULTS = [gap, full_recording, slow_recording, full_flight_recorder, full_textfile]
