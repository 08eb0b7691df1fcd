#!/usr/bin/env python3
"""Reads a log of format version 1, from docs/wal-format.md alone, and prints what is live. Made expected.txt."""
import struct, sys, zlib
from pathlib import Path

folder = Path(sys.argv[1])
meta = max((m for m in (folder.joinpath("wal.meta").read_bytes()[s:s + 4096] for s in (0, 4096))
            if struct.unpack_from("<I", m, 124)[0] == zlib.crc32(m[:124])), key=lambda m: struct.unpack_from("<Q", m, 32))
lowest, highest, live_first = struct.unpack_from("<3Q", meta, 40)
entries, states, files = {}, {}, []
for number in range(lowest, highest + 1):
    files.append(folder.joinpath(f"seg-{number:020}.wal").read_bytes())
for number, data in zip(range(lowest, highest + 1), files):
    assert struct.unpack_from("<I", data, 124)[0] == zlib.crc32(data[:124])
    first_index, = struct.unpack_from("<Q", data, 48)
    entries = {index: entry for index, entry in entries.items() if index < first_index}
    end = struct.unpack_from("<Q", files[number - lowest + 1], 56)[0] if number < highest else len(data)
    chain, at = struct.unpack_from("<I", data, 64)[0], 4096
    while at < end and data[at + 36]:
        check, length, index, aux, payload_check, prev, _, kind, flags, slot = struct.unpack_from("<IIQQIIIBBH", data, at)
        payload = data[at + 40:at + 40 + length]
        assert check == zlib.crc32(data[16:40] + struct.pack("<Q", at) + data[at + 4:at + 40]) and prev == chain
        assert payload_check == zlib.crc32(payload)
        if kind == 1:
            entries[index] = (aux, payload)
        elif kind == 2:
            states[slot] = (index, aux, payload)
        elif kind == 3:
            entries = {old: entry for old, entry in entries.items() if old < index}
        chain, at = check, at + (40 + length + 7) // 8 * 8
for index, (aux, payload) in sorted(entries.items()):
    if index >= live_first:
        print(f"entry {index} {aux} {payload.hex()}")
for slot, (index, aux, payload) in sorted(states.items()):
    print(f"state {slot} {index} {aux} {payload.hex()}")
