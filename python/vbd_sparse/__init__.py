"""Reads vbd's pruned files into numpy, scipy and PyTorch, and runs them in numpy.

    net = vbd_sparse.load("small.safetensors")
    net.run(pixels)          # outputs, from raw pixels
    net.csr("fc1.weight")    # a scipy.sparse.csr_array
    net.state_dict()         # PyTorch tensors

`docs/format.md` in the repository specifies the files.
"""

from . import layers
from .file import FileError
from .net import Net, load
from .weights import Weights, load_weights

__all__ = ["FileError", "Net", "Weights", "layers", "load", "load_weights"]
