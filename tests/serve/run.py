#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tcptrail serve` against real connections, hostile clients and a real Prometheus.

    tests/serve/run.py --tcptrail build/tcptrail [NAME...]

Needs root. Says "ok - what" or "not ok - what", last "N passed, N failed, N skipped".
"""
import argparse
import base64
import datetime
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from rig import (DEADLINE_S, Namespace, Pairs, Server, Skip, cookies, holds, refused, total, wait_for)
from tally import run_tests  # rig knows where

TESTS = []
TYPE = "text/plain; version=0.0.4; charset=utf-8"


def test(fn):
    TESTS.append(fn)
    return fn


@test
def default_port_and_errors(t):
    """the default port; 404, 405, 413 and bad filters are JSON errors"""
    with Server(t, 29293, listen=False) as s:
        assert s.json("/healthz")["status"] == "ok"
        for path, status, args in (
                ("/nothing", 404, {}), ("/api/v1/connections/ffffffffffff", 404, {}),
                ("/metrics", 405, {"method": "POST"}), ("/api/v1/stuck", 405, {"method": "DELETE"}),
                ("/metrics", 413, {"method": "POST", "body": b"x" * 70000}),
                ("/api/v1/connections?filter=state+bogus", 400, {}),
                ("/events?filter=dport+=+:x", 400, {}), ("/api/v1/connections?limit=0", 400, {}),
                ("/api/v1/connections?limit=5000", 400, {}), ("/api/v1/connections/zz", 400, {}),
                ("/api/v1/connections?cursor=-1", 400, {}),
                ("/metrics", 403, {"headers": {"Host": "rebound.example"}})):
            got, headers, body = s.request(path, **args)
            assert got == status, f"{path}: {got}, not {status}"
            error = json.loads(body)["error"]
            assert error["status"] == status and error["message"], error
            assert headers["Content-Type"] == "application/json"
        got, headers, _ = s.request("/metrics")
        assert headers["Content-Type"] == TYPE, headers
        got, headers, body = s.request("/metrics", method="HEAD")
        assert got == 200 and not body
    assert s.process.returncode == 0


@test
def options_are_checked(t):
    """an address that others reach needs a secret and a certificate; each mistake is one line"""
    for named, *args in (
            ("--listen", "--listen", "0.0.0.0"), ("--listen", "--listen", "[::]:29520"),
            ("--listen", "--listen", "nowhere"), ("--listen", "--listen", "127.0.0.1:99999"),
            ("--auth", "--auth", "/nonexistent"), ("--count", "-c", "3"),
            ("--tls-cert", "--listen", "29520", "--tls-cert", "/etc/hostname")):
        assert named in refused(t, *args), args
    with socket.create_server(("127.0.0.1", 29521)):
        assert "29521" in refused(t, "--listen", "29521")


@test
def connections_equal_ss(t):
    """connections, pages, states and /metrics equal what ss counts in the same namespace"""
    with Namespace() as ns, Pairs(20, ns) as old, \
            Server(t, 29530, "--netns", str(ns.inode)) as s, Pairs(13, ns) as new:
        for a, b in new.ends[:4]:
            a.close()           # b is left in CLOSE-WAIT
        new.ends[:4] = [(b, b) for a, b in new.ends[:4]]
        wait_for("their FINs", lambda: len(ns.ss("state", "close-wait")) == 4)
        want = cookies(ns.ss("state", "established"))
        assert len(want) == 2 * (20 + 9), len(want)

        def listed():
            got, cursor = [], 0
            while True:
                page = s.json(f"/api/v1/connections?limit=7&cursor={cursor}&"
                              f"filter=state+established")
                assert page["count"] == len(page["connections"]) <= 7
                got += [c["tcp"]["socket_id"] for c in page["connections"]]
                cursor = page.get("next_cursor")
                if not cursor:
                    assert page["total"] == len(got), (page["total"], len(got))
                    return sorted(got)

        wait_for("the list of ss", lambda: listed() == want)
        half = cookies(ns.ss("state", "close-wait"))
        assert len(half) == 4
        one = s.json(f"/api/v1/connections?filter=state+close-wait+and+sport+=+:{new.port}")
        assert sorted(c["tcp"]["socket_id"] for c in one["connections"]) == half
        states = s.json("/api/v1/states?filter=state+all")["states"]
        assert states["established"] == len(want) and states["close_wait"] == 4, states
        m = wait_for("gauges", lambda: (m := s.metrics()) and
                     total(m, "tcptrail_connections", state="established") == len(want) and m)
        assert total(m, "tcptrail_connections", state="close_wait") == 4
        assert total(m, "tcptrail_connections", state="listen") == 2
        for a, b in new.ends[4:]:
            a.close()
            b.close()
        wait_for("TIME_WAIT in ss", lambda: len(ns.ss("state", "time-wait")) == 9)
        m = wait_for("TIME_WAIT", lambda: (m := s.metrics()) and
                     total(m, "tcptrail_connections", state="time_wait") == 9 and m)
        assert s.json("/api/v1/states")["states"]["time_wait"] == 9
        assert total(m, "tcptrail_connections", state="established", role="unknown") in (0, 40, 20)
        assert total(m, "tcptrail_connections_opened_total", role="client") == 13
        assert total(m, "tcptrail_handshake_duration_seconds_count", role="client") == 13
        assert total(m, "tcptrail_state_transitions_total", to="established") == 26


@test
def a_filter_of_the_command_line(t):
    """under a FILTER that no kernel decides every count is of what it wants, TIME_WAIT too"""
    with Namespace() as ns, Pairs(3, ns) as a, Pairs(4, ns) as b, \
            Server(t, 29535, "--netns", str(ns.inode), f"not sport = :{a.port} and not dport = :{a.port}"
                   ) as mine, \
            Server(t, 29536, "--netns", str(ns.inode), "comm = nobody-is-called-so") as none:
        def states(s):
            return {k: n for k, n in s.json("/api/v1/states")["states"].items() if n}

        assert states(mine) == {"established": 8, "listen": 1}, states(mine)
        assert states(none) == {}, states(none)
        for of, n in ((a, 1), (b, 2)):
            for x, y in of.ends[:n]:
                x.close()
                y.close()
        assert len(ns.ss("state", "time-wait")) == 3
        wait_for("TIME_WAIT", lambda: states(mine) == {
            "established": 4, "listen": 1, "time_wait": 2})
        m = mine.metrics()
        assert total(m, "tcptrail_connections", state="time_wait") == 2
        assert total(m, "tcptrail_state_transitions_total", to="time_wait") == 2
        assert states(none) == {} and total(none.metrics(), "tcptrail_connections") == 0
        assert total(none.metrics(), "tcptrail_state_transitions_total") == 0
        api = mine.json("/api/v1/states?filter=state+all")["states"]
        assert api["established"] == 4 and "time_wait" not in api, api


@test
def one_connection(t):
    """/connections/ID: its ladder while it lives, its record when it has ended"""
    with Namespace() as ns, Server(t, 29531, "--netns", str(ns.inode)) as s, Pairs(1, ns) as p:
        (c,) = wait_for("it is listed", lambda: s.json(
            f"/api/v1/connections?filter=dport+=+:{p.port}")["connections"])
        socket_id = c["tcp"]["socket_id"]

        def opened():
            one = s.json(f"/api/v1/connections/{socket_id}")
            labels = [r.get("label", "") for r in one["ladder"]["rows"]]
            assert any(x.startswith("SYN seq=") for x in labels), labels
            assert any("SYN+ACK" in x for x in labels), labels
            assert [x["state"] for x in one["timeline"]][-1] == "established", one["timeline"]
        holds(opened)
        p.close()

        def ended():
            one = s.json(f"/api/v1/connections/{socket_id}")
            return one["connection"]["event"]["name"] == "tcp.connection" and one
        one = wait_for("its end", ended)
        assert one["connection"]["tcp"]["conn_state"] == "SF", one
        wait_for("both FINs", lambda: sum("FIN" in r.get("label", "")
                                          for r in ended()["ladder"]["rows"]) >= 2)


@test
def stuck_is_told(t):
    """/api/v1/stuck has a leak with its holder, and only what the filter wants"""
    with Namespace() as ns, Pairs(3, ns) as p:
        for a, _ in p.ends:
            a.shutdown(socket.SHUT_WR)
        for _, b in p.ends:
            assert b.recv(1) == b""
        with Server(t, 29532, "--netns", str(ns.inode)) as s:
            def found():
                f = s.json("/api/v1/stuck?min_age=0&filter=state+close-wait")["findings"]
                return [x for x in f if x["tcp"]["finding"]["kind"].startswith("close_wait")]
            (f,) = wait_for("the finding", found)
            assert f["tcp"]["finding"]["count"] == 3 and f["tcp"]["finding"]["advice"], f
            assert f["process"]["pid"] == os.getpid(), f
            assert not s.json("/api/v1/stuck?filter=dport+=+:1")["findings"]


@test
def what_time_brings(t):
    """a scraped server tells of a listener's overflows; the history keeps its step of 5 seconds"""
    with Namespace() as ns, Server(t, 29537, "--netns", str(ns.inode)) as s:
        ns.enter()
        try:
            full = socket.create_server(("127.0.0.1", 0), backlog=0)
            crowd = [socket.socket() for _ in range(8)]
            for c in crowd:
                c.setblocking(False)
                c.connect_ex(full.getsockname())
        finally:
            ns.leave()
        wait_for("overflows", lambda: total(s.metrics(), "tcptrail_listen_overflows_total") > 0)
        history = wait_for("history", lambda: len(h := s.json("/api/v1/states")["history"]) > 3 and h)
        at = [datetime.datetime.fromisoformat(h["@timestamp"].replace("Z", "+00:00")) for h in history]
        # A round that comes late, for the host was busy, is short of the next one's time.
        steps = [(b - a).total_seconds() for a, b in zip(at, at[1:])]
        assert 4.5 < statistics.median(steps) < 5.5, steps
        for c in [full, *crowd]:
            c.close()


