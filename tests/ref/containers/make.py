#!/usr/bin/env python3
"""Makes the files beside it, with Python's own zip writer and the zstd program.

np.savez writes through zipfile with force_zip64=True, so do we; the npy bytes are put
together from numpy/lib/format.py's description. Array "a" is [3, 4] f4 counting from 0,
"b" is [5] f8 of -i / 2, "k" a scalar i8 of 64.
Made with Python 3.11 and zstd 1.5.4; run in this directory to make them again.
"""
import json
import struct
import subprocess
import zipfile


def npy(descr, shape, data, version=1, fortran=False):
    text = "{'descr': %r, 'fortran_order': %r, 'shape': %r, }" % (descr, fortran, shape)
    head = 8 + (2 if version == 1 else 4)
    text += " " * (-(head + len(text) + 1) % 64) + "\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + data


A = npy("<f4", (3, 4), struct.pack("<12f", *range(12)))
B = npy("<f8", (5,), struct.pack("<5d", *(-i / 2 for i in range(5))), version=2)
K = npy("<i8", (), struct.pack("<q", 64))


def npz(name, method):
    with zipfile.ZipFile(name, "w", method) as z:
        for key, data in (("a", A), ("b", B), ("sub/k", K)):
            info = zipfile.ZipInfo(key + ".npy")
            info.compress_type = method
            with z.open(info, "w", force_zip64=True) as f:
                f.write(data)
        z.writestr(zipfile.ZipInfo("README.txt"), "not an array")
        z.comment = b"with a comment, PK\x05\x06 even"


def zst(name, pieces, *options):
    with open(name, "wb") as f:
        for piece in pieces:
            f.write(subprocess.run(["zstd", "-q", "-c", *options], input=piece,
                                   stdout=subprocess.PIPE, check=True).stdout)


npz("stored.npz", zipfile.ZIP_STORED)
npz("deflated.npz", zipfile.ZIP_DEFLATED)
open("a.npy", "wb").write(A)
zst("a.unknown-size.npy.zst", [A])  # from a pipe: frames do not say their size
zst("a.frames.npy.zst", [A[:100], A[100:130], A[130:]], "--check")
subprocess.run(["zstd", "-q", "-f", "--check", "a.npy", "-o", "a.npy.zst"], check=True)

header = {"__metadata__": {"format": "pt"},
          "b": {"dtype": "F64", "shape": [5], "data_offsets": [48, 88]},
          "a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
          "k": {"dtype": "I64", "shape": [], "data_offsets": [88, 96]}}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("abk.safetensors", "wb").write(
    struct.pack("<Q", len(text)) + text + A[128:] + B[128:] + K[128:])
