#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`--stack` against a program whose functions are known (tests/kernel/calls.c).

    tests/kernel/stack.py --tcptrail build/tcptrail --calls build/tests/calls

Needs root. The accept() half needs tracefs (mounted where it is not, for the tracer alone)
or full mode; where there is neither it must be said. Each case says "ok - what" or "not ok -
what", the last line is "N passed, N failed, N skipped".
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tracers import whole

DEADLINE_S = 60
TRACEFS = "/sys/kernel/tracing"
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls.c")
CALLED = ["leak_here", "leak_there", "leak_here", "leak_there", "leak_here"]
NO_ACCEPT = "--stack: only connect()'s stacks"


class Skip(Exception):
    pass


class Tracer:
    """tcptrail in a mount namespace with tracefs, its output in files; traces when made."""

    def __init__(self, case, *args, before=()):
        self.out = open(case.path("out"), "w+", encoding="utf-8")
        self.err = open(case.path("err"), "w+", encoding="utf-8")
        shell = (f"[ -e {TRACEFS}/events ] || mount -t tracefs tracefs {TRACEFS} 2>/dev/null; "
                 "exec \"$@\"")
        self.run = subprocess.Popen(["unshare", "-m", "sh", "-c", shell, "sh", *before,
                                     case.tcptrail, *args], stdout=self.out, stderr=self.err)
        for _ in range(DEADLINE_S * 20):
            if "tcptrail: tracing\n" in self.errors():
                return
            if self.run.poll() is not None:
                break
            time.sleep(0.05)
        self.run.kill()
        raise AssertionError(f"does not trace: {self.errors()}")

    def errors(self):
        return whole(self.err)

    def turn(self):
        """Comes back when it has read all that the kernel had told until now: it answers a signal
        before it reads, so behind the second answer it has."""
        for _ in range(2):
            told = self.errors().count("STATE ")
            self.run.send_signal(signal.SIGUSR1)
            for _ in range(DEADLINE_S * 100):
                if self.errors().count("STATE ") > told:
                    break
                time.sleep(0.01)
            else:
                raise AssertionError("no answer to SIGUSR1")

    def text(self):
        return whole(self.out)

    def until(self, what):
        """The output, when what(it) is true of it."""
        for _ in range(DEADLINE_S * 10):
            text = self.text()
            if what(text):
                return text
            time.sleep(0.1)
        raise AssertionError(f"not within {DEADLINE_S} s; printed:\n{text[-3000:]}")

    def stop(self):
        self.run.send_signal(signal.SIGINT)
        assert self.run.wait(DEADLINE_S) == 0, self.errors()
        return self.text()

    def close(self):
        if self.run.poll() is None:
            self.run.kill()
            self.run.wait()
        self.out.close()
        self.err.close()


class Calls:
    def __init__(self, program, port, *args):
        self.run = subprocess.Popen([program, str(port), *args], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)
        assert self.run.stdout.readline() == b"ready\n"
        self.pid = self.run.pid

    def close(self):
        self.run.stdin.close()
        self.run.wait(DEADLINE_S)
        self.run.stdout.close()


class Case:
    port = 29700

    def __init__(self, options, directory):
        self.tcptrail, self.calls = options.tcptrail, options.calls
        self.directory = directory
        Case.port += 1
        self.port = Case.port
        self.open = []

    def path(self, name):
        return os.path.join(self.directory, f"{self.port}.{name}")

    def trace(self, *args, **more):
        t = Tracer(self, *args, **more)
        self.open.append(t)
        return t

    def call(self, program=None, *args):
        c = Calls(program or self.calls, self.port, *args)
        self.open.append(c)
        return c

    @staticmethod
    def until(what):
        for _ in range(DEADLINE_S * 20):
            if what():
                return
            time.sleep(0.05)
        raise AssertionError(f"not within {DEADLINE_S} s")

    def close(self):
        for thing in reversed(self.open):
            thing.close()


def connections(text, role):
    found = [r for r in map(json.loads, text.splitlines())
             if r["event"]["name"] == "tcp.connection" and r["tcp"]["role"] == role]
    return sorted(found, key=lambda r: r["event"]["start"])


def functions(record):
    return [f.get("function") for f in record["tcp"].get("stack", [])]


def at_end(case, *args, program=None, calls=(), before=(), view="watch"):
    """The view's whole output, of a run in which the program made its calls and ended."""
    tracer = case.trace(view, "--stack", "-o", "json", *args, "sport", "=", f":{case.port}",
                        "or", "dport", "=", f":{case.port}", before=before)
    made = case.call(program, *calls)
    tracer.turn()
    made.close()
    tracer.until(lambda text: text.count('"tcp.connection"') >= 2 * len(CALLED))
    return tracer, tracer.stop()


def want_calls(text, calls=CALLED, role="client", inner=("connect_to",)):
    found = connections(text, role)
    assert len(found) == len(calls), f"{len(found)} connections"
    for record, name in zip(found, calls):
        names = functions(record)
        want = [*inner, name] if name else [*inner]
        assert names[1:1 + len(want)] == want, f"{names}, not {want}"
        assert all(f["module"].startswith("/") for f in record["tcp"]["stack"]), record


