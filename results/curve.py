#!/usr/bin/env python3
"""A run's curve as CSV: `python3 results/curve.py RUN > results/NAME.csv` (standard library alone)."""
import json
import sys
from pathlib import Path

lines = [json.loads(line) for line in (Path(sys.argv[1]) / "metrics.jsonl").read_text().splitlines()]
layers = [layer["name"] for layer in lines[0]["layers"]]
gates = [gate["after"] for gate in lines[0].get("gates", [])]
result = "test_error" if "test_error" in lines[0] else "test_loss"
columns = ["epoch", "lr", "kl_scale", "nll", "kl", result, "numel", "nnz", "compression_ratio"]
print(",".join(columns + [f"nnz_{name}" for name in layers] + [f"kept_{name}" for name in gates]
               + ["train_seconds", "seconds"]))
for line in lines:
    row = [line[column] for column in columns] + [layer["nnz"] for layer in line["layers"]]
    row += [gate["kept"] for gate in line.get("gates", [])]
    row += [line["train_seconds"], line["seconds"]]
    print(",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row))
