"""Inference of one pruned file by its peers and by us, in turns: one table with ratios.

    python3.11 -m venv peers && peers/bin/pip install -r benches/peers/requirements-inference.txt
    python3.11 -m venv sparse && sparse/bin/pip install -r benches/peers/requirements-deepsparse.txt
    cargo rustc --release -p vbd-net --lib --features capi --crate-type cdylib
    peers/bin/python benches/peers/inference.py FILE --deepsparse sparse/bin/python

Every peer is a process of its own, so that no thread pool spins beside another. Each runs the same
network on the same inputs, f32, with its normalisation folded into the first layer where that is
linear; logits are compared before anything is measured. Peers are measured with one and with all
threads, and the better of the two counts. Times are medians of single calls, call overhead included;
`empty` is a call of the same interface to a model that computes nothing.
"""
import argparse
import ctypes
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
PEERS = ["vbd", "vbd-u8", "torch", "torch-csr", "onnxruntime", "openvino", "deepsparse"]
ROTATE = 4  # different batches that a peer sees in turn


# --- the network, for all of them -------------------------------------------------------------


def read_net(path):
    """Layers with dense weights, each with the values that it reads, and what is done to the inputs before
    them (None: nothing)."""
    sys.path.insert(0, str(ROOT / "docs"))
    from read_vbd import groups_of, read_vbd, shapes_of, window_of

    meta, t = read_vbd(path)
    spec, rule = meta["spec"], meta["spec"].get("normalize", {})
    scale = np.float32(rule.get("scale", 1.0))

    def statistic(name, default):
        if rule.get(name) == "image":
            return t["normalize." + name]
        value = np.float32(rule.get(name, default))
        return value.reshape(-1, *[1] * (len(spec["input"]) - 1)) if value.ndim else value

    mean, std = statistic("mean", 0.0), statistic("std", 1.0)
    layers, before, last, same = [], (scale / std, -mean / std), "input", {}
    for number, (layer, shape, _) in enumerate(shapes_of(spec)):
        layer = dict(layer)
        reads = layer.get("inputs") or [layer.get("input", last)]
        layer["reads"] = [same.get(value, value) for value in reads]
        last = layer["makes"] = layer.get("name", f"layer {number}")
        for part in ("weight", "bias", "index"):
            key = f"{layer.get('name')}.{part}"
            if key in t:
                layer[part] = t[key]
        if layer["kind"] in ("conv2d", "max_pool2d", "avg_pool2d"):
            layer["window"], layer["groups"] = window_of(layer, shape), groups_of(layer, shape[0])
            layer["is_global"] = list(shape[1:]) == list(layer["window"][0]) and layer["window"][2] == [0, 0]
        layer["rank"] = 1 + len(shape)
        if layer["kind"] == "flatten" and len(shape) == 1:
            same[last] = layer["reads"][0]
        else:
            layers.append(layer)
    first = next(layer for layer in layers if layer["kind"] != "flatten")
    if first["kind"] == "linear":
        factor, shift = (np.broadcast_to(b, spec["input"]).ravel() for b in before)
        first["bias"] = first["bias"] + first["weight"] @ shift
        first["weight"] = np.ascontiguousarray(first["weight"] * factor)
        first["reads"] = ["input"]
        before = None
        layers = [layer for layer in layers if layer["kind"] != "flatten"]
    return {"input": spec["input"], "layers": layers, "before": before}


def input_shape(net, batch):
    return [batch, int(np.prod(net["input"]))] if net["before"] is None else [batch, *net["input"]]


def by_unit(layer, rank):
    """A scale's factors and shifts, to be broadcast over a batch of that rank."""
    return (layer[part].reshape(1, -1, *[1] * (rank - 2)) for part in ("weight", "bias"))


