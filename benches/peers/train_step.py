#!/usr/bin/env python3
"""Times a training step in PyTorch (eager and torch.compile) and in vbd, in turns: a VBD step of the LeNets
on MNIST, a dense step of ResNet-8 on CIFAR-10, one of DS-CNN on random features, one of an MLP with Bernoulli dropout on
MNIST (mlp-3x1060).

    python3 -m venv target/peers-venv
    target/peers-venv/bin/pip install -r benches/peers/requirements-train.txt
    cargo build --release
    target/peers-venv/bin/python benches/peers/train_step.py --data-dir DATA [--run RUN ...]

`--nets` chooses among them. Same nets, batch, data and threads; PyTorch and vbd never run at once. A figure is the median over the
turns of each turn's median step; the spread is the least and the largest of these. `--simd` holds both to
an instruction set; what each says that it uses is printed. With `--run`, the
finished run's epochs are added up and set against PyTorch's better mode, extrapolated from a few epochs,
evaluation of each included.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

# What holds ATen, oneDNN and MKL to an instruction set, and the width of the compiler's vectors in bits.
HOLDS = {
    "avx2": ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}, 256),
    "avx512": (
        {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
        512,
    ),
}
ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="folder with mnist/*.gz, for ResNet-8 cifar-10/*.bin")
    parser.add_argument("--nets", default="lenet-300-100,lenet-5-caffe")
    parser.add_argument("--modes", default="eager,compile", help="of PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--simd", choices=HOLDS, help="instruction set of both; else each takes its best")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--run", action="append", default=[], help="folder of a finished run of a LeNet")
    parser.add_argument("--epochs", type=int, default=3, help="of PyTorch, for --run")
    parser.add_argument("--vbd", default=str(TARGET / "vbd"))
    parser.add_argument("--json", help="write all figures to this file")
    return parser.parse_args()


def source(net, data_dir):
    """The net's data, what builds its trainer, and our recipe with its data."""
    import dense_torch
    import vbd_torch

    if net in vbd_torch.NETS:
        return vbd_torch.mnist(data_dir), vbd_torch.Trainer, [f"{net}-vbd", "--data-dir", data_dir]
    if net == "resnet-8":
        return dense_torch.cifar_10(data_dir), dense_torch.DenseTrainer, [f"{net}-dense", "--data-dir", data_dir]
    if net == "mlp-3x1060":
        recipe = str(Path(__file__).with_name("mlp-3x1060-bernoulli.toml"))
        return vbd_torch.mnist(data_dir), dense_torch.DenseTrainer, [recipe, "--data-dir", data_dir]
    data = dense_torch.features()
    return data, dense_torch.DenseTrainer, [f"{net}-dense", "--data", f"npz:{data['file']}"]


def ours(args, recipe, steps):
    """Median milliseconds of a step, from a process of its own."""
    command = [args.vbd, "bench", "--recipe", *recipe, "--json"]
    command += ["--threads", str(args.threads), "--steps", str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    args.ours = told["simd"]
    return told["rows"][0]["median_us"] / 1e3


def turn(step, seconds):
    """Median milliseconds of as many steps as fit."""
    times, end = [], time.perf_counter() + seconds
    step()
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "largest": max(values)}