class Events:
    """A client of /events that reads when it is told to."""

    def __init__(self, port, path, rcvbuf=0):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(DEADLINE_S)
        self.s.connect(("127.0.0.1", port))
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.data, self.answer = b"", None

    def records(self):
        """Those that are here whole."""
        whole = self.data.rpartition(b"\n\n")[0]
        return [json.loads(x) for x in re.findall(rb"^data: (.*)$", whole, re.M)]

    def until(self, what):
        end = time.monotonic() + DEADLINE_S
        while what not in self.data:
            assert time.monotonic() < end, f"{what!r} not in {self.data[-500:]!r}"
            self.more()
        return self.data

    def more(self):
        if not self.answer:
            self.answer = http.client.HTTPResponse(self.s)      # takes the chunks apart
            self.answer.begin()
        piece = self.answer.read1(65536)
        assert piece, "closed"
        self.data += piece


@test
def events(t):
    """/events: what the filter wants, as it comes; a slow client loses counted records only"""
    with Namespace() as ns, Server(t, 29533, "--netns", str(ns.inode)) as s:
        with Pairs(0, ns) as p, Pairs(0, ns) as other:
            e = Events(29533, f"/events?filter=dport+=+:{p.port}")
            e.until(b"retry:")
            slow = Events(29533, "/events", rcvbuf=4096)
            wait_for("two clients", lambda: s.json("/healthz")["event_clients"] == 2)
            ns.enter()
            try:
                other.more(1)
                p.more(1)
                for a, b in p.ends + other.ends:
                    a.close()
                    b.close()
            finally:
                ns.leave()
            while "tcp.connection" not in [r["event"]["name"] for r in e.records()]:
                e.more()
            for r in e.records():
                assert r["network"]["peer"]["port"] == p.port, r

            def until_lost():
                ns.enter()
                try:
                    other.more(200)
                    for a, b in other.ends:
                        a.close()
                        b.close()
                    other.ends = []
                finally:
                    ns.leave()
                return s.json("/healthz")["event_clients_lost"] > 0
            wait_for("losses", until_lost)
            slow.until(b"event: lost\ndata: {\"lost\":")
            lost = total(s.metrics(), "tcptrail_events_lost_total", reason="output_slow")
            assert lost > 0, lost
            e.s.close()
            slow.s.close()


