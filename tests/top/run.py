#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tcptrail top` in a real terminal (tmux) over real connections.

    tests/top/run.py --tcptrail build/tcptrail [NAME...]

Each screen is tmux's own, in a network namespace of its own; what stands on it is held
against what `states`, `stuck` and `ss` say of the same sockets. Needs root. Says "ok - what"
or "not ok - what", last "N passed, N failed, N skipped".
"""
import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from screen import Top, listed, rows, said_by, shown, states_of, wait_for
from rig import DEADLINE_S, Namespace, Pairs, cookies
from tally import run_tests  # rig knows where

TESTS = []
os.environ["PATH"] += ":/usr/sbin:/sbin"    # bpftool


def test(fn):
    TESTS.append(fn)
    return fn


# ---- what it refuses -----------------------------------------------------------------------

@test
def refusals(t):
    """no terminal, a terminal that cannot, and options that make no sense: one line, exit 2"""
    def one_line(*args, **kw):
        r = subprocess.run([t, "top", *args], capture_output=True, text=True, timeout=DEADLINE_S,
                           check=False, **kw)
        assert r.returncode == 2 and not r.stdout and r.stderr.count("\n") == 1, (args, r)
        return r.stderr

    assert "stdout is not a terminal" in one_line()
    assert "--count" in one_line("-c", "3")
    assert "--output" in one_line("-o", "json")
    assert "--allow-kill" in one_line("--allow-kill", "--from", "/dev/null")
    with Namespace() as ns:
        for term, word in (("dumb", "cannot move its cursor"), ("no-such-terminal", "terminfo")):
            with Top(t, ns, TERM=term) as s:
                assert s.status() == 2
                assert word in s.text() and s.text().count("tcptrail:") == 1, s.text()


# ---- what it shows ----------------------------------------------------------------------------

@test
def counts_equal(t):
    """each state's count equals `states -o json`, and the list `ss`"""
    with Namespace() as ns, Pairs(7, ns) as p:
        for a, _ in p.ends[:3]:
            a.shutdown(socket.SHUT_WR)          # FIN-WAIT-2 and CLOSE-WAIT
        for a, b in p.ends[3:5]:
            a.close()                           # TIME-WAIT
            b.close()
        want = states_of(t, ns)
        assert want["established"] == 4 and want["close_wait"] == 3 and want["listen"] == 1, want
        with Top(t, ns) as s:
            ns_want = {**want, "time_wait": 2}
            s.wait(f"{ns_want}", lambda: shown(s.text()) == ns_want)
            s.wait("the list", lambda: listed(s.text()) == len(rows(s.text())) == 12)
            assert len(ns.ss("-a")) == 12 + 1
            ns.enter()
            p.more(5)                           # and it goes on
            ns.leave()
            s.wait("5 more", lambda: shown(s.text()).get("established") == 14)
            assert "nothing lost" in s.text()


@test
def findings_equal(t):
    """what hangs equals `stuck -o json`: kinds, counts, owner; the advice stands below"""
    with Namespace() as ns, Pairs(4, ns) as p:
        for a, b in p.ends[:3]:
            a.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
        with Top(t, ns, "--min-age", "1s") as s:
            s.see("STUCK  0 critical, 6 warning", r"why +the peer has closed", r"\$ ss -K")
            want = [r for r in said_by(ns, t, "stuck", "-o", "json", "--min-age", "1s", "--netns",
                                       str(ns.inode)) if r["event"]["name"] == "tcp.finding"]
            kinds = {}
            for r in want:
                kind = r["tcp"]["finding"]["kind"]
                kinds[kind] = kinds.get(kind, 0) + 1

            def equal():
                text = s.text()
                got = {m[2]: int(m[1]) for m in
                       re.finditer(r"^ (?:info|warning|critical) +(\d+) +(\w+)", text, re.M)}
                return got.get("close_wait_leak") == 3 and set(got) == set(kinds) and \
                    f"[{os.getpid()}]" in text
            s.wait(f"the findings of [{os.getpid()}]: {kinds}", equal)
            s.keys("Tab", "Enter")
            s.see("FINDING", f"sk:{cookies(ns.ss('state', 'close-wait'))[0]}",
                  "since oldest", f"CLOSE-WAIT 127.0.0.1:{p.port} > 127.0.0.1:")
            s.keys("Escape")
            s.see("CONNECTIONS")


