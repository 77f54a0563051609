"""A network: its layers, with the sizes that follow from others."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .file import FileError, check_choice, check_count, check_keys
from .layers import Window, same_padding
from .weights import MOST_ENTRIES

MOST_VALUES = 1 << 24  # per sample between two layers
MOST_LAYERS = 1 << 12
MOST_SUMMANDS = 256
MOST_FLOAT32 = float(np.finfo(np.float32).max)
RESERVED = ("normalize", "gate", "input", "flatten")

NO_WINDOW = Window((1, 1))

# Keys of each kind, besides `kind`: those that it must have, and those that it may have.
KEYS = {
    "linear": ("name out_features", "input bias"),
    "conv2d": ("name out_channels kernel", "input stride padding groups bias"),
    "relu": ("", "name input"),
    "softplus": ("", "name input"),
    "flatten": ("", "name input"),
    "max_pool2d": ("kernel", "name input stride padding"),
    "avg_pool2d": ("kernel", "name input stride padding"),
    "add": ("inputs", "name"),
    "scale": ("name", "input"),
    "select": ("name units", "input"),
}


@dataclass
class Layer:
    """A layer. Shapes are without the batch."""

    kind: str
    #: Its name, or its kind and number.
    name: str
    #: Numbers of the values that it reads: 0 is the network's input, `n` the output of layer `n`.
    inputs: list[int]
    #: Shape of what it reads.
    reads: tuple[int, ...]
    #: Shape of its output.
    shape: tuple[int, ...]
    #: Shape of its weight.
    weight: tuple[int, ...] = ()
    has_bias: bool = False
    window: Window = NO_WINDOW
    groups: int = 1


def resolve(spec: Any) -> list[Layer]:
    """Returns the layers of a network of untrusted JSON."""
    check_keys(spec, ["name", "input", "layer"], ["classes", "loss", "target", "normalize"], "spec")
    shapes = [_input_shape(spec["input"])]
    _check_normalize(spec.get("normalize", {}), shapes[0])
    names, layers = {"input": 0}, []
    if not isinstance(spec["name"], str):
        raise FileError("expected a text", "spec.name")
    if not isinstance(spec["layer"], list) or len(spec["layer"]) > MOST_LAYERS:
        raise FileError(f"expected a list of up to {MOST_LAYERS} layers", "spec.layer")
    for number, table in enumerate(spec["layer"], start=1):
        kind = table.get("kind") if isinstance(table, dict) else None
        kind = check_choice(kind, KEYS, f"layer {number}")
        required, optional = (keys.split() for keys in KEYS[kind])
        check_keys(table, ["kind", *required], optional, f"layer {number}")
        inputs = _inputs(table, number, names)
        name = table.get("name")
        if name is not None:
            _check_name(name, names)
            names[name] = number
        label = f"{kind} (layer {number})" if name is None else name
        reads = shapes[inputs[0]]
        if any(shapes[other] != reads for other in inputs):
            raise FileError("inputs must have equal shapes", label)
        layer = Layer(kind, label, inputs, reads, reads)
        _size(layer, table)
        if math.prod(layer.shape) > MOST_VALUES or math.prod(layer.weight) > MOST_ENTRIES:
            raise FileError(f"too large: output {layer.shape}, weight {layer.weight}", label)
        shapes.append(layer.shape)
        layers.append(layer)
    _check_output(spec, layers)
    return layers


def _input_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) not in (1, 3):
        raise FileError("expected [channels, rows, columns] or [features]", "spec.input")
    for side in shape:
        check_count(side, MOST_VALUES, "spec.input")
    check_count(math.prod(shape), MOST_VALUES, "spec.input")
    return tuple(shape)


def _check_normalize(rule: Any, shape: tuple[int, ...]) -> None:
    """Checks a normalisation, apart from images of means or standard deviations."""
    check_keys(rule, [], ["scale", "mean", "std"], "spec.normalize")
    for key, value in rule.items():
        where = f"spec.normalize.{key}"
        if value == "image" and key != "scale":
            continue
        numbers = value if isinstance(value, list) and key != "scale" else [value]
        if isinstance(value, list) and len(numbers) != shape[0]:
            raise FileError(f"expected one number, or {shape[0]}: one per channel", where)
        for number in numbers:
            if type(number) not in (int, float) or not abs(number) <= MOST_FLOAT32:
                raise FileError(f"got {number!r}, expected a number", where)
            number = np.float32(number)
            if (key == "scale" and number == 0) or (key == "std" and number <= 0):
                raise FileError(f"out of range: {number}", where)


def _inputs(table: dict[str, Any], number: int, names: dict[str, int]) -> list[int]:
    where = f"layer {number}"
    if table["kind"] != "add":
        if table.get("input") is None:
            return [number - 1]
        return [names[check_choice(table["input"], names, where)]]
    inputs = table["inputs"]
    if not isinstance(inputs, list) or not 2 <= len(inputs) <= MOST_SUMMANDS:
        raise FileError(f"expected `inputs` of 2 to {MOST_SUMMANDS} layers", where)
    return [names[check_choice(name, names, where)] for name in inputs]


def _check_name(name: Any, names: dict[str, int]) -> None:
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
        raise FileError(f"invalid layer name {name!r}", "spec.layer")
    if name in RESERVED or name in names:
        raise FileError("reserved or duplicate layer name", name)


def _size(layer: Layer, table: dict[str, Any]) -> None:
    """Works out the output, the weight and the window."""
    kind, where = layer.kind, layer.name
    if kind in ("linear", "conv2d"):
        layer.has_bias = table.get("bias", True)
        if type(layer.has_bias) is not bool:
            raise FileError("expected `bias` to be true or false", where)
    if kind == "linear":
        outputs = check_count(table["out_features"], MOST_VALUES, where)
        layer.shape, layer.weight = (outputs,), (outputs, math.prod(layer.reads))
    elif kind == "flatten":
        layer.shape = (math.prod(layer.reads),)
    elif kind == "select":
        layer.shape = (check_count(table["units"], layer.reads[0], where), *layer.reads[1:])
    elif kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        if len(layer.reads) != 3:
            raise FileError(f"input must be an image, got {layer.reads}", where)
        channels, *image = layer.reads
        layer.window = _window(table, (image[0], image[1]), where)
        outputs = channels
        if kind == "conv2d":
            outputs = check_count(table["out_channels"], MOST_VALUES, where)
            groups = table.get("groups", 1)
            groups = channels if groups == "depthwise" else check_count(groups, channels, where)
            if channels % groups or outputs % groups:
                raise FileError(f"{groups} groups do not divide {channels} and {outputs}", where)
            layer.groups = groups
            layer.weight = (outputs, channels // groups, *layer.window.kernel)
        layer.shape = (outputs, *layer.window.output((image[0], image[1])))


def _window(table: dict[str, Any], image: tuple[int, int], where: str) -> Window:
    is_pool = table["kind"] != "conv2d"
    is_all = table["kind"] == "avg_pool2d" and table["kernel"] == "all"
    kernel = image if is_all else _sides(table["kernel"], 1, where)
    if is_pool and table.get("stride") is None:
        stride = kernel
    else:
        stride = _sides(table.get("stride", 1), 1, where)
    padding = table.get("padding", 0)
    if padding == "same" and not is_pool:
        window = Window(kernel, stride, same_padding(kernel, stride, image))
    else:
        rows, columns = _sides(padding, 0, where)
        if is_pool and (rows > kernel[0] // 2 or columns > kernel[1] // 2):
            raise FileError(f"padding {padding} is more than half of the pool", where)
        window = Window(kernel, stride, ((rows, rows), (columns, columns)))
    padded = [side + sum(pads) for side, pads in zip(image, window.padding)]
    if max(padded) > MOST_VALUES or math.prod(kernel) > MOST_ENTRIES:
        raise FileError(f"window {kernel} or padded image {padded} is too large", where)
    if any(size > side for size, side in zip(kernel, padded)):
        raise FileError(f"window {kernel} does not fit its padded image {padded}", where)
    return window


def _sides(value: Any, least: int, where: str) -> tuple[int, int]:
    """Returns rows and columns: a number is both."""
    sides = value if isinstance(value, list) else [value, value]
    is_side = [type(side) is int and least <= side < 1 << 64 for side in sides]
    if is_side != [True, True]:
        raise FileError(f"got {value!r}, expected a number or [rows, columns]", where)
    return sides[0], sides[1]


def _check_output(spec: dict[str, Any], layers: list[Layer]) -> None:
    if not any(layer.weight for layer in layers):
        raise FileError("network has no linear or conv2d layer", "spec.layer")
    read = {number for layer in layers for number in layer.inputs}
    for number, layer in enumerate(layers[:-1], start=1):
        if number not in read:
            raise FileError("output is not used by any layer", layer.name)
    loss = check_choice(spec.get("loss", "cross-entropy"), ["cross-entropy", "mse"], "spec.loss")
    target, classes = spec.get("target"), spec.get("classes")
    shape = layers[-1].shape
    if loss == "mse":
        if target != "input" or classes is not None:
            raise FileError("expected `target` input and no `classes`", "spec.loss")
        expected = (math.prod(spec["input"]),)
        shape = (math.prod(shape),)
    else:
        if target is not None:
            raise FileError("only allowed with loss mse", "spec.target")
        expected = (check_count(classes, MOST_VALUES, "spec.classes"),)
    if shape != expected:
        raise FileError(f"output shape is {shape}, expected {expected}", layers[-1].name)
