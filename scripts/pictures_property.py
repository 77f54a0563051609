"""Writes mutated pictures with what Pillow reads: `pictures_property.py CASES COUNT SEED`; see pictures_property.

`--report REPORT COUNT SEED` prints the counts of the test, `--dump CASES COUNT SEED I` writes case I's file to stdout.
"""
import io, json, random, struct, sys, warnings, zlib

import numpy as np
from PIL import Image

warnings.simplefilter("ignore")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
TURNS = [None, None, *(getattr(Image.Transpose, name) for name in (
    "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"))]

def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

def exif(rng, orientation):
    order = rng.choice("<>")
    magic = b"II" if order == "<" else b"MM"
    entries = [(0x010f, 2, 4, b"vbd\0"), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0))]
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return magic + struct.pack(order + "HIH", 42, 8, len(entries)) + body + bytes(4)

def make_png(rng):
    colour = rng.choice([0, 2, 3, 4, 6])
    depth, interlaced = rng.choice(DEPTHS[colour]), rng.random() < 0.4
    width, height = rng.randint(1, 20), rng.randint(1, 20)
    bits = depth * CHANNELS[colour]
    entries = rng.randint(1, 1 << depth) if colour == 3 else 0
    smooth = rng.random() < 0.5
    def row(columns):
        samples = columns * CHANNELS[colour]
        most = entries - 1 if colour == 3 else (1 << depth) - 1
        value = rng.randint(0, most)
        values = [min(most, max(0, value + rng.randint(-2, 2))) if smooth else rng.randint(0, most) for _ in range(samples)]
        if depth == 16:
            return struct.pack(f">{samples}H", *values)
        text = "".join(f"{value:0{depth}b}" for value in values)
        return bytes(int(text[at:at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))
    data = b""
    for x, y, dx, dy in PASSES if interlaced else [(0, 0, 1, 1)]:
        columns, rows = -(-max(0, width - x) // dx), -(-max(0, height - y) // dy)
        if columns and rows:
            # A palette's indices stay in range only without filters.
            for _ in range(rows):
                data += bytes([0 if colour == 3 else rng.randrange(5)]) + row(columns)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))]
    if colour == 3:
        parts.append(chunk(b"PLTE", rng.randbytes(3 * entries)))
    if rng.random() < 0.4 and colour in (0, 2, 3):
        most = (1 << depth) - 1
        key = rng.randbytes(rng.randint(1, entries)) if colour == 3 else b"".join(
            struct.pack(">H", rng.choice([0, most, rng.randint(0, most)])) for _ in range(CHANNELS[colour]))
        parts.append(chunk(b"tRNS", key))
    if rng.random() < 0.3:
        parts.append(chunk(b"tEXt", b"Title\0a picture"))
    if rng.random() < 0.3:
        parts.append(chunk(b"eXIf", exif(rng, rng.randint(0, 9))))
    is_whole = rng.random() < 0.7
    if not is_whole:  # Damage that no checksum tells: other pixels, other filters, too few or too many rows.
        data = mutate(rng, data)
    packed = zlib.compress(data, rng.choice([0, 1, 9]))
    cut = rng.randint(0, len(packed))
    parts += [chunk(b"IDAT", packed)] if rng.random() < 0.7 else [chunk(b"IDAT", packed[:cut]), chunk(b"IDAT", packed[cut:])]
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b""), is_whole

def make_jpeg(rng):
    mode = rng.choice(["L", "RGB", "RGB", "RGB", "CMYK"])
    width, height = rng.randint(1 if mode != "RGB" else 5, 48), rng.randint(1, 48)
    bands = len(Image.new(mode, (1, 1)).getbands())
    noise = np.frombuffer(rng.randbytes(width * height * bands), np.uint8).reshape(height, width, bands)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([(x * rng.randint(0, 9) + y * rng.randint(0, 9) + rng.randint(0, 255)) % 256 for _ in range(bands)], 2)
    pixels = (noise if rng.random() < 0.2 else smooth).astype(np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels, mode)
    options = {"quality": rng.randint(5, 100), "progressive": rng.random() < 0.4, "optimize": rng.random() < 0.3}
    if mode == "RGB":
        if rng.random() < 0.1:
            options["keep_rgb"] = True
        else:
            options["subsampling"] = rng.choice(["4:4:4", "4:2:2", "4:2:0"])
    if rng.random() < 0.3:
        options["restart_marker_blocks"] = rng.randint(1, 5)
    if rng.random() < 0.3:
        options["exif"] = b"Exif\0\0" + exif(rng, rng.randint(0, 9))
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return resampled(rng, bytearray(out.getvalue()))

