"""Samples and token ids in the forms that other programs leave them in give what npy gives."""
import json
import os
import struct
import unittest

from program import SMALL, Case

SAE = os.path.join(SMALL, "saes")
D, SEQUENCES, LENGTH = 12, 12, 16


def read_npy(path, code):
    with open(path, "rb") as f:
        data = f.read()
    n, = struct.unpack("<H", data[8:10])
    body = data[10 + n:]
    return list(struct.unpack("<%d%s" % (len(body) // struct.calcsize(code), code), body))


# --- Arrow IPC, byte by byte: FlatBuffers written front to back --------------------------------

class Flat:
    """A table is its vtable, itself, then what its fields point to."""

    def __init__(self):
        self.b = bytearray(4)

    def at(self, place, value, code="<I"):
        struct.pack_into(code, self.b, place, value)

    def table(self, fields):
        """fields: None, (code, number), or a function that writes what is pointed to and
        returns where."""
        sizes = [0 if f is None else 4 if callable(f) else struct.calcsize("<" + f[0])
                 for f in fields]
        offsets, at = [], 4
        for size in sizes:
            offsets.append(at if size else 0)
            at += size
        vtable = len(self.b)
        self.b += struct.pack("<HH%dH" % len(fields), 4 + 2 * len(fields), at, *offsets)
        table = len(self.b)
        self.b += struct.pack("<i", table - vtable) + bytes(at - 4)
        for f, offset in zip(fields, offsets):
            if callable(f):
                place = table + offset
                self.at(place, f() - place)
            elif f is not None:
                self.at(table + offset, f[1], "<" + f[0])
        return table

    def text(self, s):
        def write():
            start = len(self.b)
            self.b += struct.pack("<I", len(s)) + s.encode() + b"\0"
            return start
        return write

    def tables(self, makers):
        def write():
            start = len(self.b)
            self.b += struct.pack("<I", len(makers)) + bytes(4 * len(makers))
            for i, make in enumerate(makers):
                place = start + 4 + 4 * i
                self.at(place, make() - place)
            return start
        return write

    def structs(self, rows):
        def write():
            start = len(self.b)
            self.b += struct.pack("<I", len(rows))
            for row in rows:
                self.b += struct.pack("<qq", *row)
            return start
        return write

    def done(self, root):
        self.at(0, root)
        return bytes(self.b) + bytes(-len(self.b) % 8)


FLOAT, INT, UTF8, LIST, FIXED = 3, 2, 5, 12, 16


def field(f, name, type_, parameters, children=()):
    return lambda: f.table([f.text(name), ("b", 0), ("B", type_),
                            lambda: f.table(parameters), None,
                            f.tables([field(f, *c) for c in children])])


def message(f, header_type, header, body):
    meta = f.done(f.table([("h", 4), ("B", header_type), header, ("q", len(body))]))
    return struct.pack("<Ii", 0xFFFFFFFF, len(meta)) + meta + body


def schema(columns):
    f = Flat()
    return message(f, 1, lambda: f.table([("h", 0), f.tables([field(f, *c) for c in columns])]),
                   b"")


def batch(rows, nodes, buffers, compressed=False):
    f, body, places = Flat(), b"", []
    for b in buffers:
        places.append((len(body), len(b)))
        body += b + bytes(-len(b) % 8)
    fields = [("q", rows), f.structs(nodes), f.structs(places)]
    if compressed:
        fields.append(lambda: f.table([("b", 0)]))
    return message(f, 3, lambda: f.table(fields), body)


def i32(values):
    return struct.pack("<%di" % len(values), *values)


def f32(values):
    return struct.pack("<%df" % len(values), *values)


END = struct.pack("<II", 0xFFFFFFFF, 0)
HOOK = "blocks.1.hook_resid_pre"
COLUMNS = [("id", UTF8, []),
           (HOOK, LIST, [], [("item", LIST, [], [("item", FLOAT, [("h", 1)])])]),
           ("token_ids", FIXED, [("i", LENGTH)], [("item", INT, [("i", 32), ("b", 1)])])]


class Samples(Case):
    def setUp(self):
        super().setUp()
        self.acts = read_npy(os.path.join(SMALL, "acts.npy"), "e")
        code = "i" if os.path.getsize(os.path.join(SMALL, "tokens.npy")) > 600 else "H"
        self.tokens = read_npy(os.path.join(SMALL, "tokens.npy"), code)
        self.assertEqual((len(self.acts), len(self.tokens)),
                         (D * SEQUENCES * LENGTH, SEQUENCES * LENGTH))
        self.sae = os.path.join(SAE, sorted(os.listdir(SAE))[0])

    def write(self, name, data):
        path = os.path.join(self.tmp, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def page(self, *words):
        return self.answer("feature", self.sae, "3", *words)

    def same(self, *words, tokens=True):
        """What the feature does, and in which words, is what the npy files say."""
        want = self.page("--acts", os.path.join(SMALL, "acts.npy"),
                         *(["--tokens", os.path.join(SMALL, "tokens.npy")] if tokens else []))
        self.assertEqual(self.page(*words), want)

    def rows(self, first, end):
        return (self.acts[first * LENGTH * D:end * LENGTH * D],
                self.tokens[first * LENGTH:end * LENGTH])

    def arrow_batch(self, first, end, skew=0):
        """Rows [first, end); skew: values of another row in front, as in a slice."""
        acts, tokens = self.rows(first, end)
        n = end - first
        outer = [skew + i * LENGTH for i in range(n + 1)]
        inner = [i * D for i in range(skew + n * LENGTH + 1)]
        texts = "".join("r%02d" % i for i in range(first, end)).encode()
        nodes = [(n, 0), (n, 0), (skew + n * LENGTH, 0), (len(acts) + skew * D, 0), (n, 0),
                 (n * LENGTH, 0)]
        buffers = [b"", i32(range(0, 3 * n + 1, 3)), texts, b"", i32(outer), b"", i32(inner),
                   b"", f32([9.0] * (skew * D) + acts), b"", b"", i32(tokens)]
        return batch(n, nodes, buffers)

    def safetensors(self, name, tensors):
        header, data = {}, b""
        for key, (dtype, shape, block) in tensors.items():
            header[key] = {"dtype": dtype, "shape": shape,
                           "data_offsets": [len(data), len(data) + len(block)]}
            data += block
        text = json.dumps(header).encode()
        return self.write(name, struct.pack("<Q", len(text)) + text + data)

    def test_arrow_streams(self):
        stream = schema(COLUMNS) + self.arrow_batch(0, 5) + self.arrow_batch(5, 12, 2) + END
        self.same("--acts", self.write("a/data.arrow", stream))
        self.same("--acts", self.write("b/x.arrow", stream[:-8]))
        self.same("--acts", self.write("c/x.arrow", b"ARROW1\0\0" + stream + b"footer"))
        self.same("--acts", self.write("d/x.arrow", stream) + ":" + HOOK)

    def test_datasets_as_they_are_saved(self):
        for i, (first, end) in enumerate(((0, 4), (4, 12))):
            self.write("set/data-%05d-of-00002.arrow" % (1 - i),
                       schema(COLUMNS) + self.arrow_batch(first, end) + END)
        self.write("set/dataset_info.json", b"{}")
        self.write("set/state.json", json.dumps({"_data_files": [
            {"filename": "data-00001-of-00002.arrow"},
            {"filename": "data-00000-of-00002.arrow"}]}).encode())
        self.same("--acts", self.tmp + "/set")
        path = self.write("set/state.json", b'{"_data_files": [{"filename": "../a"}]}')
        self.assertIn("../a: cannot resolve", self.fails(1, "scan", self.sae, "--acts",
                                                          self.tmp + "/set"))
        self.write("set/state.json", b'{"_data_files": []}')
        self.assertEqual(self.fails(1, "scan", self.sae, "--acts", self.tmp + "/set"),
                         "saescope: %s: no list of files (found no _data_files, expected some)\n"
                         % path)

    def test_chunks_with_tokens_and_masks(self):
        for i, (first, end) in enumerate(((0, 7), (7, 12))):
            acts, tokens = self.rows(first, end)
            n = end - first
            self.safetensors("acts/chunk-%08d.safetensors" % i, {
                "activation": ("F32", [n, LENGTH, D], f32(acts)),
                "tokens": ("I64", [n, LENGTH], struct.pack("<%dq" % len(tokens), *tokens)),
                "mask": ("BOOL", [n, LENGTH], b"\1" * (n * LENGTH))})
        self.same("--acts", self.tmp + "/acts")
        self.same("--acts", self.tmp + "/acts/chunk-*.safetensors")
        os.rename(self.tmp + "/acts", self.tmp + "/[acts]")
        self.same("--acts", self.tmp + "/[acts]")
        os.rename(self.tmp + "/[acts]", self.tmp + "/acts")
        os.unlink(self.tmp + "/acts/chunk-00000001.safetensors")
        self.safetensors("acts/chunk-00000001.safetensors", {
            "activation": ("F32", [5, LENGTH, D], f32(acts))})
        self.same("--acts", self.tmp + "/acts", tokens=False)

    def test_raw_token_ids(self):
        acts = os.path.join(SMALL, "acts.npy")
        for name, code in (("uint16", "H"), ("uint32", "I"), ("int32", "i"), ("int64", "q")):
            path = self.write(name + ".bin", struct.pack(
                "<%d%s" % (len(self.tokens), code), *self.tokens))
            self.same("--acts", acts, "--tokens", path, "--token-dtype", name)
        path = self.write("odd.bin", b"\1\0\1")
        self.assertEqual(
            self.fails(1, "scan", self.sae, "--acts", acts, "--tokens", path, "--token-dtype",
                       "uint16"),
            "saescope: %s: not raw uint16 numbers (found 3 bytes, expected a multiple of 2)\n" % path)
        self.assertEqual(
            self.fails(2, "scan", self.sae, "--acts", acts, "--token-dtype", "uint16"),
            "saescope: --token-dtype: only together with --tokens\n")

    def test_what_is_no_sample(self):
        one = schema(COLUMNS)
        acts, tokens = self.rows(0, 1)
        ragged = batch(2, [(2, 0), (2, 0), (3, 0), (3, 0), (2, 0), (32, 0)],
                       [b"", i32([0, 0, 0]), b"", b"", i32([0, 2, 3]), b"", i32([0, 1, 2, 3]),
                        b"", f32([1, 2, 3]), b"", b"", i32([0] * 32)])
        nulls = batch(1, [(1, 0), (1, 1), (LENGTH, 0), (LENGTH * D, 0), (1, 0), (LENGTH, 0)],
                      [b"", i32([0, 0]), b"", b"\0", i32([0, LENGTH]), b"",
                       i32(range(0, LENGTH * D + 1, D)), b"", f32(acts), b"", b"", i32(tokens)])
        packed = batch(1, [(1, 0)] * 6, [b""] * 12, compressed=True)
        os.mkdir(self.tmp + "/empty")
        for path, says in (
                (self.tmp + "/empty", "no samples in the directory (found none, expected "
                                      ".safetensors, .npy or .arrow files)"),
                (self.write("ragged.arrow", one + ragged + END), "not an array of that kind"),
                (self.write("nulls.arrow", one + nulls + END), "not an array of that kind"),
                (self.write("packed.arrow", one + packed + END), "a compressed batch is not read "
                 "(found LZ4 or zstd, expected none)"),
                (self.write("none.arrow", one + END), "FILE:KEY must pick an array"),
                (self.write("early.arrow", self.arrow_batch(0, 1)), "no schema at byte"),
                (self.write("two.arrow", one + one), "a second schema (found two, expected one)"),
                (self.write("cut.arrow", (one + self.arrow_batch(0, 3))[:-40]), "cut off at byte"),
                (self.write("x.parquet", b"PAR1" + bytes(40)), "this is not read (found a Parquet file")):
            line = self.fails(1, "scan", self.sae, "--acts", path)
            self.assertTrue(line.startswith("saescope: %s: %s" % (path, says)), line)

    def test_damage(self):
        """Every byte of the schema and of a batch's metadata, set to something else."""
        good = bytearray(schema(COLUMNS) + self.arrow_batch(0, 1) + END)
        for i in range(0, len(good) - 900, 7):
            bad = bytearray(good)
            bad[i] ^= 0x81
            path = self.write("bad.arrow", bytes(bad))
            r = self.run_program("info", self.sae, "--acts", path)
            self.assertIn(r.status, (0, 1), (i, r.err))
            self.assertNotIn(b"ERROR", r.err)


if __name__ == "__main__":
    unittest.main()
