"""Writes golden.parquet, 40 images as the hub has MNIST's: python3 golden.py (pyarrow, Pillow, numpy)."""
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

images, labels = [], []
for row in range(40):
    pixels = np.zeros((28, 28), np.uint8)
    # a bar whose place tells the label
    pixels[4 : 24, 2 * (row % 10) + 3 : 2 * (row % 10) + 6] = 255 - row
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png")
    images.append({"bytes": png.getvalue(), "path": f"{row}.png"})
    labels.append(row % 10)
image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
table = pa.table({"image": pa.array(images, image), "label": pa.array(labels, pa.int64())})
# several row groups, as files of the hub have them
pq.write_table(table, Path(__file__).with_suffix(".parquet"), row_group_size=16)
