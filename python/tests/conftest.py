"""Trained networks, once per test run."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, NamedTuple

import nets
import numpy as np
import pytest
from support import vbd


class Trained(NamedTuple):
    """A run in `folder / "run"`."""

    folder: Path
    #: The data set, for `--data`.
    data: str
    #: Samples of the test set, in `folder / "x.npy"` too.
    x: np.ndarray
    labels: np.ndarray

    def prune(self, name: str, *args: str) -> Path:
        """Prunes the run into a file of this name."""
        path = self.folder / f"{name}.safetensors"
        vbd("prune", "run", "-o", path, *args, cwd=self.folder)
        return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Trains a family of `nets.FAMILIES`, or `digits`, when it is first asked for."""
    made: dict[str, Trained] = {}

    def get(family: str) -> Trained:
        if family not in made:
            folder = tmp_path_factory.mktemp(family)
            train = nets.train_digits if family == "digits" else nets.train
            x, labels = train(family, folder)
            np.save(folder / "x.npy", x)
            data = "digits" if family == "digits" else f"npz:{folder / 'data.npz'}"
            made[family] = Trained(folder, data, x, labels)
        return made[family]

    return get