def connect_names_its_functions(case):
    _, text = at_end(case)
    want_calls(text)
    first = connections(text, "client")[0]["tcp"]["stack"][0]
    assert first["function"] == "connect", first


def a_thread_too(case):
    _, text = at_end(case, calls=("threads",))
    want_calls(text)


def without_frame_pointers(case):
    """Who called connect() is found all the same; those before it are not made up."""
    bare = case.path("bare")
    subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-D_GNU_SOURCE", "-fomit-frame-pointer",
                    "-pthread", "-o", bare, SOURCE], check=True)
    for args in ((), ("threads",)):
        _, text = at_end(case, program=bare, calls=args)
        want_calls(text, [None] * len(CALLED))
        for record, name in zip(connections(text, "client"), CALLED):
            wrong = set(CALLED) - {name}
            assert not wrong & set(functions(record)), (name, functions(record))
        case.port = Case.port = Case.port + 1


def accept_names_its_function(case):
    tracer, text = at_end(case)
    if NO_ACCEPT in tracer.errors():
        assert not any("stack" in r["tcp"] for r in connections(text, "server"))
        raise Skip("no tracefs here, and it says so")
    want_calls(text, [None] * len(CALLED), "server", ("take_one",))


def a_stripped_program(case):
    """Without symbols: the same places, by module and offset."""
    _, named = at_end(case)
    bare = case.path("bare")
    subprocess.run(["strip", "-s", "-o", bare, case.calls], check=True)
    case.port = Case.port = Case.port + 1
    _, text = at_end(case, program=bare)
    for a, b in zip(connections(named, "client"), connections(text, "client")):
        a = [f["offset"] for f in a["tcp"]["stack"] if f["module"] == os.path.realpath(case.calls)]
        b = [f for f in b["tcp"]["stack"] if f["module"] == bare]
        assert a == [f["offset"] for f in b] and len(b) >= 3, (a, b)
        assert not any("function" in f for f in b), b


