"""Small networks that together have every kind of layer, and their training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support import vbd

# Windows of all forms, groups, no bias, a folded batch norm and one that becomes a `scale`,
# statistics per channel.
KINDS = """
name = "kinds"
input = [2, 12, 10]
classes = 3
normalize = { scale = 0.0078125, mean = [0.9, 1.1], std = [0.5, 0.75] }
layer = [
  { kind = "conv2d", name = "conv1", out_channels = 6, kernel = [3, 2], \
    stride = [1, 2], padding = "same", groups = 2 },
  { kind = "batch_norm", name = "bn1" },
  { kind = "relu" },
  { kind = "conv2d", name = "depthwise", out_channels = 6, kernel = 3, padding = [1, 0], \
    groups = "depthwise", bias = false },
  { kind = "softplus", name = "act" },
  { kind = "batch_norm", name = "bn2" },
  { kind = "conv2d", name = "point", out_channels = 6, kernel = 1 },
  { kind = "add", inputs = ["act", "point"] },
  { kind = "max_pool2d", name = "pool", kernel = [3, 2], stride = [2, 1], padding = [1, 0] },
  { kind = "avg_pool2d", kernel = 2, stride = 1, padding = 1 },
  { kind = "avg_pool2d", kernel = "all" },
  { kind = "linear", name = "fc1", out_features = 5 },
  { kind = "flatten", input = "pool" },
  { kind = "linear", name = "fc2", out_features = 5, bias = false },
  { kind = "add", inputs = ["fc1", "fc2"] },
  { kind = "linear", name = "fc3", out_features = 3 } ]
"""
# Gates on a residual net: pruning of units leaves `select` and `scale` layers.
GATES = """
name = "gates"
input = [2, 12, 10]
classes = 3
normalize = { scale = 0.0078125, mean = "image", std = 0.5 }
layer = [
  { kind = "conv2d", name = "conv1", out_channels = 6, kernel = 3 },
  { kind = "relu" },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "flatten" },
  { kind = "linear", name = "fc1", out_features = 12 },
  { kind = "relu", name = "relu1" },
  { kind = "linear", name = "fc2", out_features = 12 },
  { kind = "add", inputs = ["relu1", "fc2"] },
  { kind = "linear", name = "fc3", out_features = 3 } ]
"""
GATES_RECIPE = """
summary = "gates"
model = "net.toml"
data = "npz:data.npz"
method = { kind = "vbd", gate = [
  { after = "conv1" }, { after = "flatten", kl_weight = 20.0, log_alpha_threshold = 0.0 },
  { after = "fc1" }, { after = "fc2" } ] }
train = { epochs = 10, batch_size = 50, lr = 5e-2, kl_warmup = [0.0, 0.0] }
"""
FEATURES = """
name = "features"
input = [20]
classes = 3
layer = [
  { kind = "linear", name = "fc1", out_features = 16 },
  { kind = "softplus", name = "act" },
  { kind = "linear", name = "fc2", out_features = 16 },
  { kind = "add", inputs = ["act", "fc2", "fc1"] },
  { kind = "linear", name = "fc3", out_features = 3 } ]
"""
AUTOENCODER = """
name = "autoencoder"
input = [1, 6, 5]
loss = "mse"
target = "input"
normalize = { scale = 0.01, mean = "image", std = "image" }
layer = [
  { kind = "conv2d", name = "conv1", out_channels = 2, kernel = 3, padding = "same", stride = 2 },
  { kind = "softplus" },
  { kind = "linear", name = "fc1", out_features = 12 },
  { kind = "relu" },
  { kind = "linear", name = "fc2", out_features = 30 } ]
"""
# Network, recipe, shape and type of a sample.
FAMILIES = {
    "kinds": (KINDS, None, (2, 12, 10), np.uint8),
    "gates": (GATES, GATES_RECIPE, (2, 12, 10), np.uint8),
    "features": (FEATURES, None, (20,), np.float32),
    "autoencoder": (AUTOENCODER, None, (1, 6, 5), np.uint8),
}
CLASSES = 3  # of the random data


def random_samples(
    shape: tuple[int, ...], dtype: type, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clouds around a center for each class."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, count).astype(np.uint8)
    centers = rng.integers(0, 256, (CLASSES, *shape))
    x = np.clip(centers[labels] + rng.normal(0, 60, (count, *shape)), 0, 255)
    return (x / 128 - 1 if dtype == np.float32 else x).astype(dtype), labels


def train(family: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Trains a few steps, into `folder / "run"`. Returns the test samples and their labels."""
    network, recipe, shape, dtype = FAMILIES[family]
    x, y = random_samples(shape, dtype, 250)
    np.savez(folder / "data.npz", x_train=x[50:], y_train=y[50:], x_test=x[:50], y_test=y[:50])
    (folder / "net.toml").write_text(network)
    if recipe is None:
        args = ["vbd", "--model", "net.toml", "--data", "npz:data.npz"]
        args += ["--batch-size", "50", "--epochs", "3", "--lr", "1e-2"]
    else:
        (folder / "recipe.toml").write_text(recipe)
        args = ["recipe.toml"]
    vbd("train", *args, "--out", "run", cwd=folder)
    return x[:50], y[:50]


def train_digits(_: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Trains LeNet-300-100 on the built-in digits for an epoch. Returns their test set."""
    vbd("train", "quickstart", "--epochs", "1", "--out", "run", cwd=folder)
    vbd("data", "digits", "--out", "idx", cwd=folder)
    images = (folder / "idx" / "t10k-images-idx3-ubyte").read_bytes()[16:]
    labels = (folder / "idx" / "t10k-labels-idx1-ubyte").read_bytes()[8:]
    x = np.frombuffer(images, np.uint8).reshape(-1, 1, 28, 28)
    return x, np.frombuffer(labels, np.uint8)
