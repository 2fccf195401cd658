"""Files that the program cannot use, by hand: each is a valid one with one thing wrong.

CASES maps a name to a function that writes into the working directory and returns the words of
the command line. What is said about each stands in refusals.txt, word for word.
"""
import gzip
import io
import json
import math
import os
import struct
import zipfile

from safetensors import pack, safetensors

D, F = 5, 9
DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data")
CASES = {}


def case(name, make):
    assert name not in CASES, name
    CASES[name] = make


def write(name, data):
    if isinstance(data, str):
        data = data.encode()
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as f:
        f.write(data)
    return name


def floats(n):
    return struct.pack("<%df" % n, *(((i * 37) % 19 - 9) / 8 for i in range(n)))


# ---- npy

def npy(data=None, shape="(4, 7, 5)", descr="'<f4'", order="False", header=None, version=(1, 0)):
    text = header or "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    text = text.encode("latin-1")
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + (floats(140) if data is None else data)


def weights():
    return {"W_enc": ("F32", [D, F], floats(D * F)), "W_dec": ("F32", [F, D], floats(D * F)),
            "b_enc": ("F32", [F], floats(F)), "b_dec": ("F32", [D], floats(D))}


CONFIG = {"architecture": "standard", "d_in": D, "d_sae": F, "dtype": "float32",
          "metadata": {"sae_lens_version": "6.18.0"}}


def sae(config=None, whole=None, **tensors):
    """A SAELens directory; tensors replaces some of its own, None takes one away."""
    all_of_them = weights()
    for name, value in tensors.items():
        all_of_them[name] = value
        if value is None:
            del all_of_them[name]
    write("sae/cfg.json", json.dumps(CONFIG) if config is None else config)
    write("sae/sae_weights.safetensors", safetensors(*pack(all_of_them)) if whole is None else whole)
    return "sae"


def acts(name, data):
    def make():
        path = write(name.split(":")[0], data)
        return ["scan", sae(), "--acts", path + name[len(path):]]
    return make


WHOLE = npy()
for n in (0, 5, 8, 9, 40, len(WHOLE) - 560, len(WHOLE) - 1):
    case("npy cut at %d" % n, acts("a.npy", WHOLE[:n]))
for name, data in {
        "magic": b"\x93NUMPX" + WHOLE[6:], "version 0": npy(version=(0, 0)),
        "version 4": npy(version=(4, 0)), "version 1.1": npy(version=(1, 1)),
        "header longer than the file": WHOLE[:8] + b"\xff\xff" + WHOLE[10:],
        "header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        "header of one byte": b"\x93NUMPY\x01\x00\x01\x00{" + WHOLE,
        "no dictionary": npy(header="[1, 2]"), "nothing in it": npy(header="{}"),
        "no descr": npy(header="{'fortran_order': False, 'shape': (4, 7, 5)}"),
        "no order": npy(header="{'descr': '<f4', 'shape': (4, 7, 5)}"),
        "no shape": npy(header="{'descr': '<f4', 'fortran_order': False}"),
        "strange key": npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (4, 7, 5), 'x': 1}"),
        "a key twice": npy(header="{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}"),
        "call": npy(header="__import__('os').system('true')"),
        "open dictionary": npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (4, 7, 5)"),
        "open string": npy(header="{'descr: <f4}"),
        "words behind": npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (4, 7, 5)} x"),
        "order that is a number": npy(order="0"), "order that is a word": npy(order="Maybe"),
        "descr that is a number": npy(descr="4"), "no dtype": npy(descr="''"),
        "objects": npy(descr="'|O'"), "complex": npy(descr="'<c8'"), "strings": npy(descr="'<U4'"),
        "bytes": npy(descr="'|S4'"), "dates": npy(descr="'<M8[s]'"), "float of 3 bytes": npy(descr="'<f3'"),
        "float of 16 bytes": npy(descr="'<f16'"), "records": npy(descr="[('a', '<f4')]"),
        "shape that is a number": npy(shape="140"), "shape in words": npy(shape="('a',)"),
        "negative": npy(shape="(4, -7, 5)"), "fraction": npy(shape="(4.0, 7, 5)"),
        "sum": npy(shape="(4, 3 + 4, 5)"), "2^63": npy(shape="(9223372036854775808,)"),
        "2^64 in all": npy(shape="(4294967296, 4294967296, 5)"), "more than there is": npy(shape="(4, 8, 5)"),
        "nothing": npy(shape="(0, 7, 5)"), "no features": npy(shape="(4, 7, 0)"), "scalar": npy(shape="()"),
        "33 dimensions": npy(shape="(" + "1, " * 32 + "5)"), "flat": npy(shape="(140,)"),
        "four dimensions": npy(shape="(2, 2, 7, 5)"), "another width": npy(shape="(4, 5, 7)"),
        "integers": npy(struct.pack("<140i", *range(140)), descr="'<i4'"),
        "nested": npy(header="{'shape': " + "(" * 20000 + ")" * 20000 + "}")}.items():
    case("npy " + name, acts("a.npy", data))