def a_replay_is_the_same(case):
    recording = case.path("ttr")
    _, text = at_end(case, "--record", recording)
    want_calls(text)
    again = subprocess.run([case.tcptrail, "watch", "-o", "json", "--from", recording,
                            "sport", "=", f":{case.port}", "or", "dport", "=", f":{case.port}"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert again == text


def a_recording_has_it(case):
    recording = case.path("ttr")
    tracer = case.trace("record", "--stack", recording)
    made = case.call()
    tracer.turn()
    made.close()
    tracer.stop()
    port = ("sport", "=", f":{case.port}", "or", "dport", "=", f":{case.port}")
    for view in ("conns", "timeline", "watch"):
        out = subprocess.run([case.tcptrail, view, "-o", "json", "--from", recording, *port],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
        want_calls(out)
    for view in ("timeline", "watch"):
        out = subprocess.run([case.tcptrail, view, "--from", recording, *port],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
        assert out.count("made connect < connect_to < leak_here < ") == 3, out
        assert out.count("made connect < connect_to < leak_there < ") == 2, out


def a_rotated_recording_has_it(case):
    """The sockets are made in the first file; those in which they end are read alone."""
    recording = case.path("ttr")
    tracer = case.trace("record", "--stack", "--rotate-time", "2", "-P", str(case.port), recording)
    made = case.call()
    tracer.turn()
    case.until(lambda: os.path.exists(f"{recording}.2"))
    tracer.turn()
    made.close()
    tracer.turn()
    tracer.stop()
    told = []
    for name in (f for f in os.listdir(case.directory) if f.startswith(f"{case.port}.ttr")):
        out = subprocess.run([case.tcptrail, "conns", "-o", "json", "--from",
                              os.path.join(case.directory, name)],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
        ends = [r for r in map(json.loads, out.splitlines())
                if r["event"]["name"] == "tcp.connection" and
                r["network"]["local"]["port"] != case.port]
        assert not (ends and name.endswith(".1")), f"{name} has ends already"
        told += [functions(r)[1:3] for r in ends]
    assert sorted(told) == sorted(["connect_to", name] for name in CALLED), told


def stuck_names_who_leaks(case):
    args = ("--watch", "--stack", "--min-age", "0", "--interval", "0.5",
            "dport", "=", f":{case.port}")
    tracer = case.trace("stuck", "-o", "json", *args)
    calls = case.call()
    text = tracer.until(lambda text: '"count":5,' in text)
    group = [r for r in map(json.loads, text[:text.rfind("\n")].splitlines())
             if r["tcp"]["finding"]["kind"] == "close_wait_leak" and
             r["tcp"]["finding"]["count"] == 5][-1]
    assert functions(group)[:3] == ["connect", "connect_to", "leak_here"], group
    assert group["tcp"]["stack_count"] == 3 and group["process"]["pid"] == calls.pid, group
    tracer.stop()
    tracer.close()
    case.port = Case.port = Case.port + 1
    args = (*args[:-1], f":{case.port}")
    tracer = case.trace("stuck", *args)
    case.call()
    tracer.until(lambda text: all(w in text for w in (
        "  made  connect (", "        connect_to (", "        leak_here (", "(3 of these 5)")))
    tracer.stop()
    tracer.close()


def stuck_lists_each(case):
    tracer = case.trace("stuck", "-o", "json", "--list", "--watch", "--stack", "--min-age", "0",
                        "--interval", "0.5", "dport", "=", f":{case.port}")
    case.call()
    text = tracer.until(lambda text: text.count('"close_wait_leak"') >= 10)
    names = {}
    for r in map(json.loads, text[:text.rfind("\n")].splitlines()):
        names[r["tcp"]["socket_id"]] = functions(r)[2]
    assert sorted(names.values()) == sorted(CALLED), names


def without_it_nothing_is_added(case):
    tracer = case.trace("watch", "-o", "json", "dport", "=", f":{case.port}")
    case.call().close()
    tracer.until(lambda text: text.count('"tcp.connection"') >= len(CALLED))
    text = tracer.stop()
    assert len(connections(text, "client")) == len(CALLED)
    assert "stack" not in text, text


def a_process_that_is_gone(case):
    """The tracer sleeps while it comes and goes: addresses, and no word of what is there now."""
    tracer = case.trace("watch", "--stack", "-o", "json", "dport", "=", f":{case.port}")
    tracer.run.send_signal(signal.SIGSTOP)
    case.call().close()
    tracer.run.send_signal(signal.SIGCONT)
    tracer.until(lambda text: text.count('"tcp.connection"') >= len(CALLED))
    found = connections(tracer.stop(), "client")
    assert len(found) == len(CALLED)
    for r in found:
        assert r["tcp"]["stack"], r
        assert all(list(f) == ["offset"] for f in r["tcp"]["stack"]), r


def without_the_privilege(case):
    """Two capabilities and another user's process: addresses, said once."""
    drop = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
            "--inh-caps", "-all,+bpf,+perfmon", "--ambient-caps", "-all,+bpf,+perfmon",
            "--bounding-set", "-all,+bpf,+perfmon")
    if subprocess.run([*drop, case.tcptrail, "--version"], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("setpriv cannot make such a process here")
    tracer = case.trace("watch", "--stack", "-o", "json", "dport", "=", f":{case.port}",
                        before=drop)
    made = case.call()
    tracer.turn()
    made.close()
    tracer.until(lambda text: text.count('"tcp.connection"') >= len(CALLED))
    found = connections(tracer.stop(), "client")
    assert tracer.errors().count("not permitted to read") == 1, tracer.errors()
    for r in found:
        assert all(list(f) == ["offset"] for f in r["tcp"]["stack"]), r


def mistakes_are_told(case):
    for args, said in ((["stuck", "--stack"], "--stack: expected together with --watch"),
                       (["watch", "--stack", "--from", "x"], "--stack: expected without --from"),
                       (["events", "--stack"], "--stack: not an option of 'events'")):
        p = subprocess.run([case.tcptrail, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, check=False, timeout=DEADLINE_S)
        assert p.returncode == 2 and said in p.stderr and p.stderr.count("\n") == 1, p.stderr
        assert not p.stdout


CASES = [connect_names_its_functions, a_thread_too, without_frame_pointers,
         accept_names_its_function, a_stripped_program, a_replay_is_the_same, a_recording_has_it,
         a_rotated_recording_has_it, stuck_names_who_leaks, stuck_lists_each,
         without_it_nothing_is_added, a_process_that_is_gone, without_the_privilege, mistakes_are_told]


def run_case(fn, options, directory):
    case = Case(options, directory)
    try:
        fn(case)
    except Skip as why:
        print(f"ok - {fn.__name__} # SKIP {why}", flush=True)
        return "skipped"
    except Exception as e:  # pylint: disable=broad-except
        print(f"not ok - {fn.__name__}\n  {type(e).__name__}: {str(e)[:3000]}", flush=True)
        return "failed"
    finally:
        case.close()
    print(f"ok - {fn.__name__}", flush=True)
    return "passed"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tcptrail", required=True, type=os.path.abspath)
    p.add_argument("--calls", required=True, type=os.path.abspath)
    p.add_argument("--only", action="append", default=[])
    options = p.parse_args()
    if os.geteuid():
        print("ok - stacks # SKIP needs root\n0 passed, 0 failed, 1 skipped")
        return 0
    directory = tempfile.mkdtemp(prefix="tcptrail-stack-")
    count = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        for fn in CASES:
            if not options.only or fn.__name__ in options.only:
                count[run_case(fn, options, directory)] += 1
    finally:
        shutil.rmtree(directory)
    print(", ".join(f"{n} {what}" for what, n in count.items()))
    return count["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