@test
def ladder(t):
    """Enter draws the selected connection's ladder; it goes on, and stays when it has ended"""
    with Namespace() as ns, Pairs(0, ns) as p, Top(t, ns) as s:
        ns.enter()
        p.more(1)
        ns.leave()
        s.wait("both ends", lambda: listed(s.text()) == 2)
        s.keys("Enter")
        s.see("SYN seq=", r"SYN\+ACK seq=", "ESTABLISHED", "CLIENT", "SERVER",
              f"127.0.0.1:{p.port}")
        assert "FIN seq=" not in s.text()
        a, b = p.ends.pop()
        a.close()
        b.close()
        s.see("FIN seq=", r"FIN\+ACK seq=", "TIME_WAIT", "LAST_ACK")
        time.sleep(1)
        s.see("SYN seq=", r"FIN\+ACK seq=")
        s.keys("Escape")
        s.see("CONNECTIONS")


@test
def filter_narrows(t):
    """/ narrows list, counts and findings while it is typed; mistakes stand beside it"""
    with Namespace() as ns, Pairs(6, ns) as p, Pairs(3, ns) as q, Top(t, ns) as s:
        s.wait("all", lambda: listed(s.text()) == 18)
        s.type("/")
        s.type(f"sport = :{q.port}")
        s.wait("three", lambda: listed(s.text()) == 3)
        s.wait("their states", lambda: shown(s.text()) == {"established": 3, "listen": 1})
        s.keys("Enter")
        s.see(f"filter: sport = :{q.port}")
        s.type("/")
        s.type(" and stat")
        s.see("'stat': expected")
        s.type("e close-wait")
        s.wait("none", lambda: listed(s.text()) == 0)
        s.see("no connection that matches")
        s.keys("Escape")
        s.wait("three again", lambda: listed(s.text()) == 3)
        s.type("/")
        s.keys("C-u", "Enter")
        s.wait("all again", lambda: listed(s.text()) == 18)
        s.type(f"/dport = :{p.port} and comm = żółw")
        s.wait("nobody's", lambda: listed(s.text()) == 0)
        s.keys(*["BSpace"] * 16)
        s.wait("six", lambda: listed(s.text()) == 6)
        s.keys("C-a", "C-u", "Enter")
        s.wait("theirs alone", lambda: len(rows(s.text())) == 6 and
               all(str(p.port) in r for r in rows(s.text())))
    with Namespace() as ns, Pairs(2, ns) as p, Pairs(5, ns) as q, \
            Top(t, ns, "-P", str(q.port)) as s:
        s.wait("the command line's", lambda: listed(s.text()) == 10)
        assert str(p.port) not in s.text()


@test
def moving(t):
    """arrows, pages, Home, End; sorted by every key and back, reversed; help; the panes"""
    with Namespace() as ns, Pairs(40, ns) as p, Top(t, ns) as s:
        s.see("CONNECTIONS  1-27 of 80, by stuck first")
        s.keys("End")
        s.see("CONNECTIONS  54-80 of 80")
        s.keys("PPage")
        s.see("CONNECTIONS  5[0-9]-7[0-9] of 80|CONNECTIONS  54-80 of 80")
        s.keys("PPage")
        s.see("CONNECTIONS  [1-3][0-9]-[4-6][0-9] of 80")
        s.keys("Home")
        s.see("CONNECTIONS  1-27 of 80")
        s.keys("NPage", "Down")
        s.see("CONNECTIONS  3-29 of 80")
        s.keys("Home", "r")
        s.see("by stuck first, reversed")
        s.keys("r")
        for a, b in (p.ends[17], p.ends[17][::-1]):
            a.sendall(b"x" * 5000)
            assert len(b.recv(5000, socket.MSG_WAITALL)) == 5000
        for name in ("state", "age", "owner", "peer", "sent", "received", "rtt", "retransmits",
                     "stuck first"):
            s.keys("s")
            s.see(f"CONNECTIONS  1-27 of 80, by {name} ")
            if name in ("sent", "received"):
                s.wait("most first", lambda: " 5000 " in rows(s.text())[0])
                s.keys("r")
                s.wait("least first", lambda: " 5000 " not in s.text())
                s.keys("r")
        s.keys("?")
        s.see("HELP", "pause", "FILTER, as ss has it")
        s.keys("?")
        s.see("CONNECTIONS")


