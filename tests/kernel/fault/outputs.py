# SPDX-License-Identifier: Apache-2.0
"""stdout: a full disk and a reader that takes nothing, for every view and form.

What there was is known from who made it: scenario and churn make connections of ten changes of
state each, five an end, and open and close one listener.
"""
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from fault.suite import NOTICES, SUMMARY, TABLES, valid
from tracers import until
from witness import Witness

# Every stream, and connections enough to overflow a pipe and the sink's 16 MiB behind it.
STREAMS = [("events", "text", 20000), ("events", "json", 4000), ("events", "otlp-json", 3000),
           ("conns", "text", 120000), ("conns", "json", 6000), ("conns", "otlp-json", 4000),
           ("conns", "csv", 60000), ("timeline", "text", 12000), ("timeline", "json", 6000),
           ("timeline", "otlp-json", 4000), ("watch", "text", 20000), ("watch", "json", 6000),
           ("watch", "otlp-json", 4000)]
# Views that draw pictures, with what makes them draw often.
PICTURES = [("states",), ("listeners",), ("stuck", "--watch", "--all", "--min-age", "0")]
ALL_STDOUT = [["--help"], ["--version"], ["conns", "--help"], ["stuck", "--explain", "all"],
              ["doctor"], ["doctor", "-o", "json"], ["doctor", "-o", "otlp-json"],
              ["stuck"], ["stuck", "--check"], ["stuck", "--kill"],
              *(["stuck", "-o", form, "--all", "--min-age", "0"]
                for form in ("text", "json", "otlp-json", "csv"))]
FULL = "tcptrail: stdout: No space left on device\n"


def made(view, form, connections):
    """How many records these connections are, with the header or the statistics."""
    if (view, form) == ("timeline", "text"):
        return connections
    if (view, form) == ("watch", "text"):
        return connections + 1
    return (10 * connections + 2 if view == "events" else 2 * connections) + 1


def arrived(view, form, data):
    """How many whole records."""
    if (view, form) == ("timeline", "text"):
        return data.count(b"\n\n")
    if (view, form) == ("watch", "text"):   # a header; the last line of each ends with its state
        return sum(1 for line in data.split(b"\n")[:-1]
                   if line.startswith(b"tcptrail ") or line.endswith((b"TIME-WAIT", b"CLOSED")))
    return data.count(b"\n")


def small_disk(s, name, size):
    """A file system of so many bytes; None where none may be mounted."""
    place = os.path.join(s.directory, name)
    os.makedirs(place, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place],
                      stderr=subprocess.DEVNULL).returncode:
        return None
    return place


# ---- a full disk ----------------------------------------------------------------------------------

def full_disk(s):
    """It ends the run: exit 2 and one line. All is made while the tracer is stopped, so that it is
    known what there was; a page of it is room for the header."""
    for view, form, _ in STREAMS:
        name, port = f"full disk: {view} -o {form}", s.next_port()
        place = small_disk(s, "page", 4096)
        if not place:
            return s.skip("full disk", "no tmpfs can be mounted")
        path, witness = os.path.join(place, "out"), Witness(port, port)
        try:
            with open(path, "wb") as out:
                t = s.tracer("full", view, "-o", form, "-P", str(port), "--no-snapshot",
                             "--mode", "base", stdout=out)
            why = t.wait_ready()
            time.sleep(0.2)   # the header
            t.process.send_signal(signal.SIGSTOP)
            s.make("churn", port, "--count", 200)
            t.process.send_signal(signal.SIGCONT)
            status = None if why else t.process.wait(30)
            with open(path, "rb") as f:
                got = f.read()
        finally:
            t.stop()
            witness.close()
            subprocess.run(["umount", place], check=True)
        said = s.says(f"{name}: exit 2, one line", status, NOTICES + FULL + SUMMARY, t, 2)
        if said:
            s.balance(f"{name}: in the file + lost = made", arrived(view, form, got),
                      int(said["slow"] or 0), made(view, form, 200), witness.most([port]))


