"""Every kind of layer against loops in f64."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vbd_sparse import layers
from vbd_sparse.layers import Window, same_padding

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def random_window(rng: np.random.Generator, image: tuple[int, int], is_pool: bool) -> Window:
    kernel = tuple(int(rng.integers(1, side + 1)) for side in image)
    stride = tuple(int(rng.integers(1, 4)) for _ in image)
    if not is_pool and rng.random() < 0.4:
        return Window(kernel, stride, same_padding(kernel, stride, image))
    most = [size // 2 for size in kernel] if is_pool else [2, 2]
    pads = [int(rng.integers(0, pad + 1)) for pad in most]
    return Window(kernel, stride, ((pads[0], pads[0]), (pads[1], pads[1])))


def window_places(window: Window, image: tuple[int, int], at: tuple[int, int]):
    """Yields each place of the window at a position, and the pixel there: None in the padding."""
    for place in itertools.product(*map(range, window.kernel)):
        pixel = tuple(
            out * step + k - before
            for out, step, k, (before, _) in zip(at, window.stride, place, window.padding)
        )
        inside = all(0 <= p < side for p, side in zip(pixel, image))
        yield place, pixel if inside else None


@pytest.mark.parametrize("seed", range(40))
def test_a_convolution_is_a_sum_over_its_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 4))
    inputs, outputs = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    image = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    window = random_window(rng, image, is_pool=False)
    x = rng.normal(size=(2, inputs, *image))
    weight = rng.normal(size=(outputs, inputs // groups, *window.kernel))
    bias = rng.normal(size=outputs) if seed % 2 else None
    found = layers.conv2d(x, weight, bias, window, groups)
    expected = np.zeros((2, outputs, *window.output(image)))
    for n, o, *at in np.ndindex(expected.shape):
        first = o // (outputs // groups) * (inputs // groups)
        total = 0.0 if bias is None else bias[o]
        for place, pixel in window_places(window, image, at):
            for c in range(inputs // groups):
                if pixel is not None:
                    total += weight[(o, c, *place)] * x[(n, first + c, *pixel)]
        expected[(n, o, *at)] = total
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("seed", range(40))
def test_pools_are_the_maximum_and_the_average_with_zeros(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(1, 7)), int(rng.integers(1, 7)))
    window = random_window(rng, image, is_pool=True)
    x = rng.normal(size=(2, 3, *image)) - 1.0
    most, average = layers.max_pool2d(x, window), layers.avg_pool2d(x, window)
    assert most.shape == average.shape == (2, 3, *window.output(image))
    for n, c, *at in np.ndindex(most.shape):
        pixels = [pixel for _, pixel in window_places(window, image, at) if pixel is not None]
        values = [x[(n, c, *pixel)] for pixel in pixels]
        assert most[(n, c, *at)] == max(values)
        np.testing.assert_allclose(
            average[(n, c, *at)], sum(values) / math.prod(window.kernel), **CLOSE
        )


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "outputs", "padding"),
    [
        (32, 3, 1, 32, (1, 1)),
        (32, 3, 2, 16, (0, 1)),
        (33, 3, 2, 17, (1, 1)),
        (32, 1, 2, 16, (0, 0)),
        (49, 10, 2, 25, (4, 5)),
        (10, 4, 2, 5, (1, 1)),
        (5, 2, 1, 5, (0, 1)),
    ],
)
def test_same_is_as_tensorflow_has_it(side, kernel, stride, outputs, padding) -> None:
    found = same_padding((kernel, 1), (stride, 1), (side, 7))
    assert found == (padding, (0, 0))
    assert Window((kernel, 1), (stride, 1), found).output((side, 7)) == (outputs, 7)


def test_a_linear_layer_flattens_images() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(6, 40)), rng.normal(size=6)
    expected = np.zeros((3, 6))
    for n, o in np.ndindex(3, 6):
        place = itertools.product(range(2), range(4), range(5))
        products = (weight[o, 20 * c + 5 * r + k] * x[n, c, r, k] for c, r, k in place)
        expected[n, o] = sum(products)
    np.testing.assert_allclose(layers.linear(x, weight), expected, **CLOSE)
    np.testing.assert_allclose(layers.linear(x, weight, bias), expected + bias, **CLOSE)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3, 4)])
def test_a_scale_and_a_select_are_of_units(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=shape), rng.normal(size=5), rng.normal(size=5)
    found = layers.scale(x, weight, bias)
    index = np.array([0, 3, 4])
    for at in np.ndindex(shape):
        assert found[at] == x[at] * weight[at[1]] + bias[at[1]]
    for place, unit in enumerate(index):
        assert (layers.select(x, index)[:, place] == x[:, unit]).all()


def test_activations_and_sums_are_of_each_value() -> None:
    x = np.array([[-800.0, -40.0, -1.5, 0.0], [1e-3, 2.0, 40.0, 800.0]])
    assert layers.relu(x).tolist() == [[0, 0, 0, 0], [1e-3, 2, 40, 800]]
    expected = [[0.0, math.exp(-40), math.log1p(math.exp(-1.5)), math.log(2)]]
    expected += [[math.log1p(math.exp(1e-3)), math.log1p(math.exp(2)), 40.0, 800.0]]
    np.testing.assert_allclose(layers.softplus(x), expected, **CLOSE)
    assert (layers.add(x, 2 * x, -x) == 2 * x).all()
    assert layers.flatten(np.zeros((2, 3, 4, 5))).shape == (2, 60)


def test_f32_stays_f32_and_no_samples_give_none() -> None:
    x, window = np.zeros((0, 2, 4, 4), np.float32), Window((2, 2))
    weight, units = np.zeros((3, 2, 2, 2), np.float32), np.ones(2, np.float32)
    outputs = [
        layers.conv2d(x, weight, np.zeros(3, np.float32), window),
        layers.max_pool2d(x, window),
        layers.avg_pool2d(x, window),
        layers.linear(x, np.zeros((3, 32), np.float32)),
        layers.relu(x),
        layers.softplus(x),
        layers.add(x, x),
        layers.flatten(x),
        layers.scale(x, units, units),
        layers.select(x, np.array([1])),
    ]
    assert [(y.dtype, len(y)) for y in outputs] == [(np.float32, 0)] * len(outputs)
