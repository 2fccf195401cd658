#!/usr/bin/env python3
"""Makes the files beside it with torch.save, in all the forms that there have been.

The object is the same in each: tensors that are shared, transposed, strided, expanded,
of every type; a Parameter; dictionaries and lists of plain values; an object of a class
that only this script has; and one that would run a command if it were unpickled.
Numbers: "a" [3, 4] f4 counts from 0; the others say for themselves below.
Made with Python 3.11 and torch 1.13; run in this directory to make them again.
"""
import collections
import gzip
import io
import os
import pickle
import zipfile

import numpy as np
import torch


class Config:
    def __init__(self):
        self.hook_point = "blocks.2.hook_resid_pre"
        self.d_in = 4
        self.lr = 0.5
        self.dtype = torch.float32
        self.device = torch.device("cpu")
        self.itself = self
        self.mean = torch.tensor([0.25, -0.5])


class Command:
    def __reduce__(self):
        return os.system, ("touch command-was-run",)


def the_object():
    a = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    types = {str(d).split(".")[1]: torch.tensor([0, 1, 3]).to(d) for d in (
        torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16,
        torch.int32, torch.int64, torch.bool)}
    return collections.OrderedDict([
        ("a", a), ("transposed", a.t()), ("column", a[:, 1]),
        ("expanded", torch.tensor([2.5]).expand(3, 2)),
        ("scalar", torch.tensor(7)), ("empty", torch.zeros(0, 3)),
        ("parameter", torch.nn.Parameter(a[1:, 2:])),
        ("complex", torch.tensor([1j])),
        ("types", types),
        ("list", [torch.tensor([1.0]), "between", torch.tensor([2.0])]),
        ("cfg", Config()), ("command", Command()),
        ("state.dict", {"k": 32, "name": "TopK", "none": None, "yes": True, "big": 1 << 80,
                        "negative": -70000, "float": -0.5, "text": "\u00e9\n",
                        "tuple": (1, (2, 3)), 5: "five", "bytes": b"\x80"}),
    ])


def swapped(data):
    """The same file as a big-endian machine writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as z, zipfile.ZipFile(out, "w") as w:
        for name in z.namelist():
            content = z.read(name)
            if "/data/" in name:
                size = sizes[name.rsplit("/", 1)[1]]
                content = np.frombuffer(content, "u%d" % size).byteswap().tobytes()
            w.writestr(zipfile.ZipInfo(name), content)
        w.writestr(zipfile.ZipInfo(name.split("/")[0] + "/byteorder"), "big")
    return out.getvalue()


class Sizes(pickle.Unpickler):
    """What one element of each storage takes, by the persistent ids."""
    def persistent_load(self, id_):
        sizes[id_[2]] = {"Half": 2, "BFloat16": 2, "Short": 2, "Float": 4, "Int": 4,
                         "Double": 8, "Long": 8, "ComplexFloat": 4}.get(
                             id_[1].__name__.replace("Storage", ""), 1)
        return None

    def find_class(self, module, name):
        if name.endswith("Storage"):
            return type(name, (), {})
        if name in ("OrderedDict",):
            return collections.OrderedDict
        return type("Ignored", (), {"__new__": lambda c, *a: object.__new__(c),
                                    "__init__": lambda s, *a: None,
                                    "__setstate__": lambda s, v: None})


sizes = {}
torch.save(the_object(), "zip.pt")
torch.save(the_object(), "stream.pt", _use_new_zipfile_serialization=False)
for protocol in (3, 4, 5):
    with open("protocol%d.pkl" % protocol, "wb") as f:
        pickle.dump(the_object(), f, protocol=protocol)
with gzip.GzipFile("protocol4.pkl.gz", "wb", mtime=0) as f:
    f.write(pickle.dumps(the_object(), protocol=4))

with zipfile.ZipFile("zip.pt") as z:
    Sizes(io.BytesIO(z.read("zip/data.pkl"))).load()
open("big-endian.pt", "wb").write(swapped(open("zip.pt", "rb").read()))

tag = torch.serialization.location_tag
torch.serialization.location_tag = lambda storage: "cuda:0"
torch.save(the_object(), "cuda.pt")
torch.serialization.location_tag = tag

torch.save(the_object()["a"], "tensor.pt")
torch.save({"weights": None}, "nothing.pt")


def numpy_object():
    return {"array": np.arange(6, dtype="<f4").reshape(2, 3).T, "big": np.arange(3, dtype=">i2"),
            "scalars": {"f4": np.float32(0.1), "f8": np.float64(0.1), "i8": np.int64(-7),
                        "u1": np.uint8(200), "b1": np.bool_(True), "f2": np.float16(-2),
                        "nan": np.float64("nan"), "text": np.str_("text"),
                        "big": np.array(258, ">i2")[()]},
            "tensor": torch.tensor([1.5])}


torch.save(numpy_object(), "numpy.pt")  # of protocol 2: its arrays are text
for protocol in (2, 4, 5):
    with open("numpy%d.pkl" % protocol, "wb") as f:
        pickle.dump(numpy_object(), f, protocol=protocol)


class Coder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(4, 3)
        self.encoder.weight.data = the_object()["a"]
        self.register_buffer("k", torch.tensor(7))


torch.save(Coder(), "module.pt")
torch.jit.script(torch.nn.Linear(2, 2)).save("script.pt")