def full_for_all(s):
    """What is no stream, too; and a replay, which loses what there is in the recording, however
    slowly that came."""
    for args in ALL_STDOUT:
        with open("/dev/full", "wb") as full:
            s.one_line(f"full disk: {' '.join(args)}", FULL[10:-1], [s.tcptrail, *args],
                       stdout=full)
    for picture in PICTURES:
        for form in ("text", "json", "otlp-json"):
            with open("/dev/full", "wb") as full:
                t = s.tracer("full", *picture, "-o", form, "--interval", "0.1", "-d", "20",
                             "--mode", "base", stdout=full)
            s.says(f"full disk: {' '.join(picture)} -o {form}: exit 2, one line",
                   t.process.wait(40), NOTICES + FULL + SUMMARY, t, 2)
    port, path = s.next_port(), os.path.join(s.directory, "replayed")
    t = s.tracer("record", "record", path, "-P", str(port), "--mode", "base")
    t.wait_ready()
    for _ in range(3):   # rounds apart: the first that stdout refuses is not the last
        s.make("churn", port, "--count", 7)
        time.sleep(0.3)
    t.stop()
    for view, form, _ in STREAMS:
        args = [view, "-o", form, "--from", path]
        whole = subprocess.run([s.tcptrail, *args], capture_output=True, check=True).stdout
        with open("/dev/full", "wb") as full:
            t = s.tracer("full", *args, stdout=full)
        said = s.says(f"full disk: {' '.join(args[:3])} --from: exit 2, one line",
                      t.process.wait(30), FULL + SUMMARY, t, 2)
        if said and view != "watch":   # what was open before has lines of its own there
            s.balance(f"full disk: {' '.join(args[:3])} --from: lost = made", 0,
                      int(said["slow"] or 0), arrived(view, form, whole))


# ---- a slow reader ---------------------------------------------------------------------------------

def slow_reader(s):
    """One that takes nothing before all is over: whole or counted, and the tracer's end is its own."""
    for view, form, enough in STREAMS:
        name, port = f"slow reader: {view} -o {form}", s.next_port()
        witness = Witness(port, port, busy=True)
        read, write = os.pipe()
        t = s.tracer("slow", view, "-o", form, "-P", str(port), "--buffer", "256M",
                     "--no-snapshot", "--mode", "base", stdout=write)
        os.close(write)
        t.wait_ready()
        s.churn(port, "-n", enough)
        time.sleep(0.5)
        status = t.stop(90)
        with os.fdopen(read, "rb") as pipe:
            got = pipe.read()
        witness.close()
        said = s.says(f"{name}: exit 0, says so in its last line", status, NOTICES + SUMMARY, t)
        if not said:
            continue
        s.check(f"{name}: something is lost", said["slow"], said[0])
        s.balance(f"{name}: read + lost = made", arrived(view, form, got),
                  int(said["slow"] or 0), made(view, form, enough), witness.most([port]))
        if form.endswith("json"):
            faults = sum(not valid(line) for line in got[:got.rfind(b"\n")].split(b"\n"))
            s.check(f"{name}: what arrived is whole", not faults, faults)


def late_reader(s):
    """One that sleeps until there was too much and then takes all: the rest comes whole, nothing is
    told twice."""
    port, got, wakes = s.next_port(), bytearray(), threading.Event()
    witness = Witness(port, port, busy=True)
    read, write = os.pipe()
    t = s.tracer("late", "conns", "-o", "json", "-P", str(port), "--buffer", "256M",
                 "--no-snapshot", "--mode", "base", stdout=write)
    os.close(write)
    t.wait_ready()

    def reader():
        wakes.wait()
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while some := pipe.read(1 << 20):
                got.extend(some)

    def taken():   # nothing more has come for a second
        before = len(got)
        time.sleep(1)
        return got and len(got) == before
    thread = threading.Thread(target=reader)
    thread.start()
    s.churn(port, "-n", 9000)
    t.turn()
    wakes.set()
    until(taken)
    s.churn(port, "-n", 500)
    status = t.stop(60)
    thread.join()
    witness.close()
    said = s.says("late reader: exit 0", status, NOTICES + TABLES + SUMMARY, t)
    if said:
        s.check("late reader: something is lost", said["slow"], said[0])
        s.balance("late reader: read + lost = made", got.count(b"\n"), int(said["slow"] or 0),
                  2 * 9500 + 1, witness.most([port]))
        ids = [line for line in bytes(got).split(b"\n") if b'"tcp.connection"' in line]
        s.check("late reader: those of the end are among them", len(ids) >= 1000 and
                len(set(ids)) == len(ids), len(ids))


def sockets(port):
    shown = subprocess.run(["ss", "-tanH", f"sport = :{port} or dport = :{port}"], text=True,
                           capture_output=True, check=True).stdout
    return shown.count("\n")


def held_kib(t):
    with open(f"/proc/{t.process.pid}/status", encoding="utf-8", errors="replace") as f:
        return int(re.search(r"^RssAnon:\s+(\d+)", f.read(), re.M).group(1))


