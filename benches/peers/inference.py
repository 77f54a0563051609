"""Inference of one pruned file by its peers and by us, in turns: one table with ratios.

    python3.11 -m venv peers && peers/bin/pip install -r benches/peers/requirements-inference.txt
    python3.11 -m venv sparse && sparse/bin/pip install -r benches/peers/requirements-deepsparse.txt
    cargo rustc --release -p vbd-net --lib --features capi --crate-type cdylib
    peers/bin/python benches/peers/inference.py FILE --deepsparse sparse/bin/python

Every peer is a process of its own, so that no thread pool spins beside another. Each runs the same
network on the same pixels, f32, with its normalisation folded into the first layer where that is
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
    """Layers with dense weights, and what is done to the pixels before them (None: nothing)."""
    sys.path.insert(0, str(ROOT / "docs"))
    from read_vbd import read_vbd

    meta, t = read_vbd(path)
    rule = meta["spec"].get("normalize", {})
    scale = np.float32(rule.get("scale", 1.0))
    statistic = lambda name, default: (
        t["normalize." + name] if rule.get(name) == "image" else np.float32(rule.get(name, default))
    )
    mean, std = statistic("mean", 0.0), statistic("std", 1.0)
    layers, before = [], (scale / std, -mean / std)
    for layer in meta["spec"]["layer"]:
        layer = dict(layer)
        if "name" in layer:
            layer["weight"], layer["bias"] = t[layer["name"] + ".weight"], t[layer["name"] + ".bias"]
        layers.append(layer)
    first = next(layer for layer in layers if layer["kind"] != "flatten")
    if first["kind"] == "linear":
        factor, shift = (np.broadcast_to(b, meta["spec"]["input"]).ravel() for b in before)
        first["bias"] = first["bias"] + first["weight"] @ shift
        first["weight"] = np.ascontiguousarray(first["weight"] * factor)
        before = None
        layers = [layer for layer in layers if layer["kind"] != "flatten"]
    return {"input": meta["spec"]["input"], "layers": layers, "before": before}


def input_shape(net, batch):
    return [batch, int(np.prod(net["input"]))] if net["before"] is None else [batch, *net["input"]]


def to_onnx(net, batch, path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def add(kind, inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(value):
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), f"c{len(constants)}"))
        return constants[-1].name

    x = "pixels"
    if net["before"] is not None:
        factor, shift = net["before"]
        x = add("Add", [add("Mul", [x, constant(factor)]), constant(shift)])
    for layer in net["layers"]:
        kind = layer["kind"]
        if kind == "linear":
            x = add("Gemm", [x, constant(layer["weight"]), constant(layer["bias"])], transB=1)
        elif kind == "conv2d":
            pads, strides = [layer.get("padding", 0)] * 4, [layer.get("stride", 1)] * 2
            x = add("Conv", [x, constant(layer["weight"]), constant(layer["bias"])], pads=pads, strides=strides)
        elif kind == "relu":
            x = add("Relu", [x])
        elif kind == "max_pool2d":
            x = add("MaxPool", [x], kernel_shape=[layer["kernel"]] * 2, strides=[layer["kernel"]] * 2)
        elif kind == "flatten":
            x = add("Flatten", [x])
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


def torch_calls(_path, inputs, net, threads, csr=False):
    import torch
    import torch.nn.functional as f

    torch.set_num_threads(threads)
    tensor = lambda value: torch.from_numpy(np.array(value, np.float32))
    layers, inputs = [], [tensor(x) for x in inputs]
    before = None if net["before"] is None else [tensor(b) for b in net["before"]]
    for layer in net["layers"]:
        weight = tensor(layer["weight"]) if "weight" in layer else None
        bias = tensor(layer["bias"]) if "bias" in layer else None
        if layer["kind"] == "linear" and csr:
            weight, bias = weight.to_sparse_csr(), bias[:, None]
            layers.append(lambda x, w=weight, b=bias: torch.sparse.addmm(b, w, x.t()).t() if len(x) > 1 else (w @ x[0] + b[:, 0])[None])
        elif layer["kind"] == "linear":
            layers.append(lambda x, w=weight, b=bias: f.linear(x, w, b))
        elif layer["kind"] == "conv2d":
            s, p = layer.get("stride", 1), layer.get("padding", 0)
            layers.append(lambda x, w=weight, b=bias, s=s, p=p: f.conv2d(x, w, b, s, p))
        elif layer["kind"] == "relu":
            layers.append(torch.relu_)
        elif layer["kind"] == "max_pool2d":
            layers.append(lambda x, k=layer["kernel"]: f.max_pool2d(x, k))
        elif layer["kind"] == "flatten":
            layers.append(lambda x: x.flatten(1))

    @torch.inference_mode()
    def call(i):
        x = inputs[i]
        if before is not None:
            x = torch.addcmul(before[1], x, before[0])
        for layer in layers:
            x = layer(x)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--library", type=Path, default=ROOT / "target/release/libvbd_net.so")
    parser.add_argument("--images", type=Path, default=ROOT.parent / "shared/data/mnist/t10k-images-idx3-ubyte.gz")
    parser.add_argument("--deepsparse", help="a Python that has DeepSparse")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--batch", default="1,64,1024")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn")
    options = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="vbd-inference-"))
    net = read_net(options.file)
    images = np.frombuffer(gzip.open(options.images).read()[16:], np.uint8).reshape(-1, int(np.prod(net["input"])))
    np.save(folder / "pixels.npy", images[: 4096 * 2])
    empty_file(net, folder / "empty.safetensors")

    peers = []
    for name in options.peers.split(","):
        python = options.deepsparse if name == "deepsparse" else sys.executable
        if python is None:
            continue
        for threads in sorted({1, options.threads}):
            peers.append(Peer(name, threads, python, options.file, folder / "pixels.npy", options.library))
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
            worst = np.abs(np.array(found) - reference).max() / np.abs(reference).max()
            if not is_empty and worst > 1e-4:
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
