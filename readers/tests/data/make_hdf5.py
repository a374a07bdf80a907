#!/usr/bin/env python3
"""Makes the .h5 files beside it, with h5py 3 and numpy. A value is 10 * row + column - 20, unless it says otherwise."""

from pathlib import Path

import h5py
import numpy as np

FOLDER = Path(__file__).parent


def values(rows, dim, dtype="<f4"):
    return (np.arange(rows)[:, None] * 10 + np.arange(dim)[None, :] - 20).astype(dtype)


def write(name, **options):
    return h5py.File(FOLDER / name, "w", **options)


# One dataset, as h5py writes it where nothing is said.
with write("contiguous.h5") as file:
    file["vectors"] = values(12, 5)

# The layout of ann-benchmarks.
with write("ann.h5") as file:
    file.attrs["distance"] = "angular"
    file.attrs["dimension"] = 4
    file.attrs["type"] = "dense"
    file["train"] = values(9, 4)
    file["test"] = values(3, 4)
    file["neighbors"] = values(3, 6, "<i4")
    file["distances"] = values(3, 6)

# Every type, and ids; old and new indexes of chunks; filters.
with write("old.h5", libver="earliest") as file:
    for dtype in ("<f2", ">f4", "<f8", ">f8", "<i1", "<u1", "<i2", ">u2", "<i4", "<i8", ">u8"):
        name = np.dtype(dtype).name + ("_big" if dtype[0] == ">" else "")
        file.create_dataset(f"types/{name}", data=np.abs(values(3, 2, dtype)) if "u" in dtype else values(3, 2, dtype))
    group = file.create_group("chunks")
    group.create_dataset("plain", data=values(11, 6), chunks=(4, 4))
    group.create_dataset("gzip", data=values(11, 6), chunks=(3, 6), compression="gzip")
    group.create_dataset("all", data=values(11, 6), chunks=(4, 5), compression=9, shuffle=True, fletcher32=True)
    group.create_dataset("id", data=np.arange(11) * 3 + 100, chunks=(4,))

with write("new.h5", libver="latest") as file:
    file.attrs["distance"] = np.bytes_("euclidean")
    file.create_dataset("single", data=values(11, 6), chunks=(11, 6), compression="gzip")
    file.create_dataset("fixed", data=values(11, 6), chunks=(4, 4), shuffle=True)
    file.create_dataset("growing", data=values(11, 6), chunks=(4, 6), maxshape=(None, 6), fletcher32=True)
    file.create_dataset("growing_both", data=values(11, 6), chunks=(4, 4), maxshape=(None, None), compression="gzip")
    space = h5py.h5s.create_simple((11, 6))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 4))
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_obj_track_times(False)
    h5py.h5d.create(file.id, b"implicit", h5py.h5t.IEEE_F32LE, space, plist)
    file["implicit"][...] = values(11, 6)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    plist.set_obj_track_times(False)
    h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist)
    file["compact"][...] = values(11, 6)

# Behind a block of the user's own.
with write("userblock.h5", userblock_size=512) as file:
    file["emb"] = values(3, 2)
    file["other"] = values(2, 2)
    file["id"] = np.array([7, 2**63, 9], "u8")

# What is refused.
with write("refused.h5") as file:
    file["flat"] = np.arange(6, dtype="f4")
    file["cube"] = np.zeros((2, 3, 4), "f4")
    file["bools"] = np.zeros((2, 3), bool)
    file["words"] = np.array([b"ab", b"cd"])
    file["complex"] = np.zeros((2, 3), "c8")
    file["large"] = np.array([[1, 2], [3, 2**24 + 1]])
    file["negative"] = np.array([-5, 1])
    file.create_dataset("lzf", data=values(4, 2), compression="lzf")
    file.create_dataset("unwritten", shape=(4, 2), dtype="f4")
    file.create_dataset("half", shape=(8, 2), dtype="f4", chunks=(4, 2))[:4] = values(4, 2)
    file.create_dataset("empty", shape=(0, 3), dtype="f4")
