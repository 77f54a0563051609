#!/usr/bin/env python3
"""The trained values of a checkpoint as a state dict in f16, with its batch normalisations, for `--from` and `vbd import`:
`python3 results/state_dict.py CHECKPOINT results/nets/NAME.safetensors` (numpy, safetensors)."""
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

VALUES = ("weight", "bias", "running_mean", "running_var")
tensors = {name: values for name, values in load_file(sys.argv[1]).items() if name.rsplit(".", 1)[-1] in VALUES}
save_file({name: values.astype(np.float16) for name, values in tensors.items()}, sys.argv[2], metadata={"format": "pt"})
