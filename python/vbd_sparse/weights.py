"""Sparse weights in their four layouts, and files of weights without a network."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from .file import (
    VALUE_TYPES,
    FileError,
    Tensors,
    check_choice,
    check_keys,
    errors_name,
    read,
)

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

MOST_ENTRIES = 1 << 28  # of one weight


@dataclass(eq=False)
class SparseWeight:
    """The kept entries of a weight."""

    shape: tuple[int, ...]
    #: Indices in the flattened weight, increasing.
    places: np.ndarray
    values: np.ndarray

    def dense(self) -> np.ndarray:
        """Returns the weight in its shape."""
        flat = np.zeros(math.prod(self.shape), np.float32)
        flat[self.places] = self.values
        return flat.reshape(self.shape)

    def csr(self) -> csr_array:
        """Returns the matrix `[rows, cols]` with a row for each output."""
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise ImportError("csr needs scipy 1.8 or newer: pip install scipy") from error
        rows, cols = self.shape[0], math.prod(self.shape[1:])
        row_ptr = np.searchsorted(self.places, np.arange(rows + 1) * cols)
        return csr_array((self.values.copy(), self.places % cols, row_ptr), shape=(rows, cols))


Named = dict[str, Union[SparseWeight, np.ndarray]]


class Weights:
    """Weights and other tensors by name. Made by `load_weights`."""

    def __init__(self, metadata: dict[str, Any], tensors: Named) -> None:
        #: The metadata, as in docs/format.md.
        self.metadata = metadata
        #: The tensors as they are in memory after loading: weights are sparse.
        self.tensors = tensors

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """All tensors by name, weights dense. Computed when it is first used."""
        return {
            name: tensor.dense() if isinstance(tensor, SparseWeight) else tensor
            for name, tensor in self.tensors.items()
        }

    def csr(self, name: str) -> csr_array:
        """Returns a weight as a `scipy.sparse.csr_array` `[rows, cols]`, a row for each output."""
        weight = self.tensors.get(name)
        if not isinstance(weight, SparseWeight):
            raise KeyError(f"no weight {name!r}")
        return weight.csr()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns copies of `weights` as PyTorch tensors, for `load_state_dict`."""
        try:
            import torch
        except ImportError as error:
            raise ImportError("state_dict needs PyTorch: pip install torch") from error
        return {name: torch.from_numpy(values.copy()) for name, values in self.weights.items()}


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Reads a file of weights without a network, as `vbd_prune::save_sparse` writes it.

    Raises `FileError`, which names the file and the tensor, if it is not such a file.
    """
    with errors_name(path):
        metadata, tensors = read(path, "weights", newest=1)
        check_keys(metadata, ["version", "kind", "values", "weights"], ["threshold"], "vbd")
        dtype = VALUE_TYPES[check_choice(metadata["values"], VALUE_TYPES, "values")]
        if not isinstance(metadata["weights"], list):
            raise FileError("expected a list", "weights")
        named: Named = {}
        for table in metadata["weights"]:
            check_keys(table, ["name", "shape"], [], "weights")
            name, shape = table["name"], table["shape"]
            if not isinstance(name, str) or name in named:
                raise FileError(f"invalid or duplicate name {name!r}", "weights")
            _check_shape(shape, tensors.file_bytes, name)
            named[name] = take_weight(tensors, name, tuple(shape), dtype)
        return Weights(metadata, {**named, **tensors.take_others()})


def _check_shape(shape: Any, most_rows: int, name: str) -> None:
    if not isinstance(shape, list) or not 2 <= len(shape) <= 8:
        raise FileError(f"got {shape!r}, expected a shape of 2 to 8 dimensions", name)
    if any(type(side) is not int or side < 1 for side in shape):
        raise FileError(f"got {shape}, expected positive dimensions", name)
    if math.prod(shape) > MOST_ENTRIES or shape[0] > most_rows:
        raise FileError(f"{shape} is too large", name)


def take_weight(tensors: Tensors, name: str, shape: tuple[int, ...], dtype: str) -> SparseWeight:
    """Takes a weight. The names of its tensors determine the layout."""
    rows, cols = shape[0], math.prod(shape[1:])
    values = name + ".values"
    if name in tensors.infos:
        flat = tensors.take_values(name, dtype, shape).ravel()
        places = np.flatnonzero(flat)
        return SparseWeight(shape, places, flat[places])
    if name + ".crow_indices" in tensors.infos:
        places = _take_csr(tensors, name, rows, cols)
    elif name + ".gaps" in tensors.infos:
        places = _take_gaps(tensors, name + ".gaps", rows * cols)
    elif name + ".bitmask" in tensors.infos:
        places, values = _take_bitmask(tensors, name, rows, cols), name + ".compressed"
    else:
        raise FileError("missing tensor", name)
    entries = tensors.take_values(values, dtype)
    if len(places) != len(entries):
        raise FileError(f"{len(places)} positions for {len(entries)} values", values)
    if not entries.all():
        raise FileError("sparse layouts store nonzero values only", values)
    return SparseWeight(shape, places, entries)


def _take_csr(tensors: Tensors, name: str, rows: int, cols: int) -> np.ndarray:
    crow, col = name + ".crow_indices", name + ".col_indices"
    index_type = tensors.infos[crow]["dtype"]
    row_ptr = tensors.take(crow, ["U16", "I32"], [rows + 1]).astype(np.int64)
    col_idx = tensors.take(col, [index_type]).astype(np.int64)
    lengths = np.diff(row_ptr)
    if row_ptr[0] != 0 or (lengths < 0).any() or row_ptr[-1] != len(col_idx):
        raise FileError(f"rows must start at 0, not decrease, and end at {len(col_idx)}", crow)
    if ((col_idx < 0) | (col_idx >= cols)).any():
        raise FileError(f"columns must be 0 to {cols - 1}", col)
    places = np.repeat(np.arange(rows), lengths) * cols + col_idx
    if (np.diff(places) <= 0).any():
        raise FileError("columns of a row must increase", col)
    return places


def _take_gaps(tensors: Tensors, name: str, numel: int) -> np.ndarray:
    gaps = tensors.take(name, ["U8"]).astype(np.int64)
    is_entry = gaps < 255
    ends = np.cumsum(gaps + is_entry)
    if not is_entry[-1:].all():
        raise FileError("gaps end in 255: expected an entry after it", name)
    if (ends[-1:] > numel).any():
        raise FileError(f"gaps extend beyond the weight's {numel} entries", name)
    return ends[is_entry] - 1


def _take_bitmask(tensors: Tensors, name: str, rows: int, cols: int) -> np.ndarray:
    sizes = tensors.take(name + ".shape", ["I64"], [2]).tolist()
    if sizes != [rows, cols]:
        raise FileError(f"got {sizes}, expected {[rows, cols]}", name + ".shape")
    bits = tensors.take(name + ".bitmask", ["U8"], [rows, -(-cols // 8)])
    is_kept = np.unpackbits(bits, axis=1, bitorder="little")
    if is_kept[:, cols:].any():
        raise FileError("a bit is set beyond the last column", name + ".bitmask")
    counts = is_kept.sum(axis=1, dtype=np.int64)
    offsets = tensors.take(name + ".row_offsets", ["I64"], [rows])
    if (offsets != np.cumsum(counts) - counts).any():
        raise FileError("expected the number of entries before each row", name + ".row_offsets")
    return np.flatnonzero(is_kept[:, :cols])