# ---- zip

def npz(members=None, method=zipfile.ZIP_STORED, comment=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        z.comment = comment
        for name, data in (members or {"x.npy": WHOLE}).items():
            z.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def patched(data, at, form, value):
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form):]


STORED, DEFLATED = npz(), npz(method=zipfile.ZIP_DEFLATED)
DIRECTORY = STORED.index(b"PK\1\2")
PACKED_DIRECTORY = DEFLATED.index(b"PK\1\2")
END = STORED.index(b"PK\5\6")
for n in (4, 29, 60, DIRECTORY, DIRECTORY + 10, END, END + 21):
    case("zip cut at %d" % n, acts("a.npz", STORED[:n]))
for name, data in {
        "bytes behind the end": STORED + b"xx",
        "members 0": patched(patched(STORED, END + 8, "<H", 0), END + 10, "<H", 0),
        "members 2": patched(patched(STORED, END + 8, "<H", 2), END + 10, "<H", 2),
        "members that disagree": patched(STORED, END + 8, "<H", 7),
        "second disk": patched(STORED, END + 4, "<H", 1),
        "directory beyond the end": patched(STORED, END + 16, "<I", 1 << 30),
        "directory of 4 GB": patched(STORED, END + 12, "<I", 0xfffffff0),
        "directory signature": patched(STORED, DIRECTORY, "<I", 0),
        "local signature": patched(STORED, 0, "<I", 0x04034b51),
        "local header far away": patched(STORED, DIRECTORY + 42, "<I", 1 << 20),
        "local header in the directory": patched(STORED, DIRECTORY + 42, "<I", DIRECTORY),
        "name longer than the directory": patched(STORED, DIRECTORY + 28, "<H", 60000),
        "local name longer than the file": patched(STORED, 26, "<H", 60000),
        "encrypted": patched(STORED, DIRECTORY + 8, "<H", 1),
        "method 12": patched(STORED, DIRECTORY + 10, "<H", 12),
        "stored, another size": patched(STORED, DIRECTORY + 24, "<I", 100),
        "packed beyond the end": patched(STORED, DIRECTORY + 20, "<I", 1 << 30),
        "another CRC": patched(DEFLATED, PACKED_DIRECTORY + 16, "<I", 1),
        "deflated to less": patched(DEFLATED, PACKED_DIRECTORY + 24, "<I", 100),
        "deflated to more": patched(DEFLATED, PACKED_DIRECTORY + 24, "<I", len(WHOLE) + 1),
        "deflated to 4 GB": patched(DEFLATED, PACKED_DIRECTORY + 24, "<I", 0xfffffff0),
        "deflate broken": patched(DEFLATED, 60, "<I", 0xffffffff),
        "zip64 without its record": patched(STORED, END + 16, "<I", 0xffffffff),
        "empty": npz({"": b""}), "parent": npz({"../x.npy": WHOLE}), "absolute": npz({"/x.npy": WHOLE}),
        "name with a zero": STORED.replace(b"x.npy", b"x\0npy"),
        "two of a name": npz({"x.npy": WHOLE, "y.npy": WHOLE}).replace(b"y.npy", b"x.npy"),
        "no array": npz({"readme.txt": b"hello"}),
        "broken array": npz({"x.npy": WHOLE[:-1]})}.items():
    case("zip " + name, acts("a.npz:x", data))
case("zip other key", acts("a.npz:y", STORED))
case("zip several arrays", acts("a.npz", npz({"x.npy": WHOLE, "y.npy": WHOLE})))


# ---- zstd: frames of raw blocks, written by hand

def zst(data=WHOLE, size=None, descriptor=None, window=None, block=None, checksum=b""):
    descriptor = (0xa0 if window is None else 0x80) if descriptor is None else descriptor
    head = struct.pack("<IB", 0xfd2fb528, descriptor)
    head += b"" if window is None else bytes([window])
    head += struct.pack("<I", len(data) if size is None else size)
    return head + struct.pack("<I", (len(data) << 3 | 1) if block is None else block)[:3] + data + checksum


ZST = zst()
for n in (4, 6, 11, len(ZST) - 1):
    case("zst cut at %d" % n, acts("a.npy.zst", ZST[:n]))
