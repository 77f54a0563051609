"""State dicts in PyTorch, whose layers compute the same outputs."""

from __future__ import annotations

import math

import nets
import numpy as np
import pytest

import vbd_sparse

torch = pytest.importorskip("torch")


class Scale(torch.nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(units))
        self.bias = torch.nn.Parameter(torch.empty(units))

    def forward(self, x):
        shape = (-1, *[1] * (x.ndim - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


class Select(torch.nn.Module):
    def __init__(self, index: np.ndarray) -> None:
        super().__init__()
        self.index = index.tolist()

    def forward(self, x):
        return x[:, self.index]


def pair(value) -> tuple[int, int]:
    return tuple(value) if isinstance(value, list) else (value, value)


def same(shape, layer) -> list[int]:
    """Left, right, top and bottom."""
    pads = []
    for side in (1, 0):
        size, kernel = shape[side + 1], pair(layer["kernel"])[side]
        stride = pair(layer.get("stride", 1))[side]
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


class Model(torch.nn.Module):
    """A user's module: submodules have the names of the network's layers."""

    def __init__(self, net: vbd_sparse.Net) -> None:
        super().__init__()
        self.layers, self.pads = net.spec["layer"], {}
        values = {"input": torch.zeros(1, *net.spec["input"])}
        last = values["input"]
        for layer in self.layers:
            x = values[layer["input"]] if "input" in layer else last
            name, kind, shape = layer.get("name"), layer["kind"], x.shape[1:]
            if kind == "linear":
                self.add_module(name, self.linear(layer, shape))
            elif kind == "conv2d":
                self.add_module(name, self.conv(layer, shape))
            elif kind == "scale":
                self.add_module(name, Scale(shape[0]))
            elif kind == "select":
                self.add_module(name, Select(net.indices[name]))
            with torch.no_grad():
                last = values[name] = self.compute(layer, x, values)

    @staticmethod
    def linear(layer, shape):
        inputs, outputs = math.prod(shape), layer["out_features"]
        return torch.nn.Linear(inputs, outputs, bias=layer.get("bias", True))

    def conv(self, layer, shape):
        padding, groups = layer.get("padding", 0), layer.get("groups", 1)
        if padding == "same":
            self.pads[layer["name"]], padding = same(shape, layer), 0
        return torch.nn.Conv2d(
            shape[0],
            layer["out_channels"],
            pair(layer["kernel"]),
            pair(layer.get("stride", 1)),
            pair(padding),
            groups=shape[0] if groups == "depthwise" else groups,
            bias=layer.get("bias", True),
        )

    def compute(self, layer, x, values):
        kind, functional = layer["kind"], torch.nn.functional
        if kind == "linear":
            return getattr(self, layer["name"])(x.flatten(1))
        if kind == "conv2d":
            x = functional.pad(x, self.pads.get(layer["name"], [0, 0, 0, 0]))
            return getattr(self, layer["name"])(x)
        if kind in ("scale", "select"):
            return getattr(self, layer["name"])(x)
        if kind == "add":
            return sum(values[name] for name in layer["inputs"])
        if kind in ("max_pool2d", "avg_pool2d"):
            kernel = x.shape[2:] if layer["kernel"] == "all" else pair(layer["kernel"])
            stride = pair(layer.get("stride") or list(kernel))
            pool = getattr(functional, kind)
            return pool(x, kernel, stride, pair(layer.get("padding", 0)))
        return {"relu": torch.relu, "softplus": functional.softplus}.get(kind, flat)(x)

    def forward(self, x):
        values = {"input": x}
        for layer in self.layers:
            x = values[layer["input"]] if "input" in layer else x
            x = values[layer.get("name")] = self.compute(layer, x, values)
        return x.flatten(1)


def flat(x):
    return x.flatten(1)


@pytest.mark.parametrize("form", ["whole", "small"])
@pytest.mark.parametrize("family", list(nets.FAMILIES))
def test_a_state_dict_loads_and_gives_the_outputs(trained, family: str, form: str) -> None:
    run = trained(family)
    args = ["--structured"] if form == "small" else []
    net = vbd_sparse.load(run.prune(f"torch-{form}", "--threshold=-5", *args))
    model = Model(net)
    model.load_state_dict(net.state_dict(), strict=True)
    with torch.no_grad():
        expected = model(torch.from_numpy(net.normalize(run.x))).numpy()
    np.testing.assert_allclose(net.run(run.x), expected, atol=1e-4 * np.abs(expected).max())


def test_a_state_dict_is_a_copy(trained) -> None:
    net = vbd_sparse.load(trained("features").prune("copy"))
    before = net.weights["fc1.weight"].copy()
    net.state_dict()["fc1.weight"].zero_()
    assert (net.weights["fc1.weight"] == before).all()
