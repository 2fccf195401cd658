"""Samples and token ids in the forms that other programs leave them in give what npy gives."""
import json
import os
import struct
import unittest

from program import SMALL, Case
from safetensors import pack, safetensors

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


def footer(columns):
    """What ends a file: the schema once more."""
    f = Flat()
    fields = f.tables([field(f, *c) for c in columns])
    body = f.done(f.table([("h", 4), lambda: f.table([("h", 0), fields])]))
    return body + struct.pack("<i", len(body)) + b"ARROW1"


def batch(rows, nodes, buffers, codec=None, pack=lambda b, i: b):
    f, body, places = Flat(), b"", []
    for i, b in enumerate(buffers):
        b = pack(b, i) if b else b
        places.append((len(body), len(b)))
        body += b + bytes(-len(b) % 8)
    fields = [("q", rows), f.structs(nodes), f.structs(places)]
    if codec is not None:
        fields.append(lambda: f.table([("b", codec)]))
    return message(f, 3, lambda: f.table(fields), body)


def zstd(data, step=1 << 16):
    """A frame of blocks that are stored."""
    blocks = [data[i:i + step] for i in range(0, len(data), step)] or [b""]
    return struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data)) + b"".join(
        struct.pack("<I", len(b) << 3 | (i == len(blocks) - 1))[:3] + b
        for i, b in enumerate(blocks))


