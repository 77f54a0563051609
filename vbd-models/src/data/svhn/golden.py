"""Writes golden.mat and golden_packed.mat. Run with numpy 2.4, scipy 1.17: python3 golden.py"""
import numpy as np
from scipy.io import savemat

row, column, channel, image = np.ogrid[:32, :32, :3, :3]
x = ((row * 7 + column * 3 + channel * 90 + image * 11) % 256).astype(np.uint8)
y = np.array([[1], [10], [9]])
savemat("golden.mat", {"X": x, "y": y.astype(np.float64)})
savemat("golden_packed.mat", {"y": y.astype(np.uint8), "X": x}, do_compression=True)