def compare(args, net):
    """The table of one net; returns its figures and the trainers."""
    data, trainer_of, recipe = source(net, args.data_dir)
    trainers = {mode: trainer_of(net, data, mode == "compile") for mode in args.modes.split(",")}
    for trainer in trainers.values():
        for _ in range(5):
            trainer.step()
    times = {**{mode: [] for mode in trainers}, "vbd": []}
    steps = {"lenet-300-100": 300, "lenet-5-caffe": 60}.get(net, 20)
    for _ in range(args.turns):
        for mode, trainer in trainers.items():
            times[mode].append(turn(trainer.step, args.seconds))
        times["vbd"].append(ours(args, recipe, steps))
    figures = {name: summary(values) for name, values in times.items()}
    better = min(trainers, key=lambda mode: figures[mode]["median"])
    print(f"\n{net}, batch 100, threads {args.threads}: milliseconds a step, {args.turns} turns, vbd on {args.ours}")
    print(f"{'':16} {'median':>8} {'least':>8} {'largest':>8} {'to ' + better:>12}")
    for name, row in figures.items():
        ratio = row["median"] / figures[better]["median"]
        title = name if name == "vbd" else f"pytorch {name}"
        print(
            f"{title:16} {row['median']:8.2f} {row['least']:8.2f} {row['largest']:8.2f} {ratio:12.2f}",
            flush=True,
        )
    multiply_adds = trainers[better].multiply_adds
    if multiply_adds:
        # A product for the outputs, and one for each gradient.
        flops = 2 * 3 * multiply_adds * trainers[better].batch
        rates = ", ".join(f"{name} {flops / row['median'] / 1e6:.0f}" for name, row in figures.items())
        print(f"GFLOP/s at {flops / 1e9:.2f} GFLOP a step: {rates}", flush=True)
    return {"net": net, "better": better, "step_ms": figures}, trainers[better]


def whole_run(args, figures, trainer, run):
    """A finished run's seconds against PyTorch's, extrapolated."""
    trainer.restart(kl_scale=0.0)  # as in a run's first epochs
    trainer.evaluate()  # compiles it
    seconds = []
    for _ in range(args.epochs):
        start = time.perf_counter()
        for _ in range(len(trainer.order)):
            trainer.step()
        error = trainer.evaluate()
        seconds.append(time.perf_counter() - start)
    epochs = [json.loads(line) for line in (Path(run) / "metrics.jsonl").open()]
    own, each = sum(epoch["seconds"] for epoch in epochs), statistics.median(seconds)
    peer = each * len(epochs)
    print(
        f"\n{figures['net']}, {len(epochs)} epochs, evaluation included ({run}):\n"
        f"pytorch {figures['better']:8} {peer:8.0f} s, from {each:.2f} s an epoch "
        f"({min(seconds):.2f} to {max(seconds):.2f}; error {100 * error:.2f} %)\n"
        f"vbd              {own:8.0f} s\nratio            {own / peer:8.3f}",
        flush=True,
    )
    return {"run": str(run), "pytorch_seconds": peer, "vbd_seconds": own, "epoch_seconds": seconds}


def net_of(run):
    """Name of a run's net, from its net.toml."""
    for line in (Path(run) / "net.toml").open():
        if line.startswith("name"):
            return line.split('"')[1]
    raise SystemExit(f"{run}: net.toml names no net")


def main():
    args = arguments()
    # Before torch starts its threads.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)
    if args.simd:
        os.environ["VBD_SIMD"] = args.simd
        os.environ.update(HOLDS[args.simd][0])
    import torch
    from torch._inductor import config, cpu_vec_isa

    if args.simd:
        config.cpp.simdlen = HOLDS[args.simd][1]
    torch.set_num_threads(args.threads)
    if "compile" in args.modes and shutil.which("g++") is None:
        print("torch.compile needs g++, which is missing: left out", file=sys.stderr)
        args.modes = ",".join(mode for mode in args.modes.split(",") if mode != "compile")
        if not args.modes:
            raise SystemExit("no mode of PyTorch is left")
    held = {name: os.environ.get(name) for name in HOLDS["avx2"][0]}
    print(
        f"torch {torch.__version__}, {os.cpu_count()} cores; ATen {torch.backends.cpu.get_cpu_capability()}, "
        f"compiler {cpu_vec_isa.pick_vec_isa()}; {held}"
    )
    runs = {net_of(run): run for run in args.run}
    results = []
    for net in args.nets.split(","):
        figures, trainer = compare(args, net)
        if net in runs:
            figures["whole_run"] = whole_run(args, figures, trainer, runs[net])
        results.append(figures)
    if args.json:
        told = {"threads": args.threads, "simd": args.ours, "nets": results}
        Path(args.json).write_text(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
