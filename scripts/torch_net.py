"""PyTorch modules of networks, and the data of MNIST and CIFAR-10: for scripts/exports and scripts/from_pytorch."""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from read_vbd import groups_of, read_vbd, shapes_of, window_of  # noqa: E402, F401


class Scale(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(units)), nn.Parameter(torch.zeros(units))

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * self.weight.reshape(shape) + self.bias.reshape(shape)


class Select(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.register_buffer("index", torch.zeros(units, dtype=torch.int64))

    def forward(self, x):
        return x.index_select(1, self.index)


class Net(nn.Module):
    """The module of a network: a submodule for each layer with tensors, under the layer's name."""

    def __init__(self, spec):
        super().__init__()
        self.steps, last = [], "input"
        for number, (layer, shape, weight) in enumerate(shapes_of(spec)):
            reads = layer.get("inputs") or [layer.get("input", last)]
            last = layer.get("name", f"layer {number}")
            self.steps.append((self.step(layer, shape, weight), reads, last))

    def step(self, layer, shape, weight):
        kind, name = layer["kind"], layer.get("name")
        bias = layer.get("bias", True)
        if kind == "linear":
            setattr(self, name, nn.Linear(weight[1], weight[0], bias))
            return lambda x: getattr(self, name)(x.flatten(1))
        if kind in ("scale", "select"):
            setattr(self, name, Scale(shape[0]) if kind == "scale" else Select(layer["units"]))
            return lambda x: getattr(self, name)(x)
        if kind == "batch_norm":
            norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            setattr(self, name, norm(shape[0], layer.get("eps", 1e-5), layer.get("momentum", 0.1)))
            return lambda x: getattr(self, name)(x)
        simple = {"relu": F.relu, "softplus": F.softplus, "flatten": lambda x: x.flatten(1), "add": torch.add}
        if kind in simple:
            return simple[kind]
        kernel, stride, start, end, _ = window_of(layer, shape)
        pads = (start[1], end[1], start[0], end[0])
        if kind == "conv2d":
            groups = groups_of(layer, shape[0])
            setattr(self, name, nn.Conv2d(shape[0], weight[0], tuple(kernel), tuple(stride), groups=groups, bias=bias))
            return lambda x: getattr(self, name)(F.pad(x, pads))
        if kind == "max_pool2d":
            return lambda x: F.max_pool2d(F.pad(x, pads, value=float("-inf")), kernel, stride)
        return lambda x: F.avg_pool2d(F.pad(x, pads), kernel, stride)

    def forward(self, x):
        values = {"input": x}
        for step, reads, makes in self.steps:
            x = values[makes] = step(*(values[value] for value in reads))
        return x


def samples(spec, data_dir, split="test"):
    """Images as a network takes them, f32, and labels, of a split: CIFAR-10's for three channels, else MNIST's."""
    if spec["input"][0] == 3:
        names = {"test": ["test_batch"], "train": [f"data_batch_{number}" for number in range(1, 6)]}[split]
        files = [np.fromfile(data_dir / f"cifar-10/{name}.bin", np.uint8) for name in names]
        rows = np.concatenate(files).reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32), rows[:, 0].astype(np.int64)
    prefix = {"test": "t10k", "train": "train"}[split]

    def read(name, start):
        with gzip.open(data_dir / f"mnist/{prefix}-{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8)[start:]

    images = read("images-idx3", 16).reshape(-1, 1, 28, 28).astype(np.float32)
    return images, read("labels-idx1", 8).astype(np.int64)


def normalised(images, spec, tensors=None):
    """Images as `spec.normalize` says; the mean image of a file is among its `tensors`."""
    rule = spec.get("normalize", {})

    def statistic(name, default):
        if rule.get(name) == "image":
            return tensors[f"normalize.{name}"]
        value = np.array(rule.get(name, default), np.float32)
        return value.reshape(-1, 1, 1) if value.ndim else value

    mean, std = statistic("mean", 0.0), statistic("std", 1.0)
    return torch.from_numpy((images * np.float32(rule.get("scale", 1.0)) - mean) / std)


@torch.inference_mode()
def wrong(net, x, labels):
    answers = torch.cat([net(part).argmax(1) for part in x.split(500)])
    return int((answers != torch.from_numpy(labels)).sum())