for name, data in {
        "size too small": zst(size=100), "size too large": zst(size=len(WHOLE) + 1),
        "size of 4 GB": zst(size=0xfffffff0), "reserved block": zst(block=len(WHOLE) << 3 | 7),
        "block beyond the end": zst(block=(len(WHOLE) + 9) << 3 | 1),
        "compressed block of noise": zst(block=len(WHOLE) << 3 | 5),
        "reserved bit": zst(descriptor=0xa8), "dictionary": zst(descriptor=0xa1),
        "checksum": zst(descriptor=0xa4, checksum=b"\1\2\3\4"),
        "bytes behind": ZST + b"more", "skippable frame without an end": ZST + b"\x50\x2a\x4d\x18\xff\xff\xff\x7f",
        "only a skippable frame": b"\x50\x2a\x4d\x18\4\0\0\0abcd", "nothing in it": zst(b""),
        "text in it": zst(b"hello, world"), "npy that promises more": zst(npy(shape="(4000000, 7, 5)")),
        "npy that promises more than there is": zst(npy(shape="(1000000, 7000, 5)")),
        "second frame broken": ZST + ZST[:20]}.items():
    case("zst " + name, acts("a.npy.zst", data))


def runs(beginning, count):
    """A frame that does not say its size: the beginning, and `count` runs of 128 KiB of zeros."""
    run = struct.pack("<I", 1 << 20 | 2)[:3] + b"\0"
    return (struct.pack("<IBBI", 0xfd2fb528, 0, 0x70, len(beginning) << 3)[:-1] + beginning
            + count * run + b"\1\0\0")


def weights_of(features):
    """The header of that many features, and the bytes that belong behind it."""
    shapes = {"W_enc": [D, features], "W_dec": [features, D], "b_enc": [features], "b_dec": [D]}
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if shape[1:] else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return safetensors(header), at


HEAD, _ = weights_of(1 << 20)
for name, data in {
        "safetensors that promises more": runs(HEAD, 10), "safetensors with more behind": runs(HEAD, 9000),
        "safetensors of more than a thousandth": runs(weights_of(1 << 28)[0], 91000),
        "safetensors with a broken header": runs(HEAD.replace(b"F32", b"F33"), 9000),
        "pickle of runs": runs(b"\x80\x02}", 9000), "zip of runs": runs(b"PK\3\4", 9000)}.items():
    case("zst " + name, lambda data=data: ["info", sae(whole=data)])


def hole():
    """A frame of empty blocks, in a file that takes no room."""
    write("a.npy.zst", struct.pack("<IBB", 0xfd2fb528, 0, 0x70))
    os.truncate("a.npy.zst", 1 << 40)
    return ["scan", sae(), "--acts", "a.npy.zst"]


case("zst of a terabyte", hole)


# ---- safetensors

def file(data):
    return lambda: ["info", sae(whole=data)]


HEADER, DATA = pack(weights())
FILE = safetensors(HEADER, DATA)


def entry(**changes):
    return file(safetensors(dict(HEADER, W_enc=dict(HEADER["W_enc"], **changes)), DATA))


for n in (0, 7, 8, 60, len(FILE) - len(DATA), len(FILE) - 1):
    case("safetensors cut at %d" % n, file(FILE[:n]))
TEXT = json.dumps(HEADER).encode()
for name, make in {
        "one byte more": file(FILE + b"\0"), "header of 2^63 bytes": file(struct.pack("<Q", 1 << 63) + FILE[8:]),
        "header of 100 MB": file(struct.pack("<Q", 10 ** 8 + 1) + FILE[8:]),
        "header of nothing": file(struct.pack("<Q", 0) + DATA), "no JSON": file(safetensors(b"{,}" * 20)),
        "list": file(safetensors(b"[1, 2]")), "empty": file(safetensors(b"{}")),
        "invalid UTF-8": file(safetensors(b'{"\xff": 1}')), "deep": file(safetensors(b'{"a":' + b"[" * 99999)),
        "twice": file(safetensors(TEXT[:-1] + b', "b_dec": ' + json.dumps(HEADER["b_dec"]).encode() + b"}", DATA)),
        "entry that is a number": file(safetensors(dict(HEADER, W_enc=1), DATA)),
        "entry of nothing": file(safetensors(dict(HEADER, W_enc={}), DATA)),
        "metadata that is no text": file(safetensors(dict({"__metadata__": {"a": 1}}, **HEADER), DATA)),
        "strange dtype": entry(dtype="F33"), "dtype that is a number": entry(dtype=32),
        "dtype that is not read": entry(dtype="F8_E4M3"), "no shape": entry(shape=None),
        "shape in words": entry(shape="5, 9"), "negative shape": entry(shape=[-5, -9]),
        "fractions": entry(shape=[5.0, 9.5]), "2^64": entry(shape=[1 << 32, 1 << 32]),
        "larger than a number": entry(shape=[1 << 70, 1]), "30 dimensions": entry(shape=[1] * 28 + [D, F]),
        "another count": entry(shape=[D, F + 1]), "no offsets": entry(data_offsets=None),
        "one offset": entry(data_offsets=[0]), "backwards": entry(data_offsets=[180, 0]),
        "overlap": entry(data_offsets=[4, 184]), "beyond the end": entry(data_offsets=[10 ** 9, 10 ** 9 + 180]),
        "negative offsets": entry(data_offsets=[-180, 0])}.items():
    case("safetensors " + name, make)