def resampled(rng, data):
    """A file of a kind that Pillow does not write: the same codes with other sampling factors, or inks as YCCK."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        if data[at + 1] == 0xEE and rng.random() < 0.5 and data[at + 15] == 0 and len(data) % 2:
            data[at + 15] = 2 * (b"\xff\xc0\x00\x14" in data)  # Four components.
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    if data[at + 9] != 3 or rng.random() < 0.6:
        return bytes(data)
    height, width = struct.unpack(">HH", data[at + 5:at + 9])
    if data[at + 11] == 0x21:
        data[at + 11] = 0x12
        height, width = width, height
    elif data[at + 11] == 0x22 and data[at + 1] != 0xC2 and height % 2 == 0:
        data[at + 11], height, width = 0x41, height // 2, width * 2
    data[at + 5:at + 9] = struct.pack(">HH", height, width)
    return bytes(data)

def with_checksums(data):
    """The same with right checksums, as far as there are chunks."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack(">I", out[at:at + 4])[0]
        if end + 4 > len(out):
            break
        out[end:end + 4] = struct.pack(">I", zlib.crc32(out[at + 4:end]))
        at = end + 4
    return bytes(out)

def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, kind = rng.randrange(len(data) or 1), rng.choice([0, 0, 1, 1, 1, 1, 2, 3, 4, 5])
        if kind == 0 and data:
            data[at] = rng.randrange(256)
        elif kind == 1 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 4:
            del data[at:at + rng.randint(1, 8)]
        else:
            part = data[at:at + rng.randint(1, 16)]
            data[at:at] = part
    return bytes(data)

def make_case(rng):
    is_png = rng.random() < 0.5
    data, is_whole = make_png(rng) if is_png else (make_jpeg(rng), True)
    original = data
    if rng.random() < 0.8:
        data = mutate(rng, data)
        if is_png and rng.random() < 0.6:
            data = with_checksums(data)
    return data, is_whole and data == original

def grey_key(data):
    """The transparent sample of a grey image, at full depth. Pillow compares it with samples that it has scaled."""
    at = 8
    while data[at + 4:at + 8] != b"tRNS":
        at += 12 + struct.unpack(">I", data[at:at + 4])[0]
    return struct.unpack(">H", data[at + 8:at + 10])[0]

def read(data):
    """RGBA pixels as Pillow reads them, or None where Pillow cannot tell."""
    image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
    # exif_transpose, alpha and keys are applied below, to pixels of one mode.
    if image.width * image.height > 1 << 20:
        return None
    image.load()
    orientation = image.getexif().get(0x0112, 1)
    depth = data[24] if image.format == "PNG" else 8
    has_key = image.format == "PNG" and "transparency" in image.info and image.mode != "P"
    if has_key and depth != 8:
        if image.mode == "RGB":
            return None
        array = np.asarray(image).astype(np.int64)
        if depth == 16:
            full, grey = array, array >> 8
        else:
            grey = array * 255 if image.mode == "1" else array
            full = grey // (255 // ((1 << depth) - 1))
        alpha = np.where(full == grey_key(data), 0, 255)
        rgba = Image.fromarray(np.stack([grey, grey, grey, alpha], 2).astype(np.uint8), "RGBA")
    elif image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        rgba = Image.fromarray(grey, "L").convert("RGBA")
    elif image.mode == "CMYK":
        rgba = image.convert("RGB").convert("RGBA")
    else:
        rgba = image.convert("RGBA")
    turn = TURNS[orientation] if orientation in range(2, 9) else None
    return rgba if turn is None else rgba.transpose(turn)

def record(rng, data, is_whole):
    ground = tuple(rng.randrange(256) for _ in range(3))
    tolerance, size, pixels = 1 if data[:1] == b"\x89" else 3, (0, 0), b""
    try:
        image = read(data)
        verdict = 2 if image is None else 1
    except Exception:
        image, verdict = None, 0
    if image is not None:
        rgb = Image.alpha_composite(Image.new("RGBA", image.size, ground + (255,)), image).convert("RGB")
        size, pixels = image.size, rgb.tobytes() + rgb.convert("L").tobytes()
    head = bytes([verdict + 4 * is_whole, tolerance, *ground]) + struct.pack("<II", *size)
    return struct.pack("<I", len(data)) + data + head + pixels

def main():
    if sys.argv[1] == "--report":
        report = json.load(open(sys.argv[2]))
        assert report["cases"] == int(sys.argv[3]), report
        counts = {name: len(value) if isinstance(value, list) else value for name, value in report.items()}
        print("pictures against Pillow:", ", ".join(f"{name} {count}" for name, count in counts.items()))
        for name in ("differ", "taken_though_pillow_refuses", "whole_refused"):
            for example in report[name][:10]:
                print(f"{name}: case {example['case']} by {example['difference']}")
        return
    is_dump = sys.argv[1] == "--dump"
    path, count, seed = sys.argv[1 + is_dump:4 + is_dump]
    if is_dump:
        rng = random.Random(f"{seed}/{sys.argv[5]}")
        sys.stdout.buffer.write(make_case(rng)[0])
        return
    with open(path, "wb") as out:
        for index in range(int(count)):
            rng = random.Random(f"{seed}/{index}")
            out.write(record(rng, *make_case(rng)))

main()
