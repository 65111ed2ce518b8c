#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes two hosts of one: a recording of two namespaces becomes two recordings.

    split.py IN.ttr OUT-A.ttr OUT-B.ttr UPTIME_S AHEAD_S

Each namespace's events go to a file of its own. The second one's host was booted
UPTIME_S earlier (its monotonic clock is ahead by that), and its wall clock is wrong
by AHEAD_S. Written from the format's description, not with the program's code.
"""
import struct
import subprocess
import sys

FRAME, HEAD = 0x46525454, 32
EVENT, META, BEGIN, ROUND, FINISH = 1, 3, 6, 7, 11
EV_CLOCK = 28
TIMED = (ROUND, FINISH)


def zstd(data, *args):
    return subprocess.run(["zstd", "-q", "-c", *args], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def records(data):
    at = HEAD
    while at < len(data):
        magic, packed, plain, count = struct.unpack_from("<4I", data, at)
        assert magic == FRAME, f"offset {at}: no frame"
        frame = zstd(data[at + 16:at + 16 + packed], "-d")
        assert len(frame) == plain
        at += 16 + packed
        pos = 0
        for _ in range(count):
            kind, size = struct.unpack_from("<2I", frame, pos)
            yield kind, frame[pos + 8:pos + 8 + size]
            pos += 8 + (size + 7 & ~7)
        assert pos == plain


def shifted(body, offset, by):
    value, = struct.unpack_from("<Q", body, offset)
    return body[:offset] + struct.pack("<Q", (value + by) % 2**64) + body[offset + 8:]


def later(kind, body, uptime, ahead):
    """The same record of the second host."""
    if kind == META:
        text = body.rstrip(b"\0").decode()
        lines = [x for x in text.splitlines() if not x.startswith(("boot=", "host="))]
        return ("\n".join(lines + ["boot=second", "host=second"]) + "\n").encode() + b"\0"
    if kind == BEGIN:
        return shifted(shifted(body, 0, uptime), 16, ahead - uptime)
    if kind in TIMED:
        return shifted(body, 0, uptime)
    if kind == EVENT:
        body = shifted(body, 0, uptime)
        return shifted(body, 184, ahead - uptime) if body[20] == EV_CLOCK else body
    return body


def write(path, head, recs):
    frame = b"".join(struct.pack("<2I", k, len(b)) + b + bytes(-len(b) & 7) for k, b in recs)
    packed = zstd(frame, "-1", "--check", f"--stream-size={len(frame)}")
    with open(path, "wb") as f:
        f.write(head + struct.pack("<4I", FRAME, len(packed), len(frame), len(recs)) + packed)


def main():
    source, out_a, out_b, uptime, ahead = sys.argv[1:]
    uptime, ahead = int(float(uptime) * 1e9), int(float(ahead) * 1e9)
    data = open(source, "rb").read()
    recs = list(records(data))
    netns = sorted({struct.unpack_from("<I", b, 16)[0] for k, b in recs if k == EVENT} - {0})
    assert len(netns) == 2, f"{len(netns)} namespaces, expected 2"
    for path, gone, second in ((out_a, netns[1], False), (out_b, netns[0], True)):
        kept = [(k, b) for k, b in recs
                if k != EVENT or struct.unpack_from("<I", b, 16)[0] != gone]
        if second:
            kept = [(k, later(k, b, uptime, ahead)) for k, b in kept]
        write(path, data[:HEAD], kept)


main()