# ---- the weights against each other and against cfg.json

for name, tensors in {
        "no W_enc": {"W_enc": None}, "no W_dec": {"W_dec": None}, "no b_enc": {"b_enc": None},
        "no b_dec": {"b_dec": None}, "W_enc turned round": {"W_enc": ("F32", [F, D], floats(D * F))},
        "W_dec turned round": {"W_dec": ("F32", [D, F], floats(D * F))},
        "W_dec of fewer features": {"W_dec": ("F32", [F - 1, D], floats(D * (F - 1)))},
        "b_enc of fewer": {"b_enc": ("F32", [F - 1], floats(F - 1))},
        "b_dec of more": {"b_dec": ("F32", [D + 1], floats(D + 1))},
        "b_enc with two dimensions": {"b_enc": ("F32", [F, 1], floats(F))},
        "W_enc with three": {"W_enc": ("F32", [1, D, F], floats(D * F))},
        "W_enc flat": {"W_enc": ("F32", [D * F], floats(D * F))},
        "W_enc of integers": {"W_enc": ("I32", [D, F], floats(D * F))},
        "W_enc of nothing": {"W_enc": ("F32", [D, 0], b""), "W_dec": ("F32", [0, D], b""),
                             "b_enc": ("F32", [0], b"")}}.items():
    case("weights " + name, lambda tensors=tensors: ["info", sae(**tensors)])


def config(text=None, **keys):
    return lambda: ["info", sae(json.dumps(dict(CONFIG, **keys)) if text is None else text)]


for name, make in {
        "empty": config(""), "open": config('{"d_in": 5'), "list": config("[]"), "text": config('"x"'),
        "deep": config("[" * 100000), "comma": config('{"d_in": 5,}'), "zero byte": config('{"d_in": 5}\0'),
        "invalid UTF-8": lambda: ["info", sae(b'{"architecture": "\xff"}')],
        "strange architecture": config(architecture="strange"), "architecture of a number": config(architecture=5),
        "d_in in words": config(d_in="five"), "topk without k": config(architecture="topk"),
        "topk of 0": config(architecture="topk", k=0), "topk of -1": config(architecture="topk", k=-1),
        "topk of too many": config(architecture="topk", k=F + 1), "topk of a half": config(architecture="topk", k=2.5),
        "topk of words": config(architecture="topk", k="8"), "topk of 1e30": config(architecture="topk", k=1e30),
        "jumprelu without thresholds": config(architecture="jumprelu"), "gated without gates": config(architecture="gated"),
        "strange normalisation": config(normalize_activations="strange"),
        "normalisation of a number": config(normalize_activations=1),
        "strange reshaping": config(reshape_activations="strange"), "strange dtype": config(dtype="int7"),
        "b_dec in words": config(apply_b_dec_to_input="yes"),
        "noise": config(architecture="standard", activation_fn_str="snake")}.items():
    case("cfg.json " + name, make)


# ---- pickles, as PyTorch writes them

def text(s):
    s = s.encode()
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    return b"J" + struct.pack("<i", n) if -1 << 31 <= n < 1 << 31 else (
        b"\x8a" + bytes([9]) + n.to_bytes(9, "little", signed=True))


