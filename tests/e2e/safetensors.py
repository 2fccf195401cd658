"""safetensors files, whole or spoilt, from bytes: shared by the end-to-end tests and the seeds
of the fuzzers."""
import json
import struct


def pack(tensors):
    """{name: (dtype, shape, bytes)} as a header and the data behind it."""
    header, data = {}, b""
    for name, (dtype, shape, value) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(value)]}
        data += value
    return header, data


def safetensors(header, data=b""):
    """A file; the header is an object, or bytes that are to stand in its place."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
