"""ResNet-8 and DS-CNN with batch normalisation in PyTorch, and an MLP with dropout: what train_step.py times for
the recipes `-dense` and for mlp-3x1060-bernoulli.toml.

Windows of stride 2 are padded on both sides, where ours are padded as in TensorFlow: the same sizes, and no
copy before the convolution. Images are neither cropped nor flipped here; ours are where the recipe says so.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vbd_torch import Loop


def normalised(inputs, outputs, kernel, stride=1, padding=None, groups=1):
    """A convolution without bias and its batch normalisation."""
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Stack(nn.Module):
    """A residual block of ResNet-8; the first has no shortcut of its own."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = normalised(inputs, outputs, 3, stride)
        self.conv2 = normalised(outputs, outputs, 3)
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.short(x))


def resnet_8():
    return nn.Sequential(
        normalised(3, 16, 3), nn.ReLU(), Stack(16, 16, 1), Stack(16, 32, 2), Stack(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def ds_cnn():
    layers = [normalised(1, 64, (10, 4), 2, (5, 1)), nn.ReLU()]
    for _ in range(4):
        layers += [normalised(64, 64, 3, groups=64), nn.ReLU(), normalised(64, 64, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def mlp():
    layers = [nn.Flatten(), nn.Dropout(0.2)]
    for inputs in (784, 1060, 1060):
        layers += [nn.Linear(inputs, 1060), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(1060, 10))


# Multiply-adds of a sample, as `vbd inspect` counts them.
NETS = {
    "resnet-8": (resnet_8, 12_501_632),
    "ds-cnn": (ds_cnn, 2_656_768),
    "mlp-3x1060": (mlp, 3_088_840),
}


class DenseTrainer(Loop):
    """Steps of one net, with SGD with momentum for ResNet-8 and Adam for the others as in our recipes."""

    def __init__(self, net, data, compiled, batch=100):
        torch.manual_seed(0)
        super().__init__(data, batch)
        build, self.multiply_adds = NETS[net]
        self.net = build()
        if net == "resnet-8":
            self.optimizer = torch.optim.SGD(self.net.parameters(), 0.1, 0.9, weight_decay=1e-4, fused=True)
        else:
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        self.loss = torch.compile(self._loss, dynamic=False) if compiled else self._loss

    def _loss(self, x, labels):
        return F.cross_entropy(self.net(x), labels)

    def step(self):
        loss = self.loss(*self.next_batch())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def cifar_10(data_dir):
    """The first 10,000 training images, normalised by channel."""
    folder = Path(data_dir)
    folder = folder / "cifar-10" if (folder / "cifar-10").is_dir() else folder
    rows = np.fromfile(folder / "data_batch_1.bin", np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in ([0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]))
    return {"train": (torch.from_numpy((images - mean) / std), torch.from_numpy(rows[:, 0].astype(np.int64)))}


def features():
    """Random features of DS-CNN's shape, and a file of them for us: a step takes as long on any values."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2000, 1, 49, 10)).astype(np.float32), random.integers(0, 12, 2000)
    path = Path(tempfile.mkdtemp(prefix="vbd-features-")) / "features.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])
    return {"train": (torch.from_numpy(x), torch.from_numpy(y)), "file": path}