def name_of(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def tensor(key, count, shape, stride=None, offset=0, kind="FloatStorage", place="cpu", rebuild=None):
    stride = stride if stride is not None else [shape[1], 1] if len(shape) == 2 else [1] * len(shape)
    storage = tuple_of(text("storage"), name_of("torch", kind), text(key), text(place), number(count)) + b"Q"
    return (name_of("torch._utils", rebuild or "_rebuild_tensor_v2")
            + tuple_of(storage, number(offset), tuple_of(*map(number, shape)),
                       tuple_of(*map(number, stride)), b"\x89", name_of("collections", "OrderedDict") + b")R")
            + b"R")


PARTS = {"encoder.weight": ("0", D * F, [F, D]), "encoder.bias": ("1", F, [F]),
         "decoder.weight": ("2", D * F, [D, F]), "bias": ("3", D, [D])}


def state(**changes):
    body = b"".join(text(name) + changes.pop(name.replace(".", "_"), tensor(*parts))
                    for name, parts in PARTS.items())
    return b"\x80\x02}(" + body + b"u."


def pt(program=None, method=zipfile.ZIP_STORED, take=(), root="archive", **files):
    members = {root + "/data.pkl": state() if program is None else program, root + "/byteorder": b"little",
               root + "/version": b"3\n"}
    for key, count, _ in PARTS.values():
        members[root + "/data/" + key] = floats(count)
    for name, data in files.items():
        members[root + "/" + name.replace("__", "/")] = data
    for name in take:
        del members[root + "/" + name]
    return npz(members, method)


def checkpoint(data, name="ae.pt"):
    return lambda: ["info", write(name, data)]


BIASED = "encoder_bias"
for name, data in {
        "no data.pkl": pt(take=["data.pkl"]), "no storage": pt(take=["data/1"]),
        "storage too short": pt(data__1=floats(F - 1)), "storage of nothing": pt(data__1=b""),
        "byte order": pt(byteorder=b"middle"), "empty pickle": pt(b""), "no stop": pt(state()[:-1]),
        "cut": pt(state()[:200]), "strange instruction": pt(b"\x80\x02\xff."), "protocol 9": pt(b"\x80\x09N."),
        "stack underflow": pt(b"\x80\x02R."), "no mark": pt(b"\x80\x02t."), "nothing on the stack": pt(b"\x80\x02."),
        "memo that is not there": pt(b"\x80\x02h\x05."), "text beyond the end": pt(b"\x80\x02X\xff\xff\xff\x7fabc."),
        "bytes of 2^63": pt(b"\x80\x04\x8e" + b"\xff" * 8 + b"."), "frame beyond the end": pt(b"\x80\x04\x95" + b"\xff" * 8 + b"N."),
        "none": pt(b"\x80\x02N."), "system call": pt(b"\x80\x02" + name_of("os", "system") + tuple_of(text("true")) + b"R."),
        "list of numbers": pt(b"\x80\x02]" + b"(K\1K\2e."), "negative offset": pt(state(**{BIASED: tensor("1", F, [F], offset=-1)})),
        "offset beyond the end": pt(state(**{BIASED: tensor("1", F, [F], offset=1)})),
        "negative size": pt(state(**{BIASED: tensor("1", F, [-F])})),
        "size of 2^62": pt(state(**{BIASED: tensor("1", F, [1 << 62, 4], [4, 1])})),
        "stride beyond the end": pt(state(**{BIASED: tensor("1", F, [F], [2])})),
        "negative stride": pt(state(**{BIASED: tensor("1", F, [F], [-1])})),
        "fewer strides than sizes": pt(state(**{BIASED: tensor("1", F, [F], [])})),
        "strange storage": pt(state(**{BIASED: tensor("1", F, [F], kind="StrangeStorage")})),
        "complex storage": pt(state(**{BIASED: tensor("1", F, [F], kind="ComplexFloatStorage")})),
        "key that leaves": pt(state(**{BIASED: tensor("../1", F, [F])})),
        "bias of another length": pt(state(**{BIASED: tensor("1", F, [F - 1])})),
        "bias with two dimensions": pt(state(**{BIASED: tensor("1", F, [3, 3])})),
        "weights turned round": pt(state(encoder_weight=tensor("0", D * F, [D, F]))),
        "deflated and cut": pt(method=zipfile.ZIP_DEFLATED)[:-30]}.items():
    case("pt " + name, checkpoint(data))

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
OLD = MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}(" + text("little_endian") + b"\x88u."
for name, data in {
        "magic only": MAGIC, "protocol": MAGIC + b"\x80\x02M\xea\x03.", "no settings": OLD[:len(MAGIC) + 6],
        "no content": OLD, "no keys": OLD + state(), "content cut": OLD + state()[:100],
        "keys that are a number": OLD + state() + b"\x80\x02K\1.",
        "storages cut": OLD + state() + b"\x80\x02]" + b"(" + b"".join(map(text, "0123")) + b"e." + struct.pack("<Q", D * F) + floats(3),
        "storages of another size": OLD + state() + b"\x80\x02]" + b"(" + b"".join(map(text, "0123")) + b"e." + struct.pack("<Q", 3) + floats(200)}.items():
    case("stream " + name, checkpoint(data))
for name, data in {
        "cut": gzip.compress(state(), mtime=0)[:-9], "CRC": gzip.compress(state(), mtime=0)[:-8] + bytes(8),
        "bytes behind": gzip.compress(state(), mtime=0) + b"more", "header only": gzip.compress(b"", mtime=0)[:10],
        "method": b"\x1f\x8b\x09" + bytes(20), "noise": b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 40,
        "text": gzip.compress(b"hello", mtime=0),
        "bomb": gzip.compress(b"\x80\x04\x8e" + struct.pack("<Q", 99 << 20) + bytes(99 << 20), mtime=0),
        "array that promises more": gzip.compress(npy(shape="(400, 7, 5)"), mtime=0)}.items():
    case("gz " + name, checkpoint(data, "ae.pkl.gz"))
for name, data in {"empty": b"", "one byte": b"\0", "text": b"hello, world\n", "zeros": bytes(4096),
                   "picture": b"\x89PNG\r\n\x1a\n" + bytes(64), "program": b"\x7fELF" + bytes(64)}.items():
    case("no array: " + name, checkpoint(data, "file.bin"))


# ---- tokens, tokenizers

def tokens(data, *words):
    return lambda: ["scan", sae(), "--acts", write("a.npy", WHOLE), "--tokens", write("t.npy", data), *words]


IDS = struct.pack("<28i", *range(28))
for name, make in {
        "of another shape": tokens(npy(IDS[:-4 * 7], "(3, 7)", "'<i4'")), "flat and too few": tokens(npy(IDS[:-4], "(27,)", "'<i4'")),
        "real": tokens(npy(floats(28), "(4, 7)")), "negative": tokens(npy(struct.pack("<28i", *range(-1, 27)), "(4, 7)", "'<i4'")),
        "three dimensions": tokens(npy(IDS, "(2, 2, 7)", "'<i4'")), "scalar": tokens(npy(IDS[:4], "()", "'<i4'")),
        "cut": tokens(npy(IDS, "(4, 7)", "'<i4'")[:-1]), "seq-len": tokens(npy(IDS, "(28,)", "'<i4'"), "--seq-len", "3")}.items():
    case("tokens " + name, make)


def tokenizer(value):
    data = value if isinstance(value, (bytes, str)) else json.dumps(value)
    return lambda: ["feature", sae(), "1", "--acts", write("a.npy", WHOLE), "--tokens",
                    write("t.npy", npy(IDS, "(4, 7)", "'<i4'")), "--tokenizer", write("tokenizer.json", data)]


def model(**keys):
    value = {"model": dict({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}, **keys)}
    return tokenizer(value)


for name, make in {
        "empty": tokenizer(""), "open": tokenizer('{"model": {"vocab": {"a": 0'), "number": tokenizer("5"),
        "no model": tokenizer({"version": "1.0"}), "no vocab": tokenizer({"model": {"type": "BPE", "merges": []}}), "unknown model": model(type="Wordy"),
        "Unigram without scores": model(type="Unigram", vocab=["a", "b"]), "Unigram cut": tokenizer('{"model": {"vocab": [["a", -1]'),
        "vocab of a number": model(vocab=5),
        "id in words": model(vocab={"a": "zero"}), "negative id": model(vocab={"a": -1}),
        "id of 2^40": model(vocab={"a": 1 << 40}), "id with a fraction": model(vocab={"a": 1.5}),
        "added tokens of a number": tokenizer({"added_tokens": 5, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}),
        "added token without an id": tokenizer({"added_tokens": [{"content": "x"}], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}),
        "added token of 2^40": tokenizer({"added_tokens": [{"id": 1 << 40, "content": "x"}], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}),
        "invalid UTF-8": tokenizer(b'{"model": {"type": "BPE", "vocab": {"\xff": 0}, "merges": []}}'),
        "deep": tokenizer('{"model": ' + "[" * 100000)}.items():
    case("tokenizer " + name, make)


# ---- tokenizers that cannot encode: the same model with one part changed, and a text

def encoder(value):
    def make():
        data = value if isinstance(value, (str, bytes)) else json.dumps(value)
        return ["prompt", DEMO, "--tokenizer", write("tokenizer.json", data), "--text", "ab"]
    return make


def part(**parts):
    vocab = {"a": 0, "b": 1, "ab": 2, "<unk>": 3}
    model = dict({"type": "BPE", "vocab": vocab, "merges": ["a b"]}, **parts.pop("model", {}))
    return encoder(dict({"model": model}, **parts))


def regex(text):
    return part(pre_tokenizer={"type": "Split", "pattern": {"Regex": text}, "behavior": "Isolated"})


for name, make in {
        "merge of one": part(model={"merges": ["ab"]}), "merge of three": part(model={"merges": ["a b b"]}),
        "merge of a list of one": part(model={"merges": [["a"]]}), "merge of numbers": part(model={"merges": [[0, 1]]}),
        "merge of a number": part(model={"merges": [5]}), "merge of unknown tokens": part(model={"merges": ["a b", "a x"]}),
        "merge into an unknown token": part(model={"merges": ["b a"]}), "merges in words": part(model={"merges": "a b"}),
        "unk_token that is none": part(model={"unk_token": "<none>"}), "dropout": part(model={"dropout": 0.5}),
        "prefix that no merge has": part(model={"continuing_subword_prefix": "####"}),
        "normalizer of no type": part(normalizer={"kind": "NFC"}), "normalizer unknown": part(normalizer={"type": "Precompiled"}),
        "normalizers without end": part(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 65}),
        "replace without a pattern": part(normalizer={"type": "Replace", "content": "x"}),
        "pre_tokenizer of no type": part(pre_tokenizer={}), "pre_tokenizer unknown": part(pre_tokenizer={"type": "UnicodeScripts"}),
        "split of an odd behavior": part(pre_tokenizer={"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"}),
        "pattern that does not close": regex("(a"), "pattern of intersections": regex("[a-z&&[aeiou]]"),
        "pattern of classes in classes": regex("[a[bc]]"), "pattern of repeated repeats": regex("a{1,3}+"),
        "pattern that ends in a backslash": regex("a\\"), "pattern of 100 kB": regex("a" * 100000),
        "pieces of no length": part(pre_tokenizer={"type": "FixedLength", "length": 0}),
        "metaspace of two characters": part(pre_tokenizer={"type": "Metaspace", "replacement": "__"}),
        "BOS without ids": part(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]}),
        "BOS of a word": part(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {"<s>": {"ids": ["x"]}}}),
        "list": encoder(["a", "b"]), "vocab.json without merges": encoder({"a": 0, "b": 1}),
        "vocab.json with byte tokens": encoder({"a": 0, "<0x0A>": 1}),
        "model cut short": encoder(b"\n\x0e\n\x05<unk>"),
        "model of words": encoder(b"\n\x03\n\x01a\x12\x02\x18\x03"), "model with a table": encoder(b"\n\x03\n\x01a\x1a\x03\x12\x01x")}.items():
    case("encoder " + name, make)


