# SPDX-License-Identifier: Apache-2.0
"""A recording, read by the words of user/core/recording.h alone: what is really in the file."""
import ctypes
import ctypes.util
import struct

MAGIC, HEAD_SIZE = b"\x89TTR\r\n\x1a\n", 32
FRAME, FRAME_MAGIC = struct.Struct("=IIII"), 0x46525454
EVENT, GAP, CLOSED = 1, 12, 13
EV_STATE, KIND_AT = 1, 20


class Tape:
    """Whole frames count; a file may be cut anywhere."""

    def __init__(self, data):
        self.events = self.states = self.gaps = 0
        self.closed = False
        self.zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
        self.zstd.ZSTD_decompress.restype = ctypes.c_size_t
        assert not data or data[:8] == MAGIC, data[:32]
        at = HEAD_SIZE
        while len(data) - at >= FRAME.size:
            magic, packed, plain, _ = FRAME.unpack_from(data, at)
            assert magic == FRAME_MAGIC, at
            at += FRAME.size
            if len(data) - at < packed:
                break
            self.frame(self.unpack(data[at:at + packed], plain))
            at += packed

    def unpack(self, packed, plain):
        out = ctypes.create_string_buffer(plain)
        got = self.zstd.ZSTD_decompress(out, ctypes.c_size_t(plain), packed,
                                        ctypes.c_size_t(len(packed)))
        assert got == plain, got
        return out.raw

    def frame(self, data):
        at = 0
        while at < len(data):
            kind, size = struct.unpack_from("=II", data, at)
            at += 8
            self.events += kind == EVENT
            self.states += kind == EVENT and data[at + KIND_AT] == EV_STATE
            self.gaps += struct.unpack_from("=QQ", data, at)[1] if kind == GAP else 0
            self.closed |= kind == CLOSED
            at += (size + 7) // 8 * 8
