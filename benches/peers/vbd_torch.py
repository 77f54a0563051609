"""Variational Bayesian dropout in PyTorch, as a PyTorch user would write it: what train_step.py times.

The same step as ours (DESIGN: local reparameterisation, hierarchical KL, Adam, weights over the
threshold masked while the KL acts), except that no weight ever dies for good: this one stays dense.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config
import torch.nn.functional as F
from torch import nn

THRESHOLD = 3.0


class Variational(nn.Module):
    """A weight with a posterior for each entry; `apply` is linear in the weight."""

    def __init__(self, apply, shape):
        super().__init__()
        self.apply_weight = apply
        self.theta = nn.Parameter(torch.empty(shape))
        self.log_sigma2 = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0]))
        self.reset()

    @torch.no_grad()
    def reset(self):
        self.theta.normal_(0.0, 0.01)
        self.log_sigma2.fill_(-10.0)
        self.bias.zero_()

    def keep(self):
        return self.log_sigma2 < THRESHOLD + 2.0 * self.theta.abs().log()

    def forward(self, x):
        keep = self.keep()
        if not self.training:
            return self.apply_weight(x, torch.where(keep, self.theta, 0.0), self.bias)
        theta = torch.where(keep, self.theta, 0.0)
        sigma2 = torch.where(keep, self.log_sigma2.exp(), 0.0)
        mean = self.apply_weight(x, theta, self.bias)
        variance = self.apply_weight(x * x, sigma2, None)
        return torch.addcmul(mean, (variance + 1e-8).sqrt(), torch.randn_like(mean))

    def kl(self):
        return 0.5 * torch.log1p(self.theta.square() * (-self.log_sigma2).exp()).sum()


def linear(inputs, outputs):
    return Variational(F.linear, (outputs, inputs))


def conv(inputs, outputs, kernel):
    return Variational(F.conv2d, (outputs, inputs, kernel, kernel))


def lenet_300_100():
    return nn.Sequential(
        nn.Flatten(), linear(784, 300), nn.ReLU(), linear(300, 100), nn.ReLU(), linear(100, 10)
    )


def lenet_5_caffe():
    return nn.Sequential(
        conv(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        conv(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), linear(800, 500), nn.ReLU(), linear(500, 10),
    )  # fmt: skip


NETS = {"lenet-300-100": lenet_300_100, "lenet-5-caffe": lenet_5_caffe}


class Loop:
    """Shuffled batches of the training data."""

    def __init__(self, data, batch):
        self.data, self.batch = data, batch
        self.order, self.position = self._shuffle(), 0

    def _shuffle(self):
        return torch.randperm(len(self.data["train"][0])).split(self.batch)

    def next_batch(self):
        if self.position == len(self.order):
            self.order, self.position = self._shuffle(), 0
        indices = self.order[self.position]
        self.position += 1
        inputs, labels = self.data["train"]
        return inputs[indices], labels[indices]


class Trainer(Loop):
    """Steps and epochs of one net; `compiled` gives forward and backward to torch.compile."""

    multiply_adds = None  # not counted: with noise, there are two products for each

    def __init__(self, net, data, compiled, batch=100):
        torch.manual_seed(0)
        super().__init__(data, batch)
        self.net = NETS[net]()
        self.weights = [m for m in self.net.modules() if isinstance(m, Variational)]
        self.log_sigma2 = [w.log_sigma2 for w in self.weights]
        self.restart(kl_scale=0.5)
        # Inductor's own normal draws are scalar code; ATen's are twice as fast for the whole step.
        torch._inductor.config.fallback_random = True
        compile_ = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.loss, self.logits = compile_(self._loss), compile_(self._logits)

    def restart(self, kl_scale):
        """The first parameters again, and no moments."""
        for weight in self.weights:
            weight.reset()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        self.kl_factor = torch.tensor(kl_scale / len(self.data["train"][0]))

    def _loss(self, x, labels, kl_factor):
        nll = F.cross_entropy(self.net(x), labels)
        return nll + kl_factor * sum(w.kl() for w in self.weights)

    def _logits(self, x):
        return self.net(x)

    def step(self):
        loss = self.loss(*self.next_batch(), self.kl_factor)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_clamp_max_(self.log_sigma2, 20.0)
            torch._foreach_clamp_min_(self.log_sigma2, -40.0)

    def evaluate(self):
        images, labels = self.data["test"]
        self.net.eval()
        with torch.no_grad():
            wrong = sum(
                (self.logits(x).argmax(1) != y).sum().item()
                for x, y in zip(images.split(1000), labels.split(1000))
            )
        self.net.train()
        return wrong / len(labels)


def read_idx(path):
    data = gzip.decompress(path.read_bytes())
    dims = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def mnist(data_dir):
    """MNIST in memory, pixels / 256 less the mean image."""
    folder = Path(data_dir)
    folder = folder / "mnist" if (folder / "mnist").is_dir() else folder

    def part(name):
        images = torch.from_numpy(read_idx(folder / f"{name}-images-idx3-ubyte.gz").copy())
        labels = torch.from_numpy(read_idx(folder / f"{name}-labels-idx1-ubyte.gz").astype(np.int64))
        return images.unsqueeze(1).float() / 256, labels

    train, test = part("train"), part("t10k")
    mean = train[0].mean(0)
    return {"train": (train[0] - mean, train[1]), "test": (test[0] - mean, test[1])}
