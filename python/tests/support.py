"""Runs the vbd binary, and writes files by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = ["dense", "csr", "bitmask", "delta"]
VALUES = ["f32", "f16", "bf16"]
SIZES = {"U8": 1, "I8": 1, "U16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "I64": 8}

# Type, shape and bytes of each tensor.
Raw = dict[str, tuple[str, list[int], bytes]]


def binary() -> Path:
    """The vbd binary: `VBD`, or that of the checkout. Without one a test skips, but fails in CI."""
    path = Path(os.environ.get("VBD", ROOT / "target" / "release" / "vbd")).absolute()
    if not path.is_file():
        reason = f"no vbd binary at {path}: set VBD, or run cargo build --release"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def vbd(*args: object, cwd: Path | None = None) -> list[dict[str, Any]]:
    """Runs a verb. Returns the objects that it prints."""
    command = [str(binary()), *map(str, args), "--json", "--threads", "1"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def vbd_reads(path: Path) -> bool:
    """Whether the binary reads a file, or refuses it."""
    done = subprocess.run([binary(), "inspect", path], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), f"{path}: {done.returncode}: {done.stderr}"
    return done.returncode == 0


def read_raw(data: bytes) -> tuple[dict[str, Any], Raw]:
    """Reads metadata and tensors without checks."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = json.loads(header.pop("__metadata__")["vbd"])
    tensors = {}
    for name, info in header.items():
        first, end = info["data_offsets"]
        tensors[name] = (info["dtype"], info["shape"], data[start + first : start + end])
    return metadata, tensors


def to_bytes(metadata: dict[str, Any] | str, tensors: Raw) -> bytes:
    """Writes a file without checks."""
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    header: dict[str, Any] = {"__metadata__": {"vbd": text}}
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        body += data
    text = json.dumps(header)
    text += " " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text.encode() + body


def encode_values(values: np.ndarray, kind: str) -> tuple[str, list[int], bytes]:
    """Encodes values that have been rounded to the type `kind`."""
    if kind == "bf16":
        upper = np.ascontiguousarray(values, "<f4").view("<u4") >> 16
        return "BF16", list(values.shape), upper.astype("<u2").tobytes()
    dtype = {"f32": "<f4", "f16": "<f2"}[kind]
    return kind.upper(), list(values.shape), values.astype(dtype).tobytes()


def encode_integers(numbers: Any, dtype: str) -> tuple[str, list[int], bytes]:
    """Encodes integers."""
    kind = {"U8": "u1", "U16": "<u2", "I32": "<i4", "I64": "<i8"}[dtype]
    array = np.array(numbers, kind)
    return dtype, list(array.shape), array.tobytes()


def encode_weight(name: str, weight: np.ndarray, layout: str, kind: str) -> Raw:
    """Encodes a weight entry by entry, as docs/format.md has it."""
    if layout == "dense":
        return {name: encode_values(weight, kind)}
    matrix = weight.reshape(len(weight), -1)
    rows, cols = matrix.shape
    entries = [(row, col) for row in range(rows) for col in range(cols) if matrix[row, col] != 0]
    values = encode_values(np.array([matrix[at] for at in entries], np.float32), kind)
    starts = [sum(row < end for row, _ in entries) for end in range(rows + 1)]
    if layout == "csr":
        dtype = "U16" if max(len(entries), cols - 1) < 65536 else "I32"
        return {
            f"{name}.crow_indices": encode_integers(starts, dtype),
            f"{name}.col_indices": encode_integers([col for _, col in entries], dtype),
            f"{name}.values": values,
        }
    if layout == "bitmask":
        bits = np.zeros((rows, (cols + 7) // 8), np.uint8)
        for row, col in entries:
            bits[row, col // 8] |= 1 << col % 8
        return {
            f"{name}.shape": encode_integers([rows, cols], "I64"),
            f"{name}.bitmask": encode_integers(bits, "U8"),
            f"{name}.row_offsets": encode_integers(starts[:-1], "I64"),
            f"{name}.compressed": values,
        }
    gaps, following = [], 0
    for row, col in entries:
        zeros = row * cols + col - following
        gaps += [255] * (zeros // 255) + [zeros % 255]
        following += zeros + 1
    return {f"{name}.gaps": encode_integers(gaps, "U8"), f"{name}.values": values}


def rounded(values: np.ndarray, kind: str) -> np.ndarray:
    """Cuts values to the bits of a type, as f32."""
    if kind == "bf16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return bits.view(np.float32)
    return values.astype({"f32": np.float32, "f16": np.float16}[kind]).astype(np.float32)