@test
def help_fits(t):
    """80x24: the keys for help and out come first, k only where it is allowed, no help is cut"""
    with Namespace() as ns, Pairs(1, ns), Top(t, ns, cols=80, rows=24) as s:
        s.see(r"^\? help  q quit  Enter ladder .* p pause$")
        assert "k close" not in s.lines()[-1], s.lines()[-1]
        s.keys("?")
        s.see("HELP", r"^\? help  q quit  Esc back")
        for keys in (), ("End",):
            s.keys(*keys)
            time.sleep(0.3)
            assert "\u2026" not in s.text(), s.text()
        s.see("age > 5m")
    with Namespace() as ns, Pairs(1, ns), Top(t, ns, "--allow-kill", cols=80, rows=24) as s:
        s.keys("?")
        s.see(r"^\? help  q quit  Esc back .* k close$")


@test
def selection_follows(t):
    """the selection stays with its connection while others come and go before it"""
    with Namespace() as ns, Pairs(12, ns) as p, Top(t, ns) as s:
        s.wait("all", lambda: listed(s.text()) == 24)
        s.keys("s", "s", "s", "s")              # by peer
        s.see("by peer")
        s.keys(*["Down"] * 9)
        s.keys("Enter")
        first = re.search(r"sk:([0-9a-f]+)", s.see("sk:[0-9a-f]+"))[1]
        s.keys("Escape")
        ns.enter()
        p.more(6)
        ns.leave()
        s.wait("more", lambda: listed(s.text()) == 36)
        s.keys("Enter")
        s.see(f"sk:{first} ")


@test
def pause(t):
    """p: the picture stands still, the tracing goes on"""
    with Namespace() as ns, Pairs(4, ns) as p, Top(t, ns) as s:
        s.wait("all", lambda: listed(s.text()) == 8)
        s.keys("p")
        s.see("PAUSED")
        ns.enter()
        p.more(3)
        ns.leave()
        before = s.still()
        time.sleep(2.5)
        assert s.text() == before
        s.keys("Down", "s")
        s.see("by state")
        text = s.still()
        assert listed(text) == 8 and shown(text)["established"] == 8, text
        s.keys("p")
        s.wait("what came meanwhile", lambda: listed(s.text()) == 14)
        s.not_see("PAUSED")


# ---- closing --------------------------------------------------------------------------------------

@test
def kill_is_guarded(t):
    """k says how without --allow-kill; with it asks, closes that one socket, and says so"""
    with Namespace() as ns, Pairs(3, ns) as p:
        a, b = p.ends[0]
        a.shutdown(socket.SHUT_WR)
        assert b.recv(1) == b""
        cookie = cookies(ns.ss("state", "close-wait"))[0]
        with Top(t, ns) as s:
            s.wait("all", lambda: listed(s.text()) == 6)
            s.keys("k")
            s.see("--allow-kill")
            assert cookies(ns.ss("state", "close-wait")) == [cookie]
        with Top(t, ns, "--allow-kill") as s:
            s.wait("all", lambda: listed(s.text()) == 6)
            s.type("/state close-wait")
            s.wait("one", lambda: listed(s.text()) == 1)
            s.keys("Enter", "k")
            s.see(f"close CLOSE-WAIT 127.0.0.1:{p.port} > .* sk:{cookie} .*y closes")
            s.keys("n")
            s.see("nothing was closed")
            assert cookies(ns.ss("state", "close-wait")) == [cookie]
            s.keys("k")
            s.see(f"sk:{cookie}.*y closes")
            s.keys("y")
            s.see(f"^closed: .*sk:{cookie}")
            s.wait("ss", lambda: not ns.ss("state", "close-wait"))
            s.wait("none", lambda: listed(s.text()) == 0)
            assert len(ns.ss("state", "established")) == 4
            s.keys("q")
            assert s.status() == 0
            assert re.search(rf"^\S+Z CLOSE-WAIT 127.0.0.1:{p.port} > .*sk:{cookie} .*: closed",
                             s.text(), re.M), s.text()