def to_onnx(net, batch, path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def add(kind, inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(value, dtype=np.float32):
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(constants)}"))
        return constants[-1].name

    def outputs(layer, inputs):
        kind = layer["kind"]
        if "window" in layer:
            kernel, stride, start, end, _ = layer["window"]
            window = {"kernel_shape": kernel, "strides": stride, "pads": [*start, *end]}
        if kind == "linear":
            return add("Gemm", [*inputs, constant(layer["weight"]), constant(layer["bias"])], transB=1)
        if kind == "conv2d":
            weight = [constant(layer["weight"]), constant(layer["bias"])]
            return add("Conv", [*inputs, *weight], group=layer["groups"], **window)
        if kind == "max_pool2d":
            return add("MaxPool", inputs, **window)
        if kind == "avg_pool2d":
            return add("GlobalAveragePool", inputs) if layer["is_global"] else add("AveragePool", inputs, **window)
        if kind == "scale":
            factor, shift = by_unit(layer, layer["rank"])
            return add("Add", [add("Mul", [*inputs, constant(factor)]), constant(shift)])
        if kind == "select":
            return add("Gather", [*inputs, constant(layer["index"], np.int64)], axis=1)
        simple = {"relu": "Relu", "softplus": "Softplus", "flatten": "Flatten", "add": "Add"}
        return add(simple[kind], inputs)

    values = {"input": "pixels"}
    if net["before"] is not None:
        factor, shift = net["before"]
        values["input"] = add("Add", [add("Mul", ["pixels", constant(factor)]), constant(shift)])
    x = values["input"]
    for layer in net["layers"]:
        x = values[layer["makes"]] = outputs(layer, [values[value] for value in layer["reads"]])
    if not net["layers"]:
        x = add("Identity", [x])
    classes = len(net["layers"][-1]["bias"]) if net["layers"] else net["input"][0]
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "net", [value("pixels", input_shape(net, batch))], [value(x, [batch, classes])], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


EMPTY = {"input": [10], "layers": [], "before": None}


# --- the peers: each gives a function of a list of inputs to a list of calls -------------------


def vbd_calls(path, inputs, _net, _threads, dtype=np.float32):
    lib = ctypes.CDLL(os.environ["VBD_LIBRARY"])
    lib.vbd_load.restype, lib.vbd_load.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    lib.vbd_classes.restype, lib.vbd_classes.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    lib.vbd_last_error.restype = ctypes.c_char_p
    run = lib.vbd_run_f32 if dtype == np.float32 else lib.vbd_run_u8
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    session = lib.vbd_load(str(path).encode())
    if not session:
        raise RuntimeError(lib.vbd_last_error().decode())
    inputs = [np.ascontiguousarray(x.astype(dtype)) for x in inputs]
    out = np.empty((len(inputs[0]), lib.vbd_classes(session)), np.float32)
    session, batch, out_at = ctypes.c_void_p(session), ctypes.c_size_t(len(inputs[0])), ctypes.c_void_p(out.ctypes.data)
    places = [ctypes.c_void_p(x.ctypes.data) for x in inputs]

    def call(i):
        if run(session, places[i], batch, out_at) != 0:
            raise RuntimeError(lib.vbd_last_error().decode())
        return out

    call.keep = inputs
    return call


def torch_layer(layer, csr):
    """A function of the values that the layer reads."""
    import torch
    import torch.nn.functional as f

    tensor = lambda value: torch.from_numpy(np.array(value, np.float32))
    kind = layer["kind"]
    weight = tensor(layer["weight"]) if "weight" in layer else None
    bias = tensor(layer["bias"]) if "bias" in layer else None
    if kind == "linear" and csr:
        weight, bias = weight.to_sparse_csr(), bias[:, None]
        return lambda x: torch.sparse.addmm(bias, weight, x.t()).t() if len(x) > 1 else (weight @ x[0] + bias[:, 0])[None]
    if kind == "linear":
        return lambda x: f.linear(x, weight, bias)
    if kind == "scale":
        factor, shift = (tensor(value) for value in by_unit(layer, layer["rank"]))
        return lambda x: torch.addcmul(shift, x, factor)
    if kind == "select":
        index = torch.from_numpy(layer["index"].astype(np.int64))
        return lambda x: x.index_select(1, index)
    simple = {"relu": f.relu, "softplus": f.softplus, "flatten": lambda x: x.flatten(1), "add": torch.add}
    if kind in simple:
        return simple[kind]
    kernel, stride, start, end, _ = layer["window"]
    padding, uneven = (start, None) if start == end else (0, [start[1], end[1], start[0], end[0]])
    if kind == "conv2d":
        apply = lambda x: f.conv2d(x, weight, bias, stride, padding, 1, layer["groups"])
    elif kind == "max_pool2d":
        apply = lambda x: f.max_pool2d(x, kernel, stride, padding)
    else:
        apply = lambda x: f.avg_pool2d(x, kernel, stride, padding)
    if uneven is None:
        return apply
    outside = float("-inf") if kind == "max_pool2d" else 0.0
    return lambda x: apply(f.pad(x, uneven, value=outside))


def torch_calls(_path, inputs, net, threads, csr=False):
    import torch

    torch.set_num_threads(threads)
    tensor = lambda value: torch.from_numpy(np.array(value, np.float32))
    inputs = [tensor(x) for x in inputs]
    before = None if net["before"] is None else [tensor(b) for b in net["before"]]
    layers = [(torch_layer(layer, csr), layer["reads"], layer["makes"]) for layer in net["layers"]]

    @torch.inference_mode()
    def call(i):
        x = inputs[i]
        if before is not None:
            x = torch.addcmul(before[1], x, before[0])
        values = {"input": x}
        for layer, reads, makes in layers:
            x = values[makes] = layer(*(values[value] for value in reads))
        return x

    return call


def onnx_file(net, batch):
    path = Path(tempfile.mkdtemp(prefix="vbd-peer-")) / "net.onnx"
    to_onnx(net, batch, path)
    return str(path)


def onnxruntime_calls(_path, inputs, net, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_file(net, len(inputs[0])), options, ["CPUExecutionProvider"])
    feeds = [{"pixels": x} for x in inputs]
    return lambda i: session.run(None, feeds[i])[0]


def openvino_calls(_path, inputs, net, threads):
    import openvino

    core = openvino.Core()
    hint = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(onnx_file(net, len(inputs[0])), "CPU", hint).create_infer_request()
    feeds = [{0: x} for x in inputs]
    return lambda i: request.infer(feeds[i], share_inputs=True, share_outputs=True)[0]


def deepsparse_calls(_path, inputs, net, threads):
    import deepsparse

    engine = deepsparse.compile_model(onnx_file(net, len(inputs[0])), batch_size=len(inputs[0]), num_cores=threads)
    feeds = [[x] for x in inputs]
    return lambda i: engine.run(feeds[i], val_inp=False)[0]


MAKERS = {
    "vbd": vbd_calls,
    "vbd-u8": lambda *rest: vbd_calls(*rest, dtype=np.uint8),
    "torch": torch_calls,
    "torch-csr": lambda *rest: torch_calls(*rest, csr=True),
    "onnxruntime": onnxruntime_calls,
    "openvino": openvino_calls,
    "deepsparse": deepsparse_calls,
}


# --- one process a peer ------------------------------------------------------------------------


def worker(peer, threads, path, pixels):
    """Reads a request a line, `{batch, empty, seconds}`, and answers with the times of its calls."""
    # What a peer prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pixels, calls = np.load(pixels), {}
    for line in sys.stdin:
        request = json.loads(line)
        batch, empty = request["batch"], request["empty"]
        if (batch, empty) not in calls:
            ours = peer.startswith("vbd")
            net = EMPTY if empty and not ours else read_net(path)
            file = request["empty_file"] if empty else path
            inputs = [
                np.ascontiguousarray(np.roll(pixels, -i * batch, axis=0)[:batch], np.float32) for i in range(ROTATE)
            ]
            inputs = [x[:, :10] if empty and not ours else x.reshape(input_shape(net, batch)) for x in inputs]
            inputs = [np.ascontiguousarray(x) for x in inputs]
            call = MAKERS[peer](file, inputs, net, threads)
            calls[batch, empty] = call
            for i in range(20):
                call(i % ROTATE)
            answer = {"logits": np.array(call(0), np.float64).ravel()[:1000].tolist()}
        else:
            call, times, clock = calls[batch, empty], [], time.perf_counter_ns
            end = clock() + int(request["seconds"] * 1e9)
            i, now = 0, clock()
            while now < end:
                start = clock()
                call(i)
                now = clock()
                times.append(now - start)
                i = (i + 1) % ROTATE
            answer = {"times": times}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Peer:
    def __init__(self, name, threads, python, file, pixels, library):
        self.name, self.threads = name, threads
        count = str(threads)
        env = dict(os.environ, RAYON_NUM_THREADS=count, VBD_NUM_THREADS=count, OMP_NUM_THREADS=count, VBD_LIBRARY=str(library), NM_DISABLE_LOGGING="1")
        command = [python, str(HERE), "--worker", name, str(threads), str(file), str(pixels)]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, text=True
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            tail = self.log.read().decode(errors="replace").strip().splitlines()[-3:]
            raise RuntimeError(f"{self.name} with {self.threads} threads stopped: {' / '.join(tail)}")
        return json.loads(line)


def empty_file(net, path):
    """A pruned file of one linear layer without weights, for the same input."""
    from safetensors.numpy import save_file

    layer = {"kind": "linear", "name": "fc1", "out_features": 10}
    spec = {"name": "empty", "input": net["input"], "classes": 10, "layer": [layer]}
    meta = {"version": 1, "kind": "pruned", "spec": spec, "values": "f32", "provenance": {}}
    weight = np.zeros((10, int(np.prod(net["input"]))), np.float32)
    save_file({"fc1.weight": weight, "fc1.bias": np.zeros(10, np.float32)}, path, metadata={"vbd": json.dumps(meta)})


def read_inputs(source, net):
    """Samples, flat: bytes of images, or floats."""
    if source == "random":
        return np.random.default_rng(0).normal(size=(8192, int(np.prod(net["input"])))).astype(np.float32)
    if source.endswith(".bin"):
        return np.fromfile(source, np.uint8).reshape(-1, 3073)[:, 1:]
    return np.frombuffer(gzip.open(source).read()[16:], np.uint8).reshape(-1, int(np.prod(net["input"])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--library", type=Path, default=ROOT / "target/release/libvbd_net.so")
    parser.add_argument(
        "--inputs",
        default=str(ROOT.parent / "shared/data/mnist/t10k-images-idx3-ubyte.gz"),
        help="MNIST's images, a batch of CIFAR-10 (.bin), or `random`: normal features",
    )
    parser.add_argument("--deepsparse", help="a Python that has DeepSparse")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--batch", default="1,64,1024")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn")
    options = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="vbd-inference-"))
    net = read_net(options.file)
    inputs = read_inputs(options.inputs, net)
    np.save(folder / "inputs.npy", inputs[: 4096 * 2])
    empty_file(net, folder / "empty.safetensors")

    peers = []
    for name in options.peers.split(","):
        if name == "vbd-u8" and inputs.dtype != np.uint8:
            continue
        python = options.deepsparse if name == "deepsparse" else sys.executable
        if python is None:
            continue
        for threads in sorted({1, options.threads}):
            peers.append(Peer(name, threads, python, options.file, folder / "inputs.npy", options.library))
    empty = {"empty_file": str(folder / "empty.safetensors")}
    best = {}
    for batch in map(int, options.batch.split(",")):
        alive, logits = [], {}
        for peer in peers:
            for is_empty in (False, True):
                try:
                    logits[peer, is_empty] = peer.ask(batch=batch, empty=is_empty, seconds=0, **empty)["logits"]
                    alive.append((peer, is_empty))
                except (RuntimeError, BrokenPipeError) as error:
                    print(f"left out: {error}", file=sys.stderr)
                    break
        reference = np.array(logits[peers[0], False])
        for (peer, is_empty), found in logits.items():
            if is_empty:
                continue
            worst = np.abs(np.array(found) - reference).max() / np.abs(reference).max()
            if worst > 1e-4:
                raise SystemExit(f"{peer.name} differs by {worst:.2e}")
        times = {key: [] for key in alive}
        for _ in range(options.rounds):
            for peer, is_empty in alive:
                share = options.seconds / (5 if is_empty else 1)
                times[peer, is_empty] += peer.ask(batch=batch, empty=is_empty, seconds=share, **empty)["times"]
        for (peer, is_empty), found in times.items():
            median = float(np.median(found)) / 1e3 / batch
            key = (peer.name, batch, is_empty)
            best[key] = min(best.get(key, (np.inf, 0)), (median, peer.threads))
    for peer in peers:
        peer.process.stdin.close()
        peer.process.wait()

    names = [name for name in options.peers.split(",") if any(key[0] == name for key in best)]
    print(f"\nmicroseconds a sample, {Path(options.file).name}, medians of calls in turns\n")
    print("| | batch | threads | us a sample | ours is faster by | empty call |\n|---|---|---|---|---|---|")
    for batch in map(int, options.batch.split(",")):
        ours = best["vbd", batch, False][0]
        for name in names:
            if (name, batch, False) not in best:
                continue
            median, threads = best[name, batch, False]
            hollow = best.get((name, batch, True), (float("nan"), 0))[0]
            print(f"| {name} | {batch} | {threads} | {median:.3f} | {median / ours:.1f} | {hollow:.3f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
    else:
        main()
