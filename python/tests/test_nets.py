"""Files that the binary trains and prunes, against the binary's own outputs."""

from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest
from support import LAYOUTS, VALUES, vbd

import vbd_sparse

# The threshold at which random data leave some zeros and dead units.
PRUNE = ["--threshold=-5"]
FORMS = {"whole": [], "small": ["--structured"]}
FAMILIES = list(nets.FAMILIES)
# Sums in f32, in another order.
TOLERANCE = 1e-4


def assert_outputs_are_vbds(path: Path, net: vbd_sparse.Net, x: np.ndarray) -> None:
    np.save(path.with_suffix(".npy"), x)
    outputs = net.run(x)
    lines = vbd("predict", path, path.with_suffix(".npy"))
    assert len(lines) == len(x)
    if net.spec.get("loss") == "mse":
        expected = np.array([line["output"] for line in lines])
        losses = ((outputs - net.normalize(x).reshape(len(x), -1)) ** 2).mean(axis=1)
        np.testing.assert_allclose(losses, [line["loss"] for line in lines], rtol=TOLERANCE)
    else:
        assert net.predict(x).tolist() == [line["class"] for line in lines]
        # Logits but for a shift. Smaller probabilities are not exact in f32.
        probabilities = np.array([line["probabilities"] for line in lines])
        expected = np.log(np.maximum(probabilities, 1e-30))
        outputs = outputs - np.logaddexp.reduce(outputs.astype(np.float64), axis=1, keepdims=True)
        outputs = np.maximum(outputs, np.log(1e-30))
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_those_of_the_binary(trained, family: str, form: str) -> None:
    run = trained(family)
    path = run.prune(form, *PRUNE, *FORMS[form])
    net = vbd_sparse.load(path)
    assert_outputs_are_vbds(path, net, run.x)
    result = vbd("eval", path, "--data", run.data)[0]
    assert result["samples"] == len(run.x)
    if family == "autoencoder":
        losses = (net.run(run.x) - net.normalize(run.x).reshape(len(run.x), -1)) ** 2
        assert losses.mean() == pytest.approx(result["test_loss"], rel=TOLERANCE)
        with pytest.raises(ValueError, match="autoencoder"):
            net.predict(run.x)
    else:
        assert (net.predict(run.x) != run.labels).sum() == result["wrong"]


def test_the_networks_have_every_kind_of_layer(trained) -> None:
    kinds = set()
    for family in FAMILIES:
        for form, args in FORMS.items():
            net = vbd_sparse.load(trained(family).prune(f"kinds-{form}", *PRUNE, *args))
            kinds |= {layer["kind"] for layer in net.spec["layer"]}
    from vbd_sparse.network import KEYS

    assert kinds == set(KEYS)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("family", [*FAMILIES, "digits"])
def test_layouts_and_types_hold_the_same_net(trained, family: str, kind: str) -> None:
    run = trained(family)
    args = [] if family == "digits" else PRUNE
    found = {}
    for layout in ["auto", *LAYOUTS]:
        path = run.prune(f"{layout}-{kind}", *args, "--layout", layout, "--values", kind)
        net = found[layout] = vbd_sparse.load(path)
        inspected = vbd("inspect", path)[0]
        assert inspected["values"] == net.metadata["values"] == kind
        for layer in inspected["layers"]:
            name = layer["name"] + ".weight"
            assert layer["layout"] == layout or layout == "auto"
            assert list(net.weights[name].shape) == layer["shape"]
            assert np.count_nonzero(net.weights[name]) == layer["nnz"] == net.csr(name).nnz
            dense = net.weights[name].reshape(len(net.weights[name]), -1)
            assert (net.csr(name).toarray() == dense).all()
    for net in found.values():
        assert net.weights.keys() == found["dense"].weights.keys()
        for name, values in net.weights.items():
            assert (values == found["dense"].weights[name]).all()
    assert_outputs_are_vbds(run.folder / f"auto-{kind}.safetensors", found["auto"], run.x[:50])


@pytest.mark.parametrize("kind", VALUES)
def test_the_digits_have_as_many_wrong_answers(trained, kind: str) -> None:
    run = trained("digits")
    path = run.prune(f"digits-{kind}", "--values", kind)
    net = vbd_sparse.load(path)
    wrong = int((net.predict(run.x) != run.labels).sum())
    assert wrong == vbd("eval", path)[0]["wrong"]
    assert 0 < wrong < len(run.x) / 4
    if kind == "f32":  # these weights were measured in training
        assert wrong == round(net.metadata["provenance"]["test_error"] * len(run.x))


def test_a_checkpoint_is_refused_with_a_hint(trained) -> None:
    run = trained("features")
    path = run.folder / "run" / "checkpoints" / "epoch-0003.safetensors"
    with pytest.raises(vbd_sparse.FileError, match="vbd prune"):
        vbd_sparse.load(path)
