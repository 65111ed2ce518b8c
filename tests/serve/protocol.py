# SPDX-License-Identifier: Apache-2.0
"""`tcptrail serve` as a neighbour on the network: its port, its certificate, each request byte for
byte, clients that go without a word."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from rig import DEADLINE_S, Server, Skip, refused, wait_for

TEN_ROUNDS_S = 40       # a dead client once kept its place for ten seconds or more


def port_has_one_listener(t):
    """a second serve on a port is refused; after the first one the port is free, TIME_WAIT or not"""
    for host, port in (("127.0.0.1", 29560), ("::1", 29561)):
        at = f"[{host}]:{port}"
        with Server(t, port, "--listen", at, listen=False):
            said = refused(t, "--listen", at)
            assert "Address already in use" in said and str(port) in said, said
            c = socket.create_connection((host, port), timeout=DEADLINE_S)
            c.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert c.recv(4096).startswith(b"HTTP/1.1 200 ")
        while c.recv(4096):     # it closed first: the minute of TIME_WAIT is at its end
            pass
        c.close()
        wait_for("its TIME_WAIT", lambda: subprocess.run(
            ["ss", "-tanH", "state", "time-wait", f"sport = :{port}"], check=True,
            capture_output=True, text=True).stdout)
        with Server(t, port, "--listen", at, listen=False):
            socket.create_connection((host, port), timeout=DEADLINE_S).close()


def certificates_are_named(t):
    """which of certificate and key is wrong"""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    with tempfile.TemporaryDirectory() as d:
        cert, key, other = (os.path.join(d, n) for n in ("cert.pem", "key.pem", "other.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        subprocess.run(["openssl", "genrsa", "-out", other], check=True, capture_output=True)
        for c, k, option, named in (
                (__file__, key, "--tls-cert:", __file__), (key, key, "--tls-cert:", key),
                (cert, __file__, "--tls-key:", __file__), (cert, cert, "--tls-key:", cert),
                (cert, other, "--tls-cert, --tls-key:", other)):
            said = refused(t, "--listen", "29562", "--tls-cert", c, "--tls-key", k)
            assert option in said and f"'{named}'" in said, (said, option, named)
            assert "ioctl" not in said, said


def opened(port, path):
    """A client of a stream whose answer has begun; its socket and the status line."""
    c = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    c.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    data = b""
    while b"retry:" not in data and b'"error"' not in data:
        piece = c.recv(4096)
        assert piece, data
        data += piece
    return c, data.split(b"\r\n")[0].decode()


def hangups_give_their_places_back(t):
    """/events: all places taken and left, ten times in the time that a dead client once kept one;
    who only sends no more is still told"""
    quiet = "/events?filter=dport+=+:1"     # nothing is ever sent that a dead client would answer
    with Server(t, 29563) as s:
        half, status = opened(29563, quiet)
        half.shutdown(socket.SHUT_WR)
        end = time.monotonic() + TEN_ROUNDS_S
        for _ in range(10):
            clients = [opened(29563, quiet) for _ in range(31)]
            assert {x[1] for x in clients} == {"HTTP/1.1 200 OK"}, clients
            assert s.json("/healthz")["event_clients"] == 32
            for c, _ in clients:
                c.close()
            wait_for("places", lambda: s.json("/healthz")["event_clients"] == 1)
        assert time.monotonic() < end, "each round took seconds"
        said = b""
        while said.count(b":\n\n") < 2:     # asked at once, and again when nothing was sent for long
            said += half.recv(4096) or b"!"
            assert b"!" not in said, said
        half.close()


def exchange(port, head):
    """Those bytes and the end of the request; all that is answered until the connection closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as c:
        c.sendall(head.encode() + b"Connection: close\r\n\r\n")
        data = b""
        while piece := c.recv(65536):
            data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    return int(top.split()[1]), top.decode().lower(), body


def requests_byte_for_byte(t):
    """HEAD has no body; absolute targets, Host and NUL as RFC 9112 has them"""
    host, evil = "Host: localhost\r\n", "Host: rebound.example\r\n"
    with Server(t, 29564) as s:
        for path in ("/", "/metrics", "/healthz", "/api/v1/states", "/events", "/nothing"):
            status, top, body = exchange(29564, f"HEAD {path} HTTP/1.1\r\n{host}")
            assert status == (404 if path == "/nothing" else 200) and not body, (path, status, body)
            assert "content-type: " in top, top
        assert s.json("/healthz")["event_clients"] == 0
        for line, headers, want in (
                ("GET http://127.0.0.1:29564/healthz HTTP/1.1", host, 200),
                ("GET HTTP://LocalHost/healthz?x=1 HTTP/1.1", evil, 200),
                ("GET http://[::1]:29564/healthz HTTP/1.1", host, 200),
                ("GET http://localhost HTTP/1.1", host, 200),
                ("GET http://rebound.example/healthz HTTP/1.1", host, 403),
                ("GET http://localhost.rebound.example/healthz HTTP/1.1", host, 403),
                ("GET http:///healthz HTTP/1.1", host, 403),
                ("GET /healthz HTTP/1.1", evil, 403), ("GET /healthz HTTP/1.1", "", 400),
                ("GET http://localhost/healthz HTTP/1.1", "", 400),
                ("GET /healthz HTTP/1.1", host + host, 400),
                ("GET /healthz HTTP/1.0", host + evil, 400), ("GET /healthz HTTP/1.0", "", 200),
                ("GET /metrics%00abc HTTP/1.1", host, 400),
                ("GET /api/v1/states?filter=%00 HTTP/1.1", host, 400),
                ("GET /healthz%2500 HTTP/1.1", host, 404)):
            status, _, body = exchange(29564, f"{line}\r\n{headers}")
            assert status == want, (line, headers, status, body)
            assert status == 200 or json.loads(body)["error"]["status"] == want, body


TESTS = [port_has_one_listener, certificates_are_named, hangups_give_their_places_back,
         requests_byte_for_byte]