# ---- bundles

def bundle(value):
    def make():
        write("bundle/acts.npy", WHOLE)
        sae()
        os.rename("sae", "bundle/sae")
        os.symlink("/etc", "bundle/outside")
        os.symlink("loop", "bundle/loop")
        write("bundle/bundle.json", value if isinstance(value, str) else json.dumps(value))
        return ["scan", "bundle"]
    return make


GOOD = {"acts": "acts.npy", "saes": {"a": "sae"}}
for name, make in {
        "empty": bundle(""), "open": bundle("{"), "list": bundle([]), "nothing in it": bundle({}),
        "saes of a number": bundle(dict(GOOD, saes=5)), "no path": bundle(dict(GOOD, saes={"a": 5})),
        "SAE that is not there": bundle(dict(GOOD, saes={"a": "none"})), "SAE above": bundle(dict(GOOD, saes={"a": "../sae"})),
        "SAE outside": bundle(dict(GOOD, saes={"a": "/etc"})), "SAE through a link": bundle(dict(GOOD, saes={"a": "outside/passwd"})),
        "SAE through a loop": bundle(dict(GOOD, saes={"a": "loop"})), "acts of a number": bundle(dict(GOOD, acts=5)),
        "acts that are not there": bundle(dict(GOOD, acts="none.npy")), "acts above": bundle(dict(GOOD, acts="../a.npy")),
        "acts outside": bundle(dict(GOOD, acts="/dev/zero")), "glob of nothing": bundle(dict(GOOD, acts="none-*.npy")),
        "tokens above": bundle(dict(GOOD, tokens="../../t.npy")), "tokenizer that is not there": bundle(dict(GOOD, tokenizer="none.json")),
        "hook of a number": bundle(dict(GOOD, hook=5)), "a name twice": bundle('{"acts": "acts.npy", "acts": "acts.npy"}')}.items():
    case("bundle " + name, make)


