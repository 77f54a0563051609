"""Writes the JPEG files of kinds.rs that the `image` crate cannot encode. Pillow 13.0: `python3 kinds.py`."""
from PIL import Image

grey = Image.new("L", (8, 8))
for y in range(8):
    for x in range(8):
        grey.putpixel((x, y), 255 if y // 2 == 2 or (x, y) == (1, 0) else 0)
grey.save("grey.jpg", quality=100)
grey.convert("RGB").save("progressive.jpg", quality=100, progressive=True, subsampling="4:4:4")
grey.convert("RGB").save("subsampled.jpg", quality=100, subsampling="4:2:0")
grey.convert("RGB").convert("CMYK").save("cmyk.jpg", quality=100)