@test
def kill_looks_again(t):
    """what has changed since it was named is left alone"""
    with Namespace() as ns, Pairs(1, ns) as p, Top(t, ns, "--allow-kill") as s:
        s.wait("both", lambda: listed(s.text()) == 2)
        s.type(f"/sport = :{p.port}")
        s.wait("one", lambda: listed(s.text()) == 1)
        s.keys("Enter", "k")
        s.see("close ESTAB .*y closes")
        p.ends[0][0].shutdown(socket.SHUT_WR)
        wait_for("CLOSE-WAIT", lambda: ns.ss("state", "close-wait"))
        s.keys("y")
        s.see("^left alone: its state has changed")
        assert len(ns.ss("state", "close-wait")) == 1
        s.keys("k")
        s.see("close CLOSE-WAIT .*y closes")
        p.ends[0][1].close()
        p.ends[0][0].close()
        s.keys("y")
        s.see("^gone already|^left alone")


# ---- recordings -----------------------------------------------------------------------------------

def record(t, ns, directory, work):
    path = os.path.join(directory, "r.ttr")
    ns.enter()
    r = subprocess.Popen([t, "record", path, "--netns", str(ns.inode)], stderr=subprocess.PIPE,
                         text=True)
    ns.leave()
    try:
        while "tcptrail: tracing" not in r.stderr.readline():
            assert r.poll() is None
        work()
    finally:
        r.send_signal(signal.SIGINT)
        r.communicate(timeout=DEADLINE_S)
    assert r.returncode == 0
    return path


@test
def recordings(t):
    """--from: the end stays until q, -d ends it, --speed and a pause hold the stream"""
    with tempfile.TemporaryDirectory() as d, Namespace() as ns, Pairs(2, ns) as p:
        def work():
            ns.enter()
            p.more(3)
            ns.leave()
            a, b = p.ends[0]
            a.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
            time.sleep(3)

        path = record(t, ns, d, work)
        r = said_by(ns, t, "states", "-o", "json", "--from", path)
        want = [x for x in r if x["event"]["name"] == "tcp.states"][-1]["tcp"]["states"]
        with Top(t, ns, command=[t, "top", "--from", path]) as s:
            s.see("recording, at its end")
            text = s.still()
            assert shown(text) == {k: v for k, v in want.items() if v}, (text, want)
            assert listed(text) == 10, text
            s.keys("k")
            s.see("a recording has no sockets")
            s.type("/state fin-wait-2")
            s.wait("one", lambda: listed(s.text()) == 1)
            s.keys("Enter", "Enter")
            s.see("FIN seq=")
            s.keys("q")
            assert s.status() == 0
        with Top(t, ns, command=[t, "top", "--from", path, "-d", "1"]) as s:
            assert s.status() == 0
        with Top(t, ns, command=["sh", "-c", f"{t} top --from - <{path}"]) as s:
            s.see("recording, at its end")
            s.keys("q")
            assert s.status() == 0
        with Top(t, ns, command=[t, "top", "--from", path, "--speed", "0.2"]) as s:
            s.see(r"recording  ")
            s.keys("p")
            s.see("PAUSED")
            before = s.still()
            time.sleep(1.5)
            assert s.text() == before
            s.keys("p")
            s.not_see("PAUSED")
            s.wait("time", lambda: s.text() != before)
            s.keys("q")
            assert s.status() == 0


@test
def durations(t):
    """-d ends it, --record tees the stream, and what was recorded shows the same again"""
    with tempfile.TemporaryDirectory() as d, Namespace() as ns, Pairs(3, ns):
        path = os.path.join(d, "tee.ttr")
        with Top(t, ns, "-d", "2", "--record", path) as s:
            assert s.status() == 0
        with Top(t, ns, command=[t, "top", "--from", path]) as s:
            s.see("recording, at its end")
            assert listed(s.still()) == 6, s.text()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--tcptrail", required=True)
    ap.add_argument("names", nargs="*")
    args = ap.parse_args()
    import terminal
    return run_tests(TESTS + terminal.TESTS, args.names, os.path.abspath(args.tcptrail))


if __name__ == "__main__":
    sys.exit(main())
