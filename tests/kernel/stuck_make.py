#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes sockets that hang, each for a known reason, in a network namespace of its own.

Every maker is a function that leaves its sockets open and returns what should be said of
them: a list of {cookie, kind, state, holders: [(pid, fd)], ...}. It runs in a process that
ends, with its namespace, when its standard input is closed.
"""
import array
import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
SO_COOKIE = 57
TCP_SYNCNT, TCP_KEEPIDLE, TCP_KEEPINTVL = 7, 4, 5
FIN_WAIT_2 = 5
PORT = 26300


def new_netns():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(s, 0x8913, request))[1]
        fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", flags | 1))


def sysctl(name, value):
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as f:
        f.write(value)


def drop(rule, hook="input"):
    """Packets that match are lost from now on: underway, or (output) before they leave."""
    commands = "add table inet t\n" \
               f"add chain inet t c {{ type filter hook {hook} priority 0; }}\n" \
               f"add rule inet t c {rule} drop\n"
    subprocess.run(["nft", "-f", "-"], input=commands, text=True, check=True,
                   stdout=subprocess.DEVNULL)


def cookie(sock):
    return "%x" % struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]


def listener(port=PORT, backlog=64, address="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(backlog)
    return s


def pair(listening):
    c = socket.create_connection(listening.getsockname()[:2])
    s, _ = listening.accept()
    return c, s


def expect(sock, kind, state, holders=None, **more):
    mine = [(os.getpid(), sock.fileno())]
    return dict(cookie=cookie(sock), kind=kind, state=state,
                holders=mine if holders is None else holders, **more)


# Each keeps its sockets in `keep` and returns what is to be found.

def close_wait(keep):
    out = []
    for address in ("127.0.0.1", "::1"):
        lis = listener(address=address)
        keep.append(lis)
        for kind in ("close_wait_leak", "close_wait_unread", "close_wait_backlog"):
            c, s = pair(lis)
            if kind == "close_wait_backlog":
                c.send(b"x" * 100)
            orphan = cookie(c)
            c.close()
            if kind == "close_wait_leak":
                assert s.recv(1) == b""
            out.append(expect(s, kind, "close_wait"))
            # The other end is a minisock now: nobody holds it.
            out.append(dict(cookie=orphan, kind="fin_wait_2_orphaned", state="fin_wait_2",
                            holders=[], orphan=True))
            keep.append(s)
    return out


def shared(keep):
    """By fork: both hold it. Passed over a Unix socket: the receiver alone does."""
    lis = listener()
    c, s = pair(lis)
    c2, s2 = pair(lis)
    c.close()
    c2.close()
    ours, theirs = socket.socketpair()
    fd = s.fileno()
    tell_read, tell_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        s2.close()
        _, ancillary, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
        got = array.array("i")
        got.frombytes(ancillary[0][2][:4])
        os.write(tell_write, struct.pack("i", got[0]))
        os.read(0, 1)
        os._exit(0)
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s2.fileno()]))])
    passed = struct.unpack("i", os.read(tell_read, 4))[0]
    known = cookie(s2)
    s2.close()
    keep += [lis, s, ours]
    return [expect(s, "close_wait_unread", "close_wait",
                   holders=[(os.getpid(), fd), (pid, fd)]),
            dict(cookie=known, kind="close_wait_unread", state="close_wait",
                 holders=[(pid, passed)])]


def never_accepted(keep):
    lis = listener()
    c = socket.create_connection(lis.getsockname())
    keep += [lis, c]
    # Its cookie is nobody's to ask: it is known by its ports.
    return [dict(ports=(PORT, c.getsockname()[1]), kind="never_accepted", state="established",
                 holders=[], who=os.getpid())]


def accept_queue(keep):
    lis = listener(backlog=1)
    keep.append(lis)
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        if c.connect_ex(lis.getsockname()) not in (0, errno.EINPROGRESS):
            raise OSError("connect")
        keep.append(c)
    return [expect(lis, "accept_queue_full", "listen", severity="critical")]


def syn_queue(keep):
    lis = listener(backlog=8)
    keep.append(lis)
    drop(f"tcp sport {PORT} tcp flags == syn|ack")
    for _ in range(5):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(lis.getsockname())
        keep.append(c)
    return [expect(lis, "syn_queue_piling", "listen"),
            expect(keep[1], "syn_unanswered", "syn_sent")]


def fin_wait_2(keep):
    lis = listener()
    c, s = pair(lis)
    c.shutdown(socket.SHUT_WR)
    while c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != bytes([FIN_WAIT_2]):
        time.sleep(0.01)   # the ACK may be delayed
    keep += [lis, c, s]
    return [expect(c, "fin_wait_2_held", "fin_wait_2")]


def fin_wait_1(keep):
    lis = listener()
    held, s = pair(lis)
    left, s2 = pair(lis)
    drop("iif lo")
    known = cookie(left)
    held.shutdown(socket.SHUT_WR)
    left.close()
    keep += [lis, held, s, s2]
    return [expect(held, "fin_wait_1_peer_gone", "fin_wait_1"),
            dict(cookie=known, kind="fin_wait_1_peer_gone", state="fin_wait_1", holders=[],
                 orphan=True)]


def firewall_here(keep):
    """Nothing leaves this host: the kernel then tries again by another timer."""
    lis = listener()
    left, s = pair(lis)
    c, s2 = pair(lis)
    drop("oif lo", "output")
    known = cookie(left)
    left.close()
    c.send(b"hello")
    keep += [lis, s, c, s2]
    return [dict(cookie=known, kind="fin_wait_1_peer_gone", state="fin_wait_1", holders=[],
                 orphan=True),
            expect(c, "peer_silent", "established")]


def last_ack(keep):
    lis = listener()
    c, s = pair(lis)
    c.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b""
    known = cookie(s)
    drop("iif lo")
    s.close()
    keep += [lis, c]
    return [dict(cookie=known, kind="last_ack_peer_gone", state="last_ack", holders=[],
                 orphan=True)]


def closing(keep):
    lis = listener()
    c, s = pair(lis)
    drop(f"tcp dport {PORT}")
    c.shutdown(socket.SHUT_WR)
    s.shutdown(socket.SHUT_WR)
    keep += [lis, c, s]
    return [expect(c, "closing_stuck", "closing")]


def syn_unanswered(keep):
    drop(f"tcp dport {PORT}")
    c = socket.socket()
    c.setblocking(False)
    c.connect_ex(("127.0.0.1", PORT))
    keep.append(c)
    return [expect(c, "syn_unanswered", "syn_sent")]


def peer_silent(keep):
    lis = listener()
    c, s = pair(lis)
    k, s2 = pair(lis)
    k.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, 1)
    k.setsockopt(socket.IPPROTO_TCP, TCP_KEEPINTVL, 1)
    k.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    lis.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    w, s3 = pair(lis)
    fill(w)
    time.sleep(0.3)   # until the loss probe has said that the window is closed
    drop("iif lo")
    c.send(b"hello")
    keep += [lis, c, s, k, s2, w, s3]
    return [expect(end, "peer_silent", "established") for end in (c, k, w)]


def fill(c):
    """Writes until the peer's window is closed and the buffer is full."""
    c.setblocking(False)
    try:
        while True:
            c.send(b"x" * 65536)
    except BlockingIOError:
        pass


