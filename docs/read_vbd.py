"""Reads a pruned file: `python3 read_vbd.py FILE OUT.npz` writes every tensor dense. See format.md."""
import json, math, sys
import numpy as np
from safetensors import deserialize, safe_open

TYPES = {"U8": "u1", "U16": "<u2", "I32": "<i4", "I64": "<i8", "F16": "<f2", "F32": "<f4"}

def to_array(info):
    data = bytes(info["data"])
    if info["dtype"] == "BF16":  # the upper half of an f32
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, TYPES[info["dtype"]])
    return values.reshape(info["shape"])

def pair(size):
    """Rows and columns: a number is both."""
    return size if isinstance(size, list) else [size, size]

def window_of(layer, image):
    """A layer's window on `[channels, rows, columns]`: kernel, stride, padding before and after, and
    outputs, each for rows and columns."""
    kernel = list(image[1:]) if layer["kernel"] == "all" else pair(layer["kernel"])
    pools = layer["kind"] != "conv2d"
    stride = pair(layer.get("stride") or (kernel if pools else 1))
    if layer.get("padding") == "same":  # the odd zero is below and to the right
        out = [-(-side // step) for side, step in zip(image[1:], stride)]
        pads = [max((o - 1) * step + k - side, 0)
                for o, step, k, side in zip(out, stride, kernel, image[1:])]
        before = [pad // 2 for pad in pads]
        return kernel, stride, before, [pad - b for pad, b in zip(pads, before)], out
    before = pair(layer.get("padding", 0))
    out = [(side + 2 * pad - k) // step + 1
           for side, pad, k, step in zip(image[1:], before, kernel, stride)]
    return kernel, stride, before, before, out

def groups_of(layer, channels):
    groups = layer.get("groups", 1)
    return channels if groups == "depthwise" else groups

def shapes_of(spec):
    """For each layer, the shape of what it reads and the shape of its weight, if it has one."""
    shape, shapes = spec["input"], {"input": spec["input"]}
    for layer in spec["layer"]:
        if "input" in layer or "inputs" in layer:  # else it reads the one before it
            shape = shapes[layer["input"] if "input" in layer else layer["inputs"][0]]
        reads, weight = shape, None
        if layer["kind"] == "linear":
            weight = (layer["out_features"], math.prod(shape))
            shape = [layer["out_features"]]
        elif layer["kind"] == "conv2d":
            kernel, *_, out = window_of(layer, shape)
            weight = (layer["out_channels"], shape[0] // groups_of(layer, shape[0]), *kernel)
            shape = [layer["out_channels"], *out]
        elif layer["kind"] in ("max_pool2d", "avg_pool2d"):
            shape = [shape[0], *window_of(layer, shape)[-1]]
        elif layer["kind"] == "flatten":
            shape = [math.prod(shape)]
        elif layer["kind"] == "select":
            shape = [layer["units"]] + shape[1:]
        shapes[layer.get("name")] = shape
        yield layer, reads, weight

def kept_places(t, name, rows, cols):
    """Flat places of the kept entries, and the suffix of the tensor of their values."""
    if name + ".gaps" in t:
        gaps = t[name + ".gaps"].astype(np.int64)
        return (np.cumsum(gaps + (gaps < 255)) - 1)[gaps < 255], ".values"
    if name + ".crow_indices" in t:
        row = np.repeat(np.arange(rows), np.diff(t[name + ".crow_indices"].astype(np.int64)))
        return row * cols + t[name + ".col_indices"], ".values"
    bits = np.unpackbits(t[name + ".bitmask"], axis=1, count=cols, bitorder="little")
    return np.flatnonzero(bits), ".compressed"

def read_vbd(path):
    """The metadata, and every weight, bias and image by name, as f32; an index as i64."""
    with safe_open(path, "numpy") as file:
        meta = json.loads(file.metadata()["vbd"])
    assert meta["version"] in (1, 2, 3, 4) and meta["kind"] == "pruned"
    with open(path, "rb") as file:
        t = {name: to_array(info) for name, info in deserialize(file.read())}
    out = {name: t[name] for name in t if name.endswith(".bias") or name.startswith("normalize.")}
    for layer, _, shape in shapes_of(meta["spec"]):
        if shape is None:
            continue
        name, rows = layer["name"] + ".weight", shape[0]
        if not layer.get("bias", True):
            out[layer["name"] + ".bias"] = np.zeros(rows, np.float32)
        if name in t:
            out[name] = t[name]
        else:
            places, suffix = kept_places(t, name, rows, math.prod(shape[1:]))
            out[name] = np.zeros(math.prod(shape), np.float32)
            out[name][places] = t[name + suffix]
            out[name] = out[name].reshape(shape)
    for layer in meta["spec"]["layer"]:
        if layer["kind"] == "scale":
            out[layer["name"] + ".weight"] = t[layer["name"] + ".weight"]
    out = {name: values.astype(np.float32) for name, values in out.items()}
    out.update((name, t[name].astype(np.int64)) for name in t if name.endswith(".index"))
    return meta, out

if __name__ == "__main__":
    np.savez(sys.argv[2], **read_vbd(sys.argv[1])[1])
