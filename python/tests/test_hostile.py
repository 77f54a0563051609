"""Mutated files raise `FileError` and nothing else, exactly where the binary refuses them."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest
from support import (
    SIZES,
    Raw,
    encode_integers,
    encode_values,
    encode_weight,
    read_raw,
    to_bytes,
    vbd_reads,
)

import vbd_sparse

SPEC = {
    "name": "all",
    "input": [2, 7, 6],
    "classes": 3,
    "normalize": {"scale": 0.25, "mean": "image", "std": [1.5, 2]},
    "layer": [
        {"kind": "select", "name": "picked", "units": 2},
        {"kind": "conv2d", "name": "a", "out_channels": 4, "kernel": [3, 2], "stride": [1, 2],
         "padding": "same", "groups": 2},
        {"kind": "relu"},
        {"kind": "conv2d", "name": "b", "out_channels": 4, "kernel": 3, "padding": [1, 1],
         "groups": "depthwise", "bias": False},
        {"kind": "softplus", "name": "c"},
        {"kind": "scale", "name": "d"},
        {"kind": "add", "inputs": ["c", "d"]},
        {"kind": "max_pool2d", "name": "e", "kernel": 2, "stride": [2, 1], "padding": 1},
        {"kind": "avg_pool2d", "kernel": "all"},
        {"kind": "flatten"},
        {"kind": "linear", "name": "f", "out_features": 5},
        {"kind": "linear", "name": "g", "out_features": 5, "input": "e"},
        {"kind": "add", "inputs": ["f", "g"]},
        {"kind": "linear", "name": "h", "out_features": 3},
    ],
}  # fmt: skip
SHAPES = {"a": (4, 1, 3, 2), "b": (4, 1, 3, 3), "f": (5, 4), "g": (5, 64), "h": (3, 5)}
LAYOUTS = {"a": "bitmask", "b": "csr", "f": "dense", "g": "delta", "h": "csr"}


def whole_net() -> tuple[dict[str, Any], Raw]:
    """Every kind of layer and every layout, by hand."""
    rng = np.random.default_rng(0)
    tensors: Raw = {}
    for name, shape in SHAPES.items():
        kept = rng.random(shape) < (0.02 if name == "g" else 0.5)
        weight = np.where(kept, rng.normal(size=shape), 0).astype(np.float32)
        tensors |= encode_weight(f"{name}.weight", weight, LAYOUTS[name], "f32")
    for name, units in {"a": 4, "f": 5, "g": 5, "h": 3, "d": 4}.items():
        tensors[f"{name}.bias"] = encode_values(rng.normal(size=units), "f32")
    tensors["d.weight"] = encode_values(rng.normal(size=4), "f32")
    tensors["normalize.mean"] = encode_values(rng.normal(size=(2, 7, 6)), "f32")
    tensors["picked.index"] = encode_integers([0, 1], "I32")
    return {"version": 4, "kind": "pruned", "spec": copy.deepcopy(SPEC), "values": "f32"}, tensors


def whole_weights() -> tuple[dict[str, Any], Raw]:
    """A file of the same weights without a network."""
    weights = [{"name": f"{name}.weight", "shape": list(shape)} for name, shape in SHAPES.items()]
    return {"version": 1, "kind": "weights", "values": "f32", "weights": weights}, whole_net()[1]


def is_read(path: Path, load: Callable[[Path], Any] = vbd_sparse.load) -> bool:
    """Whether the file is read. Any error but a `FileError` that names the file fails the test."""
    try:
        load(path)
    except vbd_sparse.FileError as error:
        assert str(error).startswith(str(path))
        return False
    return True


def assert_refused(path: Path, where: str) -> None:
    with pytest.raises(vbd_sparse.FileError) as caught:
        vbd_sparse.load(path)
    assert caught.value.where == where and f"`{where}`" in str(caught.value), str(caught.value)


def test_the_net_of_these_tests_is_read_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    path.write_bytes(to_bytes(*whole_net()))
    net = vbd_sparse.load(path)
    assert net.run(np.zeros((3, 2, 7, 6), np.uint8)).shape == (3, 3)
    assert {name: net.weights[name + ".weight"].shape for name in SHAPES} == SHAPES
    assert "b.bias" not in net.weights and net.indices["picked"].tolist() == [0, 1]


@pytest.mark.parametrize("name", sorted(whole_net()[1]))
def test_a_tensor_that_is_missing_or_of_another_type_or_shape_is_named(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "file.safetensors"
    metadata, tensors = whole_net()
    dtype, shape, data = tensors[name]

    def refused(changed: Raw, where: str = name) -> None:
        path.write_bytes(to_bytes(metadata, changed))
        assert_refused(path, where)

    missing = {key: value for key, value in tensors.items() if key != name}
    # Without the tensor that determines a layout, the weight itself is missing.
    is_sign = name.endswith((".crow_indices", ".gaps", ".bitmask"))
    refused(missing, name.rsplit(".", 1)[0] if is_sign else name)
    other = next(key for key, size in SIZES.items() if key != dtype and SIZES[dtype] % size == 0)
    count = len(data) // SIZES[other]
    # An f32 tensor as U8 has another shape too; the type is checked first.
    refused({**tensors, name: (other, shape if SIZES[other] == SIZES[dtype] else [count], data)})
    refused({**tensors, name: (dtype, [1, *shape], data)})
    refused({**tensors, f"{name}.more": (dtype, shape, data)}, f"{name}.more")


CONTENT = {
    "rows that do not begin at 0": ("b.weight.crow_indices", lambda t: t + 1),
    "rows that decrease": ("b.weight.crow_indices", lambda t: swapped(t, 1, 2)),
    "rows that end elsewhere": ("b.weight.crow_indices", lambda t: replaced(t, -1, t[-1] + 1)),
    "a column that is repeated": ("b.weight.col_indices", lambda t: replaced(t, 1, t[0])),
    "a column out of range": ("b.weight.col_indices", lambda t: replaced(t, 0, 9)),
    "columns that decrease": ("b.weight.col_indices", lambda t: swapped(t, 0, 1)),
    "gaps beyond the weight": ("g.weight.gaps", lambda t: replaced(t, 0, 254)),
    "gaps that end in 255": ("g.weight.gaps", lambda t: replaced(t, -1, 255)),
    "a bit beyond the last column": ("a.weight.bitmask", lambda t: t | 0x40),
    "offsets that are not the counts": ("a.weight.row_offsets", lambda t: t + 1),
    "another shape": ("a.weight.shape", lambda t: t[::-1].copy()),
    "indices that decrease": ("picked.index", lambda t: t[::-1].copy()),
    "an index out of range": ("picked.index", lambda t: t * 2),
    "a negative index": ("picked.index", lambda t: t - 1),
    "a stored zero": ("g.weight.values", lambda t: replaced(t, 0, 0)),
    "an entry that is not finite": ("g.weight.values", lambda t: replaced(t, 0, np.nan)),
    "a weight that is not finite": ("f.weight", lambda t: replaced(t, (0, 0), np.inf)),
    "a bias that is not finite": ("h.bias", lambda t: replaced(t, 0, -np.inf)),
    "a scale that is not finite": ("d.weight", lambda t: replaced(t, 0, np.nan)),
}  # fmt: skip


def replaced(array: np.ndarray, at: Any, value: Any) -> np.ndarray:
    array = array.copy()
    array[at] = value
    return array


def swapped(array: np.ndarray, a: int, b: int) -> np.ndarray:
    array = array.copy()
    array[[a, b]] = array[[b, a]]
    return array


def decode(tensor: tuple[str, list[int], bytes]) -> np.ndarray:
    kinds = {"U8": "u1", "U16": "<u2", "I32": "<i4", "I64": "<i8", "F32": "<f4"}
    return np.frombuffer(tensor[2], kinds[tensor[0]]).reshape(tensor[1])


@pytest.mark.parametrize("case", CONTENT)
def test_content_that_is_wrong_names_its_tensor(tmp_path: Path, case: str) -> None:
    path = tmp_path / "file.safetensors"
    metadata, tensors = whole_net()
    name, change = CONTENT[case]
    dtype, shape, _ = tensors[name]
    array = decode(tensors[name])
    tensors[name] = (dtype, shape, change(array).astype(array.dtype).tobytes())
    path.write_bytes(to_bytes(metadata, tensors))
    where = "a.weight.row_offsets" if case.startswith("offsets") else name
    assert_refused(path, where)


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    spec = {"name": "large", "input": [16384], "classes": 16384, "layer": []}
    spec["layer"] = [{"kind": "linear", "name": "a", "out_features": 16384, "bias": False}]
    empty = {"a.weight.gaps": ("U8", [0], b""), "a.weight.values": ("F32", [0], b"")}
    path = tmp_path / "large.safetensors"
    path.write_bytes(
        to_bytes({"version": 4, "kind": "pruned", "spec": spec, "values": "f32"}, empty)
    )
    tracemalloc.start()
    net = vbd_sparse.load(path)  # its weight is of 1 GB
    assert net.csr("a.weight").shape == (16384, 16384)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    spec["input"], spec["classes"] = [4], 1 << 20
    spec["layer"][0]["out_features"] = 1 << 20
    path.write_bytes(
        to_bytes({"version": 4, "kind": "pruned", "spec": spec, "values": "f32"}, empty)
    )
    assert_refused(path, "spec.layer")


# --- mutations at random: one generator each ---------------------------------------------------

Mutation = Callable[[random.Random, bytes], bytes]
NASTY = [
    *[None, True, False, 0, 1, 2, 3, -1, 0.5, 1e-50, 1e39, 1e300],
    *[2**24, 2**31, 2**32, 2**63, 2**64, 10**400],
    *["", "a", "same", "all", "image", "input", "depthwise", "mse", "relu", "linear", "batch_norm"],
    *[[], [1], [2, 2], [0, 1], [1, 2, 3], ["c", "d"], {}, {"kind": "relu"}, [[]], "\u00e9"],
]


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def extended(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.randint(1, 9))


def flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def without_tensor(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    del tensors[rng.choice(list(tensors))]
    return to_bytes(metadata, tensors)


def renamed(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    name, other = rng.sample(list(tensors), 2)
    tensors[rng.choice([other, name + "s", name.split(".")[0]])] = tensors.pop(name)
    return to_bytes(metadata, tensors)


def retyped(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    name = rng.choice(list(tensors))
    dtype, shape, content = tensors[name]
    same = [key for key, size in SIZES.items() if size == SIZES[dtype]]
    tensors[name] = (rng.choice(same), shape, content)
    return to_bytes(metadata, tensors)


def reshaped(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    name = rng.choice(list(tensors))
    dtype, shape, content = tensors[name]
    shape = rng.choice([[*shape, 1], [1, *shape], [len(content) // SIZES[dtype]], shape[::-1]])
    tensors[name] = (dtype, shape, content)
    return to_bytes(metadata, tensors)


def shortened(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    name = rng.choice([name for name, (_, shape, _) in tensors.items() if shape != [0]])
    dtype, shape, content = tensors[name]
    size = len(content) // shape[0]
    tensors[name] = (dtype, [shape[0] - 1, *shape[1:]], content[: len(content) - size])
    return to_bytes(metadata, tensors)


def renumbered(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    integers = [
        name for name, (dtype, shape, _) in tensors.items() if dtype != "F32" and shape != [0]
    ]
    name = rng.choice(integers)
    array = decode(tensors[name]).copy()
    at, most = rng.randrange(array.size), np.iinfo(array.dtype).max
    here = int(array.flat[at])
    array.flat[at] = rng.choice(
        [0, max(here - 1, 0), min(here + 1, most), 255, most, array.flat[0]]
    )
    tensors[name] = (*tensors[name][:2], array.tobytes())
    return to_bytes(metadata, tensors)


def revalued(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    name = rng.choice(
        [name for name, (dtype, shape, _) in tensors.items() if dtype == "F32" and shape != [0]]
    )
    array = decode(tensors[name]).copy()
    array.flat[rng.randrange(array.size)] = rng.choice(
        [0, -0.0, np.nan, np.inf, 3e38, 1e-45, -3e38]
    )
    tensors[name] = (*tensors[name][:2], array.tobytes())
    return to_bytes(metadata, tensors)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of every object and index of every list."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def respecified(rng: random.Random, data: bytes) -> bytes:
    metadata, tensors = read_raw(data)
    holder, key = rng.choice(list(places(metadata)))
    action = rng.random()
    if action < 0.7:
        holder[key] = copy.deepcopy(rng.choice(NASTY))
    elif action < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[rng.choice(["name", "input", "bias", "stride", "padding", "more"])] = copy.deepcopy(
            rng.choice(NASTY)
        )
    else:
        holder.insert(key, copy.deepcopy(rng.choice(holder)))
    return to_bytes(metadata, tensors)


MUTATIONS = [
    *[cut, extended, flipped, without_tensor, renamed, retyped, reshaped, shortened],
    *[renumbered, revalued, respecified],
]
CASES = {respecified: 150, renumbered: 60, revalued: 60, flipped: 60}


FILES = {"net": (whole_net, vbd_sparse.load), "weights": (whole_weights, vbd_sparse.load_weights)}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutated_files_are_refused_as_by_the_binary(
    tmp_path: Path, mutation: Mutation, file: str
) -> None:
    make, load = FILES[file]
    rng, data = random.Random(mutation.__name__), to_bytes(*make())
    for case in range(CASES.get(mutation, 20)):
        path = tmp_path / f"{case}.safetensors"
        path.write_bytes(mutation(rng, data))
        verdict = is_read(path, load)
        assert verdict == vbd_reads(path), f"{path}: read here: {verdict}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutated_files_raise_no_other_error(tmp_path: Path, mutation: Mutation) -> None:
    # Needs no binary.
    path, verdicts = tmp_path / "file.safetensors", set()
    for make, load in FILES.values():
        rng, data = random.Random(f"{mutation.__name__} alone"), to_bytes(*make())
        for _ in range(2 * CASES.get(mutation, 20)):
            path.write_bytes(mutation(rng, data))
            verdicts.add(is_read(path, load))
    assert False in verdicts


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("test_error", [0, 0.5, 1], [-0.1, 1.5, 5, "0", []]),
        ("test_loss", [0, 1.5, 3e38], [-1, 1e39, {}]),
        ("kl_weight", [0, 0.1], [-0.1, 1e300, True]),
        ("blank", [[0, 255]], [[], [0], [0, 1, 2], [0, 256], [-1, 0], [0.5, 1], 3]),
        ("unknown", [5, "a", None], []),
    ],
)
def test_numbers_of_the_provenance_are_in_their_ranges(
    tmp_path: Path, key: str, good: list, bad: list
) -> None:
    path = tmp_path / "file.safetensors"
    metadata, tensors = whole_net()
    for value in [*good, *bad]:
        path.write_bytes(to_bytes({**metadata, "provenance": {key: value}}, tensors))
        assert is_read(path) == vbd_reads(path) == (value in good), value


@pytest.mark.parametrize("depth", [100, 900, 5000, 100_000])
def test_metadata_of_any_depth_are_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.safetensors"
    metadata, tensors = whole_net()
    text = json.dumps({**metadata, "spec": {**SPEC, "input": "DEEP"}})
    path.write_bytes(to_bytes(text.replace('"DEEP"', "[" * depth + "]" * depth), tensors))
    assert not is_read(path)


@pytest.mark.parametrize("text", ["", "null", "[]", "5", '{"version": NaN}', "{", '"pruned"', "{}"])
def test_metadata_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text.safetensors"
    path.write_bytes(to_bytes(text, whole_net()[1]))
    assert not is_read(path)
