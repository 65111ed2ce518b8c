# SPDX-License-Identifier: Apache-2.0
"""What `tcptrail top` does to its terminal: size, modes, colours, names, slow readers, the end."""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

from screen import Top, alive, children, listed, pid_of, rows, wait_for
from rig import Namespace, Pairs, Skip

TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


@test
def resizes(t):
    """smaller, too small, larger: always whole, and it says what it needs"""
    for term in ("screen-256color", "vt100"):
        with Namespace() as ns, Pairs(30, ns), Top(t, ns, TERM=term) as s:
            resize(s)


def resize(s):
    s.wait("all", lambda: listed(s.text()) == 60)
    for cols, high in ((80, 20), (200, 60), (81, 24), (120, 40)):
        s.resize(cols, high)

        def whole():
            lines = s.lines()
            return len(lines) == high and lines[0].startswith(" tcptrail top") and \
                "q quit" in lines[-1] and listed(s.text()) == 60 and lines or None
        lines = s.wait(f"{cols}x{high}", whole)
        assert sum("CONNECTIONS" in x for x in lines) == 1, lines
        assert re.search(r"\d\d:\d\d:\d\d$", lines[0].rstrip()), lines[0]
    s.resize(60, 15)
    s.see("needs 80x20, this is 60x15")
    assert "CONNECTIONS" not in s.text()
    s.resize(20, 3)
    s.see("tcptrail top needs")
    s.resize(100, 30)
    s.see("CONNECTIONS")
    s.keys("q")
    assert s.status() == 0


@test
def ends_restore(t):
    """q, ^C, SIGTERM, SIGHUP, a crash and kill -9 all give the terminal back as it was"""
    with Namespace() as ns, Pairs(3, ns):
        for end in ("q", "C-c", signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGKILL):
            top = Top(t, ns)
            with top as s:
                s.wait("the list", lambda: listed(s.text()) == 6)
                pid = pid_of(s)
                guards = children(pid)
                assert s.alternate().startswith("1") and s.modes() != top.before
                if isinstance(end, str):
                    s.keys(end)
                else:
                    os.kill(pid, end)
                wait_for("no process", lambda: not any(map(alive, [pid, *guards])))
                s.wait(f"the terminal after {end}", lambda: s.alternate() == "0 1" and
                       s.modes() == top.before)
                text = s.see("tcptrail: tracing")
                if end not in (signal.SIGSEGV, signal.SIGKILL):
                    assert s.status() == 0, (end, text)
                    s.see(r"^tcptrail: \d+ events .*nothing lost")
                assert not any(x.startswith(" tcptrail top") for x in s.lines())
                s.run("echo", "typed")
                s.see("^typed$")


@test
def nothing_is_left(t):
    """after kill -9 no program of it is in the kernel"""
    def programs(pid):
        ids = set()
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            try:
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as f:
                    ids |= set(re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M))
            except FileNotFoundError:
                pass            # it looks at the sockets, and has closed what it looked with
        return ids

    def there():
        r = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=False)
        if r.returncode:
            raise Skip("bpftool cannot list programs here")
        return {str(p["id"]) for p in json.loads(r.stdout)}

    with Namespace() as ns, Top(t, ns) as s:
        s.see("no connection")
        ours = programs(pid_of(s))
        assert ours and ours <= there(), ours
        os.kill(pid_of(s), signal.SIGKILL)
        wait_for("programs to go", lambda: not ours & there())


@test
def suspends(t):
    """^Z gives the shell its terminal, fg takes it again"""
    with Namespace() as ns, Pairs(2, ns):
        top = Top(t, ns, command=[t, "top", "--netns", str(ns.inode)], prefix="set -m;")
        with top as s:
            s.wait("the list", lambda: listed(s.text()) == 4)
            s.keys("C-z")
            s.wait("the shell", lambda: s.alternate().startswith("0"))
            s.run("stty", "-a")
            s.see("icanon")
            s.type("fg")
            s.keys("Enter")
            s.wait("the list again", lambda: listed(s.text()) == 4)
            assert s.alternate().startswith("1")
            s.keys("q")
            s.wait("the end", lambda: s.alternate() == "0 1" and s.modes() == top.before)


@test
def slow_terminal(t):
    """a terminal that takes nothing stops neither the tracing nor SIGTERM; one that goes ends it"""
    for end in ("term", "hangup"):
        with Namespace() as ns, Pairs(5, ns) as p:
            ns.enter()
            pid, fd = pty.fork()
            if pid == 0:
                os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
                os.execv(t, [t, "top", "--interval", "0.1", "--netns", str(ns.inode)])
            ns.leave()
            try:
                seen = b""
                while b"CONNECTIONS" not in seen:
                    seen += os.read(fd, 65536)
                ns.enter()
                for _ in range(20):             # pictures that nobody reads
                    p.more(5)
                    time.sleep(0.15)
                ns.leave()
                if end == "term":
                    os.kill(pid, signal.SIGTERM)
                else:
                    os.close(fd)
                wait_for(f"the end ({end})", lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
            finally:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)


COLOR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@test
def colors(t):
    """colour by default, none with NO_COLOR, --color never or a terminal without; ASCII in C"""
    with Namespace() as ns, Pairs(3, ns) as p:
        for a, b in p.ends[:2]:
            a.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
        for wants, args, env in ((True, [], {}), (True, ["--color", "always"], {"NO_COLOR": "1"}),
                                 (False, [], {"NO_COLOR": "1"}), (False, ["--color", "never"], {}),
                                 (False, ["--color", "always"], {"TERM": "vt100"})):
            with Top(t, ns, "--min-age", "1s", *args, **env) as s:
                s.see("4 warning", "CLOSE-WAIT +2 ", r"close_wait_leak")
                assert bool(COLOR.search(s.colored())) == wants, (args, env, s.colored())
                s.keys("q")
                assert s.status() == 0
        with Top(t, ns, "--min-age", "1s", LC_ALL="C") as s:
            s.see("close_wait_leak")
            s.keys("Enter")
            s.see("SERVER")
            assert s.text().isascii(), s.text()


@test
def hostile_names(t):
    """a process named with escapes and an IPv6 peer: shown as text, in their columns"""
    with Namespace() as ns:
        ns.enter()
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            down, up = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(up)
                with open("/proc/self/comm", "wb") as f:
                    f.write(b"\x1b[31m\x9b7\xe2\x80\xae!")
                c = socket.create_connection(listener.getsockname()[:2])
                os.read(down, 1)
                c.close()
                os._exit(0)
            os.close(down)
            accepted, _ = listener.accept()
            ns.leave()
            try:
                with Top(t, ns) as s:
                    s.see(r"\\x1b\[31m\\x9b7", r"\[::1\]:\d+")
                    s.wait("its row", lambda: [
                        r for r in rows(s.text()) if re.fullmatch(
                            r" ESTAB +>?[\d.]+\w+ +\\x1b\[31m\S+ +\S* *\[::1\]:.*"
                            r" 0 +0 +\S+ +0", r.rstrip())])
                    assert "\x1b[31m" not in s.text() and "\u202e" not in s.text()
                    s.keys("q")
                    assert s.status() == 0
            finally:
                os.close(up)
                accepted.close()
                os.waitpid(pid, 0)
