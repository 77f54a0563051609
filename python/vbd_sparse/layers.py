"""What each kind of layer computes, one function a kind.

`x` is `[batch, features]` or `[batch, channels, rows, columns]`. A unit is a feature or a channel.
All is computed in the type of `x`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A kernel or a pool on an image. Pairs are rows and columns."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    #: Before and after the rows, before and after the columns.
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def output(self, image: tuple[int, int]) -> tuple[int, int]:
        """Returns the rows and columns of the output. Windows beyond the padding are dropped."""
        rows, columns = (
            (before + side + after - kernel) // stride + 1
            for kernel, stride, (before, after), side in zip(
                self.kernel, self.stride, self.padding, image
            )
        )
        return rows, columns


def same_padding(
    kernel: tuple[int, int], stride: tuple[int, int], image: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the padding for `ceil(side / stride)` outputs.

    An odd number of zeros has the additional one below and to the right.
    """
    zeros = (
        max((-(-side // step) - 1) * step + size - side, 0)
        for size, step, side in zip(kernel, stride, image)
    )
    rows, columns = ((total // 2, total - total // 2) for total in zeros)
    return rows, columns


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Returns `x W^T + b`, with images flattened. `weight` is `[out, in]`."""
    y = flatten(x) @ weight.T
    return y if bias is None else y + bias


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    window: Window,
    groups: int = 1,
) -> np.ndarray:
    """Returns the cross-correlation of images with `weight`, `[out, in / groups, rows, columns]`.

    Each group of outputs reads the inputs of its group.
    """
    outputs, inputs = weight.shape[:2]
    rows, columns = window.output(x.shape[2:])
    places = weight.reshape(groups, outputs // groups, inputs, math.prod(window.kernel))
    places = np.ascontiguousarray(np.moveaxis(places, -1, 0))
    y = np.zeros((len(x), groups, outputs // groups, rows * columns), x.dtype)
    for place, tap in zip(places, _taps(x, window, 0)):
        y += place @ tap.reshape(len(x), groups, inputs, rows * columns)
    y = y.reshape(len(x), outputs, rows, columns)
    return y if bias is None else y + _per_unit(bias, y)


def max_pool2d(x: np.ndarray, window: Window) -> np.ndarray:
    """Returns the maximum of each window. Padding is never the maximum."""
    return reduce(np.maximum, _taps(x, window, -np.inf))


def avg_pool2d(x: np.ndarray, window: Window) -> np.ndarray:
    """Returns the average of each window. Padding counts as zeros."""
    total = reduce(np.add, _taps(x, window, 0))
    return total / x.dtype.type(window.kernel[0] * window.kernel[1])


def relu(x: np.ndarray) -> np.ndarray:
    """Returns `max(x, 0)`."""
    return np.maximum(x, 0)


def softplus(x: np.ndarray) -> np.ndarray:
    """Returns `ln(1 + e^x)`."""
    return np.logaddexp(x, x.dtype.type(0))


def add(*xs: np.ndarray) -> np.ndarray:
    """Returns the sum of values of equal shape."""
    return reduce(np.add, xs)


def flatten(x: np.ndarray) -> np.ndarray:
    """Returns `[batch, features]`, the channels one after another."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def scale(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Returns `x w + b` with one `w` and one `b` per unit."""
    return x * _per_unit(weight, x) + _per_unit(bias, x)


def select(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Returns the units of `index`."""
    return x[:, index]


def _per_unit(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _taps(x: np.ndarray, window: Window, outside: float) -> Iterator[np.ndarray]:
    """Yields the values of each place in the window at all positions, row by row of the window."""
    rows, columns = window.output(x.shape[2:])
    x = np.pad(x, [(0, 0), (0, 0), *window.padding], constant_values=outside)
    for i, j in np.ndindex(*window.kernel):
        tap = x[:, :, i :: window.stride[0], j :: window.stride[1]]
        yield tap[:, :, :rows, :columns]
