#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/fleet/queues.ttr: what the recordings of the scenarios do not have.

    make_recording.py TCPTRAIL OUT

In a network namespace of its own (root): a server that has read the end of three
connections and closes none (CLOSE_WAIT), and one that does not call accept() while more
clients come than its queue takes.
"""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

PORTS = (7001, 7002)
PR_SET_NAME, CLONE_NEWNET = 15, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def comm(name):
    libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def child(name, work):
    pid = os.fork()
    if pid:
        return pid
    comm(name)
    try:
        work()
        time.sleep(30)
    finally:
        os._exit(0)


def listen(port, backlog):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(backlog)
    return s


def leaky():
    listener, held = listen(PORTS[0], 16), []
    for _ in range(3):
        c, _ = listener.accept()
        while c.recv(100):
            pass
        held.append(c)
    time.sleep(30)


def slow():
    listener = listen(PORTS[1], 1)
    time.sleep(30)
    listener.close()


def clients(port, n, close):
    held = []
    for _ in range(n):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        held.append(s)
        time.sleep(0.02)
        if close:
            s.send(b"done")
            s.close()
    time.sleep(30)


def main():
    tcptrail, out = sys.argv[1:]
    if libc.unshare(CLONE_NEWNET):
        sys.exit("make_recording: needs root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    tracer = subprocess.Popen([tcptrail, "record", "--no-hostname", "--interval", "2", "-P",
                               ",".join(map(str, PORTS)), out], stderr=subprocess.PIPE, text=True)
    for line in tracer.stderr:
        if "tracing" in line:
            break
    pids = [child("leaky", leaky), child("slow", slow)]
    time.sleep(0.3)
    pids += [child("visitors", lambda: clients(PORTS[0], 3, True)),
             child("crowd", lambda: clients(PORTS[1], 5, False))]
    time.sleep(11.5)  # --only-findings looks at 10 s; what it found then ends
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    time.sleep(1.2)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)
    return tracer.returncode


if __name__ == "__main__":
    sys.exit(main())