def fill(t):
    """Until the sink holds all that it may, 16 MiB, and a few pictures more."""
    before, start = held_kib(t), time.monotonic()
    until(lambda: held_kib(t) - before > 15 << 10, 180)
    time.sleep(1 + (time.monotonic() - start) / 4)


def slow_pictures(s):
    """A picture has as many records as there is to show: read and lost are whole pictures."""
    port = s.next_port()
    until(lambda: not sockets(port), 120)   # those of an earlier run, in TIME_WAIT for a minute
    held = s.hold(port, 300)
    until(lambda: sockets(port) == 601)
    each = sockets(port)   # both ends of each, and the listener
    try:
        for form in ("json", "otlp-json"):
            name = f"slow reader: stuck --watch -o {form}"
            read, write = os.pipe()
            t = s.tracer("slow", *PICTURES[2], "-o", form, "--interval", "0.1", "--mode", "base",
                         "-P", str(port), "--buffer", "256M", stdout=write)
            os.close(write)
            t.wait_ready()
            fill(t)
            status = t.stop(60)
            with os.fdopen(read, "rb") as pipe:
                got = pipe.read()
            said = s.says(f"{name}: exit 0, says so in its last line", status,
                          NOTICES + SUMMARY, t)
            if said:
                s.check(f"{name}: something is lost", said["slow"], said[0])
                there = got.count(b"\n") + int(said["slow"] or 0)
                s.check(f"{name}: read + lost are whole pictures", each == 601 and
                        there >= each and there % each == 0, f"{there} of {each} each")
    finally:
        held.stdin.close()
        held.wait(60)
    for picture in PICTURES[:2]:
        name = f"slow reader: {picture[0]} -o text"
        read, write = os.pipe()
        t = s.tracer("slow", *picture, "--interval", "0.002", "--mode", "base", stdout=write)
        os.close(write)
        t.wait_ready()
        time.sleep(4)
        s.says(f"{name}: exit 0", t.stop(60), NOTICES + SUMMARY, t)
        os.close(read)


def unchunk(data):
    """The body of an HTTP answer that may be cut anywhere."""
    data, body = data.split(b"\r\n\r\n", 1)[1], b""
    while b"\r\n" in data:
        size, data = data.split(b"\r\n", 1)
        body += data[:int(size, 16)]
        data = data[int(size, 16) + 2:]
    return body


def lost_slow(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return int(re.search(r'^tcptrail_events_lost_total\{reason="output_slow"\} (\d+)$',
                             answer.read().decode(), re.M).group(1))


def slow_client(s):
    """Of /events: it reads nothing while all is made, then all. Read and lost, by the metric and by
    what it was told itself, is what there was: ten changes and two ends a connection."""
    port, traced, connections = s.next_port(), s.next_port(), 4000
    witness = Witness(traced, traced, busy=True)
    t = s.tracer("client", "serve", "--listen", f"127.0.0.1:{port}", "-P", str(traced), "--mode",
                 "base", "--no-snapshot", "--buffer", "64M")
    t.wait_ready()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.settimeout(60)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:   # it has been heard
        data += client.recv(1)
    s.churn(traced, "-n", connections)
    t.turn()
    until(lambda: lost_slow(port))
    client.settimeout(3)
    for more in (0, 1):   # what was lost is told before what comes next
        if more:
            s.churn(traced, "-n", 1)
        try:
            while True:
                piece = client.recv(1 << 20)
                assert piece, "closed"
                data += piece
        except TimeoutError:
            pass
    lost = lost_slow(port)
    client.close()
    said = s.says("slow client of serve: exit 0", t.stop(), r"tcptrail: serving http://127.0.0.1:"
                  rf"{port}/\n" + NOTICES + TABLES + SUMMARY, t)
    witness.close()
    body = unchunk(data)
    there = 12 * (connections + 1) + 4   # the listener's two, twice
    got = len(re.findall(rb"^event: tcp\.(?:state_change|connection)$", body, re.M))
    told = sum(map(int, re.findall(rb'^data: \{"lost":(\d+)\}', body, re.M)))
    if said:
        s.check("slow client of serve: something is lost", lost, lost)
        s.balance("slow client of serve: read + lost = made", got, lost, there,
                  witness.most([traced]))
        s.check("slow client of serve: it was told the same figure", told == lost, (told, lost))


FAULTS = [full_disk, full_for_all, slow_reader, late_reader, slow_pictures, slow_client]
