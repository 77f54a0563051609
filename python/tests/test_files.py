"""Reading files that other code wrote: the page of the format, the repository's example, loops."""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from support import (
    LAYOUTS,
    ROOT,
    VALUES,
    encode_values,
    encode_weight,
    read_raw,
    rounded,
    to_bytes,
    vbd_reads,
)

import vbd_sparse

EXAMPLE = ROOT / "vbd-net" / "examples" / "digits.safetensors"


def page_bytes() -> bytes:
    """The file in full of docs/format.md."""
    page = (ROOT / "docs" / "format.md").read_text()
    dump = page.split("<!-- worked bytes -->")[1].split("<!-- end of worked bytes -->")[0]
    lines = re.findall(r"^[0-9a-f]{8}  (.{48})  \|", dump, re.MULTILINE)
    return bytes.fromhex("".join(lines))


def test_the_worked_bytes_of_the_page_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(page_bytes())
    net = vbd_sparse.load(path)
    assert net.weights["fc1.weight"].tolist() == [[0, 1.5, 0], [0, 0, -0.25]]
    assert net.weights["fc1.bias"].tolist() == [0.5, -1]
    assert net.spec["name"] == "tiny"
    assert net.metadata["provenance"]["data"] == "digits"
    x = np.array([[10, 20, 30]], np.uint8)
    assert net.run(x).tolist() == net.run(x.astype(np.float32)).tolist() == [[30.5, -8.5]]
    assert net.predict(x).tolist() == [0]


def test_the_example_is_read_as_by_the_pages_reader() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from read_vbd import read_vbd

    _, expected = read_vbd(EXAMPLE)
    net = vbd_sparse.load(EXAMPLE)
    assert expected.keys() == net.weights.keys()
    for name, values in net.weights.items():
        assert (values == expected[name]).all() and values.dtype == np.float32
        if name.endswith(".weight"):
            csr = net.csr(name)
            assert (csr.toarray() == values).all() and csr.dtype == np.float32
            assert csr.has_canonical_format and csr.nnz == np.count_nonzero(values)
    with pytest.raises(KeyError, match="fc1.bias"):
        net.csr("fc1.bias")


def random_weight(seed: int, kind: str) -> np.ndarray:
    """With rows without entries, gaps of more than 255, and a spare bit or none."""
    rng = np.random.default_rng(seed)
    shape = [(5, 17), (4, 600), (3, 2, 3, 2), (7, 8)][seed % 4]
    kept = rng.random(shape) < [0.3, 0.005, 0.5, 0.0][seed % 4]
    return np.where(kept, rounded(rng.normal(size=shape), kind), 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_weights_are_read_in_every_layout_and_type(
    tmp_path: Path, layout: str, kind: str, seed: int
) -> None:
    weight = random_weight(seed, kind)
    bias = rounded(np.arange(3) - 1.0, kind)
    metadata = {"version": 1, "kind": "weights", "threshold": 3.0, "values": kind}
    metadata["weights"] = [{"name": "a.weight", "shape": list(weight.shape)}]
    tensors = encode_weight("a.weight", weight, layout, kind)
    tensors["a.bias"] = encode_values(bias, kind)
    tensors["steps"] = ("U32", [1], bytes([7, 0, 0, 0]))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_bytes(metadata, tensors))
    found = vbd_sparse.load_weights(path)
    assert (found.weights["a.weight"] == weight).all()
    assert found.weights["a.weight"].shape == weight.shape
    assert (found.weights["a.bias"] == bias).all()
    assert found.weights["steps"].tolist() == [7]
    assert (found.csr("a.weight").toarray() == weight.reshape(len(weight), -1)).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_binary_reads_the_files_of_these_tests(tmp_path: Path, layout: str) -> None:
    for seed, kind in enumerate(VALUES):
        weight = random_weight(seed, kind)
        metadata = {"version": 1, "kind": "weights", "values": kind}
        metadata["weights"] = [{"name": "a", "shape": list(weight.shape)}]
        path = tmp_path / f"{kind}.safetensors"
        path.write_bytes(to_bytes(metadata, encode_weight("a", weight, layout, kind)))
        assert vbd_reads(path)


def test_samples_of_other_types_and_shapes_are_refused() -> None:
    net = vbd_sparse.load(EXAMPLE)
    x = np.zeros((2, 28, 28), np.uint8)
    outputs = net.run(x)
    assert outputs.shape == (2, 10) and outputs.dtype == np.float32
    assert (net.run(x.reshape(2, 784)) == outputs).all()
    assert (net.run(x.reshape(2, 1, 28, 28)) == outputs).all()
    assert net.run(x[:0]).shape == (0, 10)
    assert net.predict(x[:0]).shape == (0,)
    for wrong in (x[0], x.reshape(2, 28, 28, 1), x.reshape(2, 14, 56), x.reshape(-1)):
        with pytest.raises(ValueError, match="expected samples of shape"):
            net.run(wrong)
    with pytest.raises(TypeError, match="int64"):
        net.run(x.astype(np.int64))


def test_a_batch_gives_what_its_samples_give() -> None:
    net = vbd_sparse.load(EXAMPLE)
    x = np.random.default_rng(0).integers(0, 256, (150, 784), dtype=np.uint8)
    each = np.concatenate([net.run(x[at : at + 1]) for at in range(len(x))])
    np.testing.assert_allclose(net.run(x), each, rtol=1e-4, atol=1e-4)


def test_files_of_another_kind_name_what_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    metadata, tensors = read_raw(page_bytes())

    def message(load, **changes) -> str:
        path.write_bytes(to_bytes({**metadata, **changes}, tensors))
        with pytest.raises(vbd_sparse.FileError) as caught:
            load(path)
        assert str(caught.value).startswith(str(path)) and caught.value.path == str(path)
        return str(caught.value)

    load, load_weights = vbd_sparse.load, vbd_sparse.load_weights
    assert "version`: 5 is newer than this reader (4): update it" in message(load, version=5)
    assert "use vbd_sparse.load_weights" in message(load, kind="weights")
    assert "vbd prune" in message(load, kind="checkpoint", version=3)
    assert "use vbd_sparse.load" in message(load_weights)
    assert "unknown key `sort`" in message(load, sort=1)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_scipy_and_torch_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    net = vbd_sparse.load(EXAMPLE)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        net.csr("fc1.weight")
    with pytest.raises(ImportError, match="pip install torch"):
        net.state_dict()


def test_the_readmes_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.safetensors").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    names: dict = {"pixels": pixels, "OrderedDict": OrderedDict}
    readme = (ROOT / "python" / "README.md").read_text()
    run, weights, torch_program = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(run, names)
    assert names["outputs"].shape == (5, 10) and names["classes"].shape == (5,)
    exec(weights, names)
    try:
        import torch
    except ImportError:
        return
    names["torch"] = torch
    exec(torch_program, names)
    np.testing.assert_allclose(names["logits"].detach(), names["outputs"], atol=1e-3)
