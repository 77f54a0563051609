"""A pruned net: its weights, and running it."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from . import layers
from .file import (
    VALUE_TYPES,
    FileError,
    Tensors,
    check_choice,
    check_keys,
    errors_name,
    read,
)
from .network import MOST_FLOAT32, Layer, resolve
from .weights import Named, Weights, take_weight

VERSION = 4
SAMPLES = 64  # computed at once, which bounds the memory
UNBIASED_ROWS = 1 << 16  # that the size of a file need not justify


class Net(Weights):
    """A pruned net. Made by `load`.

    Its `weights` are the weights and biases of `linear`, `conv2d` and `scale` layers, named as in a
    PyTorch state dict: `fc1.weight`, `fc1.bias`. A layer with `bias = false` has no bias.
    """

    def __init__(
        self,
        metadata: dict[str, Any],
        network: list[Layer],
        tensors: Named,
        indices: dict[str, np.ndarray],
        normalizer: tuple[np.float32, np.ndarray, np.ndarray],
    ) -> None:
        super().__init__(metadata, tensors)
        #: The network, as in its TOML file.
        self.spec: dict[str, Any] = metadata["spec"]
        #: The units that each `select` layer keeps, by the layer's name.
        self.indices = indices
        self._network = network
        self._normalizer = normalizer

    def normalize(self, x: np.ndarray) -> np.ndarray:
        """Returns `(x * scale - mean) / std` of raw samples, `[n, *input]`, f32.

        `x` is u8 or f32, `[n, *input]` or `[n, features]`, and for images of one channel also
        `[n, rows, columns]`.
        """
        x, shape = np.asarray(x), tuple(self.spec["input"])
        if x.dtype not in (np.uint8, np.float32):
            raise TypeError(f"expected samples of uint8 or float32, got {x.dtype}")
        plane = shape[1:] if shape[0] == 1 else shape
        if x.ndim < 2 or x.shape[1:] not in (shape, (math.prod(shape),), plane):
            expected = ", ".join(str(side) for side in shape)
            raise ValueError(f"expected samples of shape [n, {expected}], got {list(x.shape)}")
        scale, mean, std = self._normalizer
        return (x.reshape(len(x), *shape).astype(np.float32) * scale - mean) / std

    def run(self, x: np.ndarray) -> np.ndarray:
        """Returns the outputs `[n, outputs]`, f32, of raw samples as `normalize` takes them."""
        x = np.asarray(x)
        starts = range(0, max(len(x), 1), SAMPLES)
        return np.concatenate([self._run(x[start : start + SAMPLES]) for start in starts])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns the class of each raw sample, `[n]`."""
        if self.spec.get("loss") == "mse":
            raise ValueError("an autoencoder has no classes: use run")
        return self.run(x).argmax(axis=1)

    def _run(self, x: np.ndarray) -> np.ndarray:
        values = [self.normalize(x)]
        for layer in self._network:
            values.append(self._compute(layer, [values[number] for number in layer.inputs]))
        return layers.flatten(values[-1])

    def _compute(self, layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
        kind, x, weights = layer.kind, inputs[0], self.weights
        weight, bias = layer.name + ".weight", layer.name + ".bias"
        if kind == "linear":
            return layers.linear(x, weights[weight], weights.get(bias))
        if kind == "conv2d":
            return layers.conv2d(x, weights[weight], weights.get(bias), layer.window, layer.groups)
        if kind == "scale":
            return layers.scale(x, weights[weight], weights[bias])
        if kind == "select":
            return layers.select(x, self.indices[layer.name])
        if kind == "add":
            return layers.add(*inputs)
        if kind == "max_pool2d":
            return layers.max_pool2d(x, layer.window)
        if kind == "avg_pool2d":
            return layers.avg_pool2d(x, layer.window)
        if kind == "relu":
            return layers.relu(x)
        if kind == "softplus":
            return layers.softplus(x)
        return layers.flatten(x)


def load(path: str | os.PathLike[str]) -> Net:
    """Reads a pruned file, as `vbd prune` writes it.

    Raises `FileError`, which names the file and the tensor, if it is not such a file.
    """
    with errors_name(path):
        metadata, tensors = read(path, "pruned", VERSION)
        optional = ["method", "threshold", "before", "provenance"]
        check_keys(metadata, ["version", "kind", "spec", "values"], optional, "vbd")
        network = resolve(metadata["spec"])
        _check_provenance(metadata.get("provenance", {}), metadata["spec"]["input"])
        return _take_net(metadata, network, tensors)


def _check_provenance(provenance: Any, shape: list[int]) -> None:
    """Checks the numbers. Unknown keys are ignored."""
    if not isinstance(provenance, dict):
        raise FileError("expected a JSON object", "provenance")
    for key, most in (("test_error", 1), ("test_loss", MOST_FLOAT32), ("kl_weight", MOST_FLOAT32)):
        value = provenance.get(key, 0)
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise FileError(f"got {value!r}, expected 0 to {most}", f"provenance.{key}")
    blank = provenance.get("blank")
    if blank is not None:
        channels = shape[0] if len(shape) == 3 else -1
        if not isinstance(blank, list) or len(blank) != channels:
            raise FileError("expected one number per channel of an image", "provenance.blank")
        if any(type(value) is not int or not 0 <= value <= 255 for value in blank):
            raise FileError(f"got {blank}, expected 0 to 255", "provenance.blank")


def _take_net(metadata: dict[str, Any], network: list[Layer], tensors: Tensors) -> Net:
    dtype = VALUE_TYPES[check_choice(metadata["values"], VALUE_TYPES, "values")]
    rows = sum(layer.weight[0] for layer in network if layer.weight and not layer.has_bias)
    if rows > UNBIASED_ROWS + tensors.file_bytes:
        raise FileError(f"too many rows without a bias: {rows}", "spec.layer")
    named: Named = {}
    indices: dict[str, np.ndarray] = {}
    for layer in network:
        weight, bias, units = layer.name + ".weight", layer.name + ".bias", layer.shape[:1]
        # The bias first: the file has as many biases as the weight has rows.
        if layer.has_bias or layer.kind == "scale":
            named[bias] = tensors.take_values(bias, dtype, units)
        if layer.weight:
            named[weight] = take_weight(tensors, weight, layer.weight, dtype)
        elif layer.kind == "scale":
            named[weight] = tensors.take_values(weight, dtype, units)
        elif layer.kind == "select":
            indices[layer.name] = _take_index(tensors, layer)
    normalizer = _take_normalizer(metadata["spec"], tensors)
    for name in tensors.infos:
        raise FileError("unknown tensor", name)
    return Net(metadata, network, named, indices, normalizer)


def _take_index(tensors: Tensors, layer: Layer) -> np.ndarray:
    name, units = layer.name + ".index", layer.reads[0]
    index = tensors.take(name, ["I32"], layer.shape[:1])
    if index[0] < 0 or index[-1] >= units or (index[1:] <= index[:-1]).any():
        raise FileError(f"indices must increase and be 0 to {units - 1}", name)
    return index


def _take_normalizer(
    spec: dict[str, Any], tensors: Tensors
) -> tuple[np.float32, np.ndarray, np.ndarray]:
    """Takes scale, mean and std: one number, one per channel, or one per value of the input."""
    rule, shape = spec.get("normalize", {}), spec["input"]

    def statistic(key: str, default: float) -> np.ndarray:
        value = rule.get(key, default)
        if value == "image":
            return tensors.take_values(f"normalize.{key}", "F32", shape)
        numbers = np.array(value, np.float32)
        return numbers.reshape(-1, *[1] * (len(shape) - 1)) if numbers.ndim else numbers

    scale, mean, std = np.float32(rule.get("scale", 1)), statistic("mean", 0), statistic("std", 1)
    if not (std > 0).all():
        raise FileError("standard deviations must be positive", "normalize.std")
    with np.errstate(all="ignore"):
        extremes = [(np.float32(pixel) * scale - mean) / std for pixel in (0, 255)]
    if not np.isfinite(extremes).all():
        raise FileError("inputs become infinite", "spec.normalize")
    return scale, mean, std
