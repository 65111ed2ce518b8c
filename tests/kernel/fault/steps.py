# SPDX-License-Identifier: Apache-2.0
"""A program stopped at its n-th system call of a kind: what a time in ms only happens to hit."""
import ctypes
import os
import platform
import signal
import subprocess

TRACEME, SYSCALL, DETACH, SETOPTIONS, SYSCALL_INFO = 0, 24, 17, 0x4200, 0x420e
SYSGOOD, EXITKILL = 1, 1 << 20
ENTRY = 1
NUMBERS = {"x86_64": {"bpf": 321, "read": 0, "write": 1, "close": 3, "epoll_wait": 232},
           "aarch64": {"bpf": 280, "read": 63, "write": 64, "close": 57, "epoll_wait": 22}}
CALLS = NUMBERS.get(platform.machine())
PROG_LOAD, RAW_TRACEPOINT_OPEN, LINK_CREATE, ITER_CREATE = 5, 17, 28, 33
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Info(ctypes.Structure):
    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
                ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64), ("nr", ctypes.c_uint64),
                ("args", ctypes.c_uint64 * 6), ("more", ctypes.c_uint64 * 2)]


class Stepped:
    """Runs argv up to a system call's entry; then it goes on as any process."""

    def __init__(self, argv, out, err):
        with open(out, "wb") as o, open(err, "wb") as e:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=o, stderr=e,
                                            preexec_fn=lambda: libc.ptrace(TRACEME, 0, None, None))
        self.err, self.pid = err, self.process.pid
        os.waitpid(self.pid, 0)
        self.ask(SETOPTIONS, SYSGOOD | EXITKILL)

    def ask(self, what, data=0, address=0):
        return libc.ptrace(what, self.pid, ctypes.c_void_p(address), ctypes.c_void_p(data))

    def said(self):
        with open(self.err, "rb") as f:
            return f.read()

    def until(self, call, commands=(), nth=1):
        """True at the entry of the nth such call; False when it ended before."""
        info = Info()
        while nth:
            self.ask(SYSCALL, self.passed)
            _, status = os.waitpid(self.pid, 0)
            self.passed = 0
            if not os.WIFSTOPPED(status):
                self.process.returncode = os.waitstatus_to_exitcode(status)
                return False
            if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
                self.passed = os.WSTOPSIG(status)
                continue
            self.ask(SYSCALL_INFO, ctypes.addressof(info), ctypes.sizeof(info))
            nth -= info.op == ENTRY and info.nr == CALLS[call] and \
                (not commands or info.args[0] in commands)
        return True

    passed = 0

    def end(self, number):
        """Sends the signal where it stands and lets it go; its exit status."""
        os.kill(self.pid, number)
        self.ask(DETACH)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
