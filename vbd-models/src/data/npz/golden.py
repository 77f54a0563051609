"""Writes golden.npz and golden_f32.npz, which the tests of this folder read. Written by numpy 2 (see below)."""

import numpy

n = numpy.arange(12, dtype=numpy.uint8).reshape(3, 2, 2)
y = numpy.array([0, 2, 1], dtype=numpy.int64)
numpy.savez_compressed("golden.npz", x_train=n, y_train=y, x_test=n[:1] + 100, y_test=y[1:2])
f = numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 2 - 1
numpy.savez("golden_f32.npz", x_train=f, x_test=f[::-1].astype(">f4"))
print(numpy.__version__)