def zstd_buffer(b, i):
    """As Arrow packs a buffer: the size, -1 where it is left as it is."""
    return struct.pack("<q", -1) + b if i % 3 == 1 else struct.pack("<q", len(b)) + zstd(b)


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

    def arrow_batch(self, first, end, skew=0, spoil=None, **packed):
        """Rows [first, end); skew: values of another row in front, as in a slice. spoil(nodes,
        buffers) makes something wrong."""
        acts, tokens = self.rows(first, end)
        n = end - first
        outer = [skew + i * LENGTH for i in range(n + 1)]
        inner = [i * D for i in range(skew + n * LENGTH + 1)]
        texts = "".join("r%02d" % i for i in range(first, end)).encode()
        nodes = [(n, 0), (n, 0), (skew + n * LENGTH, 0), (len(acts) + skew * D, 0), (n, 0),
                 (n * LENGTH, 0)]
        buffers = [b"", i32(range(0, 3 * n + 1, 3)), texts, b"", i32(outer), b"", i32(inner),
                   b"", f32([9.0] * (skew * D) + acts), b"", b"", i32(tokens)]
        if spoil:
            spoil(nodes, buffers)
        return batch(n, nodes, buffers, **packed)

    def safetensors(self, name, tensors):
        return self.write(name, safetensors(*pack(tensors)))

    def test_arrow_streams(self):
        stream = schema(COLUMNS) + self.arrow_batch(0, 5) + self.arrow_batch(5, 12, 2) + END
        self.same("--acts", self.write("a/data.arrow", stream))
        self.same("--acts", self.write("b/x.arrow", stream[:-8]))
        self.same("--acts", self.write("c/x.arrow", b"ARROW1\0\0" + stream + b"footer"))
        self.same("--acts", self.write("d/x.arrow", stream) + ":" + HOOK)
        packed = {"codec": 1, "pack": zstd_buffer}
        self.same("--acts", self.write("e/x.arrow", schema(COLUMNS) + self.arrow_batch(
            0, 5, **packed) + self.arrow_batch(5, 5) + self.arrow_batch(5, 12, 2, **packed) + END))

    def test_a_column_is_whole_or_left_out(self):
        """What is wrong in one batch leaves out the column, and never some of its rows."""
        def nulls(nodes, buffers):
            nodes[1] = (nodes[1][0], 1)

        def ragged(nodes, buffers):
            buffers[4] = i32([0, LENGTH - 1] + [i * LENGTH for i in range(2, nodes[1][0] + 1)])

        for why, spoil in (("nulls", nulls), ("lists of different lengths", ragged)):
            for order in ((spoil, None), (None, spoil)):
                path = self.write("x.arrow", schema(COLUMNS) + self.arrow_batch(0, 6, 0, order[0]) +
                                  self.arrow_batch(6, 12, 0, order[1]) + END)
                for word in (path, path + ":" + HOOK):
                    self.assertEqual(
                        self.fails(1, "scan", self.sae, "--acts", word),
                        "saescope: %s: column '%s' is not read (found %s, expected floating point "
                        "[n_seq, seq_len, d_in] or [n_tok, d_in])\n" % (path, HOOK, why))

    def test_a_footer_has_the_schema_too(self):
        self.same("--acts", self.write("x.arrow", b"ARROW1\0\0" + self.arrow_batch(0, 12) + END +
                                       footer(COLUMNS)))

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

    def test_a_cache_that_is_not_finished(self):
        for i, (first, end) in enumerate(((0, 4), (4, 12))):
            shard = "cache/.tmp_shards/shard_%05d/" % i
            self.write(shard + "data-00000-of-00001.arrow",
                       schema(COLUMNS) + self.arrow_batch(first, end) + END)
            self.write(shard + "state.json",
                       b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
        self.same("--acts", self.tmp + "/cache")
        self.same("--acts", self.tmp + "/cache/.tmp_shards/shard_*")

    def test_datasets_of_token_ids(self):
        """input_ids as tokenizers leave them: in batches, with a mask, in several files."""
        def stream(cuts):
            columns = [(name, LIST, [], [("item", INT, [("i", bits), ("b", 1)])])
                       for name, bits in (("attention_mask", 8), ("input_ids", 64))]
            out = schema(columns)
            for first, end in zip(cuts, cuts[1:]):
                n, ids = end - first, self.rows(first, end)[1]
                offsets = i32(range(0, n * LENGTH + 1, LENGTH))
                out += batch(n, [(n, 0), (n * LENGTH, 0)] * 2,
                             [b"", offsets, b"", b"\1" * (n * LENGTH), b"", offsets, b"",
                              struct.pack("<%dq" % len(ids), *ids)])
            return out + END
        acts = os.path.join(SMALL, "acts.npy")
        self.same("--acts", acts, "--tokens", self.write("a.arrow", stream([0, 5, 6, 12])))
        for name in ("dict/train/", "one/"):
            self.write(name + "data-00000-of-00002.arrow", stream([0, 5]))
            self.write(name + "data-00001-of-00002.arrow", stream([5, 8, 12]))
            self.write(name + "state.json", b'{"_data_files": [{"filename": '
                       b'"data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}]}')
        self.same("--acts", acts, "--tokens", self.tmp + "/one")
        self.write("dict/dataset_dict.json", b'{"splits": ["train"]}')
        self.same("--acts", acts, "--tokens", self.tmp + "/dict")
        self.write("dict/dataset_dict.json", b'{"splits": ["train", "test"]}')
        self.assertEqual(self.fails(1, "scan", self.sae, "--acts", acts, "--tokens",
                                    self.tmp + "/dict"),
                         "saescope: %s/dict: a directory of one split must be chosen (found 2, "
                         "train and others, expected 1)\n" % self.tmp)

    def test_changed_token_files_make_an_index_stale(self):
        """Of several files of ids every one counts."""
        acts, words = os.path.join(SMALL, "acts.npy"), []
        for i, (first, end) in enumerate(((0, 5), (5, 12))):
            self.write("t/%d.bin" % i, struct.pack("<%dH" % ((end - first) * LENGTH),
                                                   *self.rows(first, end)[1]))
        words = ["--acts", acts, "--tokens", self.tmp + "/t/*.bin", "--token-dtype", "uint16"]
        before = self.answer("feature", self.sae, "3", *words)
        self.ok("scan", self.sae, *words)
        self.assertEqual(self.answer("feature", self.sae, "3", *words)["top"], before["top"])
        changed = [(v + 1) % 100 for v in self.rows(5, 12)[1]]
        self.write("t/1.bin", struct.pack("<%dH" % len(changed), *changed))
        r = self.run_program("feature", self.sae, "3", *words)
        self.assertIn(b"is made again (changed: tokens)", r.err)

    def test_names_of_arrays(self):
        """Of several arrays that could be meant, the usual name is; sizes must fit."""
        acts, tokens = self.rows(0, 12)
        ids = struct.pack("<%dq" % len(tokens), *tokens)
        values = ("F32", [12, LENGTH, D], f32(acts))
        ones = ("I64", [12, LENGTH], struct.pack("<q", 1) * len(tokens))
        npy = os.path.join(SMALL, "acts.npy")
        self.same("--acts", npy, "--tokens", self.safetensors("ids.safetensors", {
            "attention_mask": ones, "input_ids": ("I64", [12, LENGTH], ids)}))
        self.same("--acts", self.safetensors("flat.safetensors", {
            "logits": values, "states": ("F32", [12 * LENGTH, D], f32(acts)),
            "tokens": ("I64", [12, LENGTH], ids)}))
        path = self.safetensors("two.safetensors", {"a": values, "b": values})
        self.assertEqual(self.fails(1, "scan", self.sae, "--acts", path),
                         "saescope: %s: FILE:KEY must pick an array (found a, b, expected one of "
                         "floating point [n_seq, seq_len, d_in] or [n_tok, d_in])\n" % path)
        path = self.safetensors("less.safetensors", {
            "activation": values, "tokens": ("I64", [12, LENGTH - 1], ids[:12 * (LENGTH - 1) * 8])})
        self.assertEqual(self.fails(1, "scan", self.sae, "--acts", path),
                         "saescope: %s: token ids do not fit the samples in %s (found [12, %d] and "
                         "[12, %d, %d], expected an id for every sample)\n"
                         % (path, path, LENGTH - 1, LENGTH, D))
        path = self.safetensors("masked.safetensors", {
            "activation": values, "tokens": ("I64", [12, LENGTH], ids),
            "attention_mask": ones,
            "mask": ("BOOL", [12, LENGTH], b"\0" * 3 + b"\1" * (12 * LENGTH - 3))})
        self.assertIn(b"%s: warning: 3 tokens are masked out in the file" % path.encode(),
                      self.ok("scan", self.sae, "--acts", path, "--no-index").err)

    def test_info_says_what_they_were_taken_to_be(self):
        acts, tokens = self.rows(0, 12)
        path = self.safetensors("x.safetensors", {
            "activation": ("F32", [12 * LENGTH, D], f32(acts)),
            "tokens": ("I32", [12, LENGTH], i32(tokens)),
            "mask": ("U8", [12, LENGTH], b"\0" + b"\1" * (12 * LENGTH - 1))})
        said = {"path": path, "files": 1, "of": "activations", "sequences": 2, "sequence_length": LENGTH,
                "tokens": 2 * LENGTH, "tokens_stored": 12 * LENGTH, "d_in": D, "dtype": "float32",
                "token_ids": path, "masked": 1}
        info = lambda *words: self.answer("info", self.sae, *words)["samples"]
        self.assertEqual(info("--acts", path, "--sequences", "2"), said)
        self.assertIsNone(info())
        npy = os.path.join(SMALL, "acts.npy")
        self.assertEqual(info("--acts", npy), {
            **said, "path": npy, "sequences": 12, "tokens": 12 * LENGTH, "dtype": "float16",
            "token_ids": None, "masked": 0})
        ids = os.path.join(SMALL, "tokens.npy")
        self.assertEqual(info("--tokens", ids), {
            **said, "path": ids, "files": 0, "of": "token ids", "sequences": 12,
            "tokens": 12 * LENGTH, "d_in": None, "dtype": None, "token_ids": ids, "masked": 0})

    def test_numbers_in_names(self):
        """Shards of a directory are in the order of their numbers; of a glob, a warning."""
        for i in range(12):
            acts, tokens = self.rows(i, i + 1)
            header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d, %d)}\n" % (LENGTH, D)
            self.write("acts/acts-%d.npy" % i, b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) +
                       header.encode() + f32(acts))
        tokens = ["--tokens", os.path.join(SMALL, "tokens.npy")]
        self.same("--acts", self.tmp + "/acts", *tokens)
        r = self.ok("scan", self.sae, "--no-index", "--acts", self.tmp + "/acts/*.npy", *tokens)
        self.assertIn(b"acts-11.npy: warning: comes before %s/acts/acts-2.npy"
                      % self.tmp.encode(), r.err)

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
        for magic, version, code in ((20240520, 1, "H"), (20240801, 7, "I")): # llm.c
            path = self.write("llmc.bin", struct.pack("<256i", magic, version, len(self.tokens),
                                                      *[0] * 253) +
                              struct.pack("<%d%s" % (len(self.tokens), code), *self.tokens))
            self.same("--acts", acts, "--tokens", path)
            self.same("--acts", acts, "--tokens", path, "--token-dtype", "uint16")
        with open(path, "ab") as f:
            f.write(b"\0\0\0\0")
        self.assertIn("not as many token ids as it says at byte 8 (found %d bytes, expected %d uint32)"
                      % (4 * len(self.tokens) + 4, len(self.tokens)),
                      self.fails(1, "scan", self.sae, "--acts", acts, "--tokens", path))
        path = self.write("odd.bin", b"\1\0\1")
        self.assertEqual(
            self.fails(1, "scan", self.sae, "--acts", acts, "--tokens", path),
            "saescope: %s: raw numbers do not say their kind (found a .bin file, expected "
            "--token-dtype, uint16 for most)\n" % path)
        self.assertEqual(
            self.fails(1, "scan", self.sae, "--acts", acts, "--tokens", path, "--token-dtype",
                       "uint16"),
            "saescope: %s: not raw uint16 numbers (found 3 bytes, expected a multiple of 2)\n" % path)
        self.assertEqual(
            self.fails(2, "scan", self.sae, "--acts", acts, "--token-dtype", "uint16"),
            "saescope: --token-dtype: only together with --tokens\n")

    def test_what_is_no_sample(self):
        one = schema(COLUMNS)
        packed = self.arrow_batch(0, 1, codec=0)
        short = self.arrow_batch(0, 1, codec=1, pack=lambda b, i: struct.pack("<q", len(b)) +
                                 zstd(b[:-1]))
        huge = self.arrow_batch(0, 1, codec=1, pack=lambda b, i: struct.pack("<q", 1 << 60))
        os.mkdir(self.tmp + "/empty")
        self.assertIn("/empty: no samples in the directory", self.fails(
            1, "scan", self.sae, "--acts", self.tmp + "/empty:KEY"))
        for path, says in (
                (self.tmp + "/empty", "no samples in the directory (found none, expected "
                                      ".safetensors, .npy, .npz, .arrow or .pt files)"),
                (self.write("packed.arrow", one + packed + END), "compression is not read (found "
                 "LZ4, expected zstd or none)"),
                (self.write("short.arrow", one + short + END), "a damaged zstd buffer at byte"),
                (self.write("huge.arrow", one + huge + END),
                 "a buffer's size when unpacked cannot be at byte"),
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