def crowd(name, count):
    """A bundle without bundle.json, of many SAEs or files of no use."""
    def make():
        for i in range(count):
            write("bundle/saes/" + name % i, "")
        return ["scan", "bundle"]
    return make


def maze():
    """Thirty links from a directory to itself, and a pattern that goes through them."""
    words = bundle(dict(GOOD, acts="l*/l*/l*/l*/x.npy"))()
    for i in range(30):
        os.symlink(".", "bundle/l%d" % i)
    return words


case("bundle glob without end", maze)
case("bundle of 4097 SAEs", crowd("s%d/W_enc.npy", 4097))
case("bundle of 8193 files", crowd("step_%d.npy", 8193))


# ---- what is no file, and files that are not for us to write

def special(make):
    def run():
        make("a.npy")
        return ["scan", sae(), "--acts", "a.npy"]
    return run


case("fifo", special(os.mkfifo))
case("directory", special(os.mkdir))
case("link to nothing", special(lambda p: os.symlink("nothing", p)))
case("link to itself", special(lambda p: os.symlink(p, p)))
case("device", lambda: ["scan", sae(), "--acts", "/dev/zero"])
case("no file", lambda: ["info", "nothing"])
case("no directory", lambda: ["info", "nothing/sae"])
case("empty directory", lambda: os.mkdir("empty") or ["info", "empty"])
case("index of another program", lambda: ["scan", sae(), "--acts", write("a.npy", WHOLE), "--index", write("notes.txt", "dear diary\n")])