@test
def hostile_clients(t):
    """slow-loris, floods and garbage: others are answered, the slow are cut, tracing goes on"""
    with Namespace() as ns, Server(t, 29534, "--netns", str(ns.inode)) as s:
        loris = []
        for i in range(300):
            c = socket.create_connection(("127.0.0.1", 29534), timeout=DEADLINE_S)
            c.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            loris.append(c)
        for i in range(50):
            with socket.create_connection(("127.0.0.1", 29534)) as c:
                c.sendall(os.urandom(4096))
        with Pairs(5, ns):
            pass

        def seen():
            for c in loris:
                try:
                    c.sendall(b"a")     # each byte would start a mere idle time-out anew
                except OSError:
                    pass
            try:
                return total(s.metrics(), "tcptrail_connections_closed_total", role="client",
                             conn_state="SF") == 5
            except OSError:
                return False
        wait_for("metrics behind the crowd", seen)
        for c in loris:
            try:
                while c.recv(4096):
                    pass
            except ConnectionError:
                pass
            c.close()
        assert s.json("/healthz")["status"] == "ok"


@test
def secrets_and_tls(t):
    """--auth: Basic and bearer; TLS; without either nothing is told"""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    with tempfile.TemporaryDirectory() as d:
        token, pair = os.path.join(d, "token"), os.path.join(d, "pair")
        cert, key = os.path.join(d, "cert.pem"), os.path.join(d, "key.pem")
        for path, text in ((token, "s3cret-token\n"), (pair, "ann:pass word\n")):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        basic = "Basic " + base64.b64encode(b"ann:pass word").decode()
        with Server(t, 29535, "--auth", pair) as s:
            for header, status in (({}, 401), ({"Authorization": basic}, 200),
                                   ({"Authorization": basic[:-4] + "AAA="}, 401),
                                   ({"Authorization": "Bearer ann:pass word"}, 401)):
                for path in ("/metrics", "/healthz", "/events-not", "/api/v1/states"):
                    got, _, body = s.request(path, headers=header)
                    assert got == (404 if status == 200 and "not" in path else status), (path, got)
                    assert got == 200 or "error" in json.loads(body)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        with Server(t, 29536, "--auth", token, "--tls-cert", cert, "--tls-key", key):
            trust = ssl.create_default_context(cafile=cert)
            r = urllib.request.Request("https://localhost:29536/metrics",
                                       headers={"Authorization": "Bearer s3cret-token"})
            with urllib.request.urlopen(r, context=trust, timeout=DEADLINE_S) as got:
                assert got.headers["Content-Type"] == TYPE
                assert b"tcptrail_build_info" in got.read()
            try:
                urllib.request.urlopen("https://localhost:29536/", context=trust,
                                       timeout=DEADLINE_S)
                raise AssertionError("answered without a token")
            except urllib.error.HTTPError as e:
                assert e.code == 401


@test
def textfile(t):
    """--textfile: the whole text, no socket, no file left beside it"""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "tcptrail.prom")
        with Server(t, 0, "--textfile", path, listen=False) as s:
            wait_for("the file", lambda: os.path.exists(path))
            assert "serving" not in s.said()
        with open(path, encoding="utf-8") as f:
            assert 'tcptrail_build_info{version="' in f.read()
        assert os.listdir(d) == ["tcptrail.prom"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--tcptrail", required=True)
    ap.add_argument("names", nargs="*")
    args = ap.parse_args()
    import monitoring
    import page
    import page_keys
    import protocol
    return run_tests(TESTS + protocol.TESTS + monitoring.TESTS + page.TESTS + page_keys.TESTS,
                     args.names, args.tcptrail)


if __name__ == "__main__":
    sys.exit(main())
