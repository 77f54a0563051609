"""Opens a file: safetensors with one JSON text in its metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

INTEGERS = {f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "UI" for size in (1, 2, 4, 8)}
TYPES = {**INTEGERS, "BOOL": "?", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
VALUE_TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
HINTS = {
    "pruned": "use vbd_sparse.load",
    "weights": "use vbd_sparse.load_weights",
    "checkpoint": "prune it first: vbd prune",
}


class FileError(ValueError):
    """A file that cannot be read: damaged, newer than this reader, or of another program."""

    def __init__(self, problem: str, where: str = "", path: str = "") -> None:
        super().__init__(problem, where, path)
        self.problem = problem
        #: Tensor, layer or field; empty for the whole file.
        self.where = where
        self.path = path

    def __str__(self) -> str:
        where = f"`{self.where}`" if self.where else ""
        return ": ".join(part for part in (self.path, where, self.problem) if part)


@contextmanager
def errors_name(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the path to the errors of reading."""
    try:
        yield
    except FileError as error:
        raise FileError(error.problem, error.where, os.fspath(path)) from None
    except RecursionError:
        raise FileError("metadata are nested too deeply", "vbd", os.fspath(path)) from None


class Tensors:
    """The tensors of a file that have not been taken yet."""

    def __init__(self, data: bytes) -> None:
        try:
            self.infos = dict(deserialize(data))
        except SafetensorError as error:
            raise FileError(f"not a complete safetensors file: {error}") from None
        self.file_bytes = len(data)

    def take(
        self, name: str, types: Collection[str], shape: Sequence[int] | None = None
    ) -> np.ndarray:
        """Takes a tensor of one of `types`, of this shape or else of one dimension.

        bf16 becomes f32.
        """
        info = self.infos.pop(name, None)
        if info is None:
            raise FileError("missing tensor", name)
        if info["dtype"] not in types:
            raise FileError(f"type is {info['dtype']}: expected {' or '.join(types)}", name)
        if len(info["shape"]) != 1 if shape is None else info["shape"] != list(shape):
            expected = "one dimension" if shape is None else list(shape)
            raise FileError(f"shape is {info['shape']}: expected {expected}", name)
        array = np.frombuffer(info["data"], TYPES[info["dtype"]])
        if info["dtype"] == "BF16":  # the upper half of an f32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(info["shape"])

    def take_values(self, name: str, dtype: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """Takes a tensor of finite numbers, as f32."""
        values = self.take(name, [dtype], shape).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise FileError("values must be finite", name)
        return values

    def take_others(self) -> dict[str, np.ndarray]:
        """Takes all remaining tensors."""
        infos = list(self.infos.items())
        return {name: self.take(name, TYPES, info["shape"]) for name, info in infos}


def read(path: str | os.PathLike[str], kind: str, newest: int) -> tuple[dict[str, Any], Tensors]:
    """Returns metadata and tensors of a file of this kind, of version 1 to `newest`."""
    data = Path(path).read_bytes()
    tensors = Tensors(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = (header.get("__metadata__") or {}).get("vbd")
    if text is None:
        raise FileError("missing `vbd` metadata: not written by vbd")
    try:
        metadata = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise FileError(f"invalid JSON: {error}", "vbd") from None
    if not isinstance(metadata, dict):
        raise FileError("expected a JSON object", "vbd")
    found, version = metadata.get("kind"), metadata.get("version")
    if found != kind:
        hint = HINTS.get(str(found), "not a file of this kind")
        raise FileError(f"got {found!r}, expected {kind!r}: {hint}", "kind")
    if type(version) is not int or version < 1:
        raise FileError(f"got {version!r}, expected 1 to {newest}", "version")
    if version > newest:
        raise FileError(f"{version} is newer than this reader ({newest}): update it", "version")
    return metadata, tensors


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def check_keys(
    value: Any, required: Collection[str], optional: Collection[str], where: str
) -> None:
    """Checks that `value` is a JSON object with these keys."""
    if not isinstance(value, dict):
        raise FileError("expected a JSON object", where)
    for key in required:
        if key not in value:
            raise FileError(f"missing key `{key}`", where)
    for key in value:
        if key not in required and key not in optional:
            raise FileError(f"unknown key `{key}`: written by a newer version?", where)


def check_count(value: Any, most: int, where: str) -> int:
    """Checks that `value` is an integer of 1 to `most`."""
    if type(value) is not int or not 1 <= value <= most:
        raise FileError(f"got {value!r}, expected an integer of 1 to {most}", where)
    return value


def check_choice(value: Any, choices: Collection[str], where: str) -> str:
    """Checks that `value` is one of some words."""
    if not isinstance(value, str) or value not in choices:
        raise FileError(f"got {value!r}, expected {' or '.join(choices)}", where)
    return value