# ---- other libraries' checkpoints: what they hold, and what is asked of them

def numbers(*shape):
    return "F32", list(shape), floats(math.prod(shape))


def clt(*words, layer=2, targets=3, path="W_enc_2.safetensors", both=True):
    def make():
        write("W_enc_%d.safetensors" % layer, safetensors(*pack({
            "W_enc_%d" % layer: numbers(F, D), "b_enc_%d" % layer: numbers(F), "b_dec_%d" % layer: numbers(D)})))
        if both:
            write("W_dec_%d.safetensors" % layer, safetensors(*pack({"W_dec_%d" % layer: numbers(*targets) if isinstance(
                targets, tuple) else numbers(F, targets, D)})))
        return ["info", path, *words]
    return make


def scope(folder, config=None, *words, **tensors):
    every = {"w_enc": numbers(D, F), "w_dec": numbers(F, D), "b_enc": numbers(F), "b_dec": numbers(D), "threshold": numbers(F)}

    def make():
        write(folder + "/params.safetensors", safetensors(*pack(dict(every, **tensors))))
        if config:
            write(folder + "/config.json", json.dumps(dict({"architecture": "jump_relu"}, **config)))
        return ["info", folder, *words]
    return make


for name, make in {
        "clt below its layer": clt("--decoder-layer", "1"), "clt above the last": clt("--decoder-layer", "5"),
        "clt the decoder's file": clt(path="W_dec_2.safetensors"), "clt without the decoder": clt(both=False),
        "clt of one target": clt(targets=(F, D)), "clt of another width": clt(targets=(F + 1, 3, D)),
        "tanh-relu to SAELens": lambda: ["convert", sae(json.dumps(dict(CONFIG, activation_fn="tanh-relu"))), "out"],
        "layer of an SAE": lambda: ["info", sae(), "--decoder-layer", "2"],
        "scope clt of no layer": scope("x", w_dec=numbers(F, 3, D)),
        "scope clt without its own target": scope("clt/layer_3_width_16k", w_dec=numbers(F, 3, D)),
        "scope clt below its layer": scope("clt/layer_1_width_16k", None, "--decoder-layer", "0", w_dec=numbers(F, 3, D)),
        "scope crosscoder": scope("crosscoder/layer_1", w_enc=numbers(2, D, F), w_dec=numbers(F, 2, D)),
        "scope without its skip": scope("x", {"affine_connection": True}),
        "scope of another architecture": scope("x", {"architecture": "topk"}),
        "scope without a threshold": scope("x", {}, threshold=numbers(F + 1))}.items():
    case("other " + name, make)


# ---- language models

LM = {"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": D, "n_ctx": 8, "n_positions": 8, "vocab_size": 28}


def lm(text=None, **keys):
    def make():
        write("lm/config.json", json.dumps(dict(LM, **keys)) if text is None else text)
        write("lm/model.safetensors", safetensors(*pack({"wte.weight": ("F32", [28, D], floats(28 * D))})))
        return ["score", sae(), "--acts", write("a.npy", WHOLE), "--tokens", write("t.npy", npy(IDS, "(4, 7)", "'<i4'")),
                "--model", "lm", "--hook", "blocks.0.hook_resid_pre"]
    return make


for name, make in {
        "empty": lm(""), "list": lm("[]"), "no family": lm("{}"), "strange family": lm(model_type="mamba"),
        "no layers": lm(n_layer=0), "10^9 layers": lm(n_layer=10 ** 9), "layers in words": lm(n_layer="one"),
        "no heads": lm(n_head=0), "heads that do not divide": lm(n_head=2), "no vocabulary": lm(vocab_size=0),
        "strange activation": lm(activation_function="snake"), "negative epsilon": lm(layer_norm_epsilon=-1),
        "no weights": lm()}.items():
    case("model " + name, make)


