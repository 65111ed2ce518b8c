# SPDX-License-Identifier: Apache-2.0
"""A recording, read by the words of user/core/stream/recording.h alone: what is really in the file."""
import ctypes
import ctypes.util
import struct

MAGIC, HEAD_SIZE = b"\x89TTR\r\n\x1a\n", 32
FRAME, FRAME_MAGIC = struct.Struct("=IIII"), 0x46525454
EVENT, STATS, GAP, CLOSED = 1, 9, 12, 13
EV_STATE, KIND_AT = 1, 20


def kinds(plain):
    found, at = set(), 0
    while at < len(plain):
        kind, size = struct.unpack_from("=II", plain, at)
        found.add(kind)
        at += 8 + (size + 7) // 8 * 8
    return found


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

    def pack(self, plain, records):
        out = ctypes.create_string_buffer(len(plain) + 1024)
        self.zstd.ZSTD_compress.restype = ctypes.c_size_t
        size = self.zstd.ZSTD_compress(out, ctypes.c_size_t(len(out)), plain,
                                       ctypes.c_size_t(len(plain)), 1)
        return FRAME.pack(FRAME_MAGIC, size, len(plain), records) + out.raw[:size]

    def with_gap(self, data, count):
        """The same recording with a gap before its last statistics."""
        frames, at = [], HEAD_SIZE
        while at < len(data):
            _, packed, plain, records = FRAME.unpack_from(data, at)
            at += FRAME.size
            frames.append((self.unpack(data[at:at + packed], plain), records))
            at += packed
        gap = struct.pack("=IIQQ", GAP, 16, 0, count)
        out, done = b"", False
        for plain, records in reversed(frames):
            if not done and STATS in kinds(plain):
                plain, records, done = gap + plain, records + 1, True
            out = self.pack(plain, records) + out
        assert done
        return data[:HEAD_SIZE] + out

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
