# SPDX-License-Identifier: Apache-2.0
"""`tcptrail serve` as a neighbour on the network: its port, its certificate, each request byte for
byte, clients that go without a word."""
import socket
import subprocess

from rig import DEADLINE_S, Server, refused


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
        waiting = subprocess.run(["ss", "-tanH", "state", "time-wait", f"sport = :{port}"],
                                 check=True, capture_output=True, text=True).stdout
        assert waiting, "nothing waits in TIME_WAIT"
        with Server(t, port, "--listen", at, listen=False):
            socket.create_connection((host, port), timeout=DEADLINE_S).close()


TESTS = [port_has_one_listener]