def zero_window(keep):
    lis = listener()
    lis.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c, s = pair(lis)
    fill(c)
    keep += [lis, c, s]
    return [expect(c, "zero_window", "established")]


def ports(keep):
    sysctl("ipv4/ip_local_port_range", "40000 40019")
    lis = listener()
    keep.append(lis)
    for _ in range(18):
        keep += pair(lis)
    return [dict(host="port_exhaustion", value=18, limit=20, severity="warning")]


def time_waits(keep):
    sysctl("ipv4/tcp_max_tw_buckets", "10")
    lis = listener()
    keep.append(lis)
    for _ in range(9):
        c, s = pair(lis)
        c.close()
        assert s.recv(1) == b""   # else the FINs may cross, and both ends wait
        s.close()
    return [dict(host="time_wait_near_limit", value=9, limit=10, severity="warning")]


def descriptors(keep):
    limit = 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    lis = listener()
    keep.append(lis)
    while True:
        try:
            keep.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            break
    return [dict(host="fd_limit_near", limit=limit, severity="critical", who=os.getpid())]


def orphan_unasked(keep):
    lis = listener()
    c, s = pair(lis)
    ports_of = (c.getsockname()[1], PORT)
    c.close()
    assert s.recv(1) == b""
    keep += [lis, s]
    return [dict(ports=ports_of, kind="fin_wait_2_orphaned", state="fin_wait_2", holders=[])]


def blocked(keep):
    """The client's old connection is forgotten there and in CLOSE_WAIT here: a new one from the
    same port waits in vain."""
    sysctl("ipv4/tcp_fin_timeout", "1")
    lis = listener()
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.bind(("127.0.0.1", PORT + 1))
    c.connect(lis.getsockname())
    s, _ = lis.accept()
    c.close()
    drop("tcp flags & rst == rst")
    deadline = 50
    while True: # until the orphan's minisock is gone
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        c.setblocking(False)
        c.bind(("127.0.0.1", PORT + 1))
        said = c.connect_ex(lis.getsockname())
        if said == errno.EINPROGRESS:
            break
        c.close()
        deadline -= 1
        if said != errno.EADDRNOTAVAIL or not deadline:
            raise OSError(said, "connect")
        signal.sigtimedwait([], 0.2)
    keep += [lis, s, c]
    return [expect(s, "close_wait_unread", "close_wait", says="a new connection from the same port"),
            expect(c, "syn_unanswered", "syn_sent", says="old CLOSE-WAIT")]


def healthy(keep):
    """Idle, half-closed and read, listening: nothing of it is stuck."""
    lis = listener()
    keep += [lis, *pair(lis)]
    for sock in keep[1:]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return []


MAKERS = [close_wait, shared, never_accepted, accept_queue, syn_queue, fin_wait_2, fin_wait_1,
          firewall_here, last_ack, closing, syn_unanswered, peer_silent, zero_window, ports, time_waits,
          descriptors, blocked, healthy]
