//! PNG and JPEG files, byte by byte.

/// Width and height of the small network's images.
pub(super) const SIDE: usize = 8;
pub(super) const INK: u8 = 255;

/// The picture of class 2 as it is shown: a bright band, and a mark that no turn keeps in place.
pub(super) fn shown(x: usize, y: usize) -> u8 {
    if y / 2 == 2 || (x, y) == (1, 0) {
        INK
    } else {
        0
    }
}

/// Color type of a PNG file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Grey = 0,
    Rgb = 2,
    Palette = 3,
    GreyAlpha = 4,
    Rgba = 6,
}

/// A PNG file under construction.
#[derive(Debug, Clone)]
pub(super) struct PngFile {
    pub(super) colour: Colour,
    pub(super) depth: usize,
    pub(super) interlaced: bool,
    /// Chunks before the data.
    pub(super) chunks: Vec<([u8; 4], Vec<u8>)>,
}

impl PngFile {
    pub(super) fn new(colour: Colour, depth: usize) -> Self {
        let palette = vec![0, 0, 0, INK, INK, INK];
        let chunks = match colour {
            Colour::Palette => vec![(*b"PLTE", palette)],
            _ => Vec::new(),
        };
        Self {
            colour,
            depth,
            interlaced: false,
            chunks,
        }
    }

    pub(super) fn chunk(mut self, kind: [u8; 4], content: &[u8]) -> Self {
        self.chunks.push((kind, content.to_vec()));
        self
    }

    /// The file; `sample` gives the sample of a pixel's channel.
    pub(super) fn encode(&self, sample: impl Fn(usize, usize, usize) -> u16) -> Vec<u8> {
        let passes: &[[usize; 4]] = if self.interlaced {
            &[
                [0, 0, 8, 8],
                [4, 0, 8, 8],
                [0, 4, 4, 8],
                [2, 0, 4, 4],
                [0, 2, 2, 4],
                [1, 0, 2, 2],
                [0, 1, 1, 2],
            ]
        } else {
            &[[0, 0, 1, 1]]
        };
        let mut rows = Vec::new();
        for &[left, top, across, down] in passes {
            for y in (top..SIDE).step_by(down) {
                let samples = (left..SIDE).step_by(across).flat_map(|x| {
                    let sample = &sample;
                    (0..self.channels()).map(move |channel| sample(x, y, channel))
                });
                rows.push(0);
                rows.extend(packed(samples, self.depth));
            }
        }
        let side = u32::try_from(SIDE).unwrap().to_be_bytes();
        let depth = u8::try_from(self.depth).unwrap();
        let methods = [depth, self.colour as u8, 0, 0, u8::from(self.interlaced)];
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(chunk(*b"IHDR", &[&side[..], &side, &methods].concat()));
        for (kind, content) in &self.chunks {
            file.extend(chunk(*kind, content));
        }
        file.extend(chunk(*b"IDAT", &stored(&rows)));
        file.extend(chunk(*b"IEND", &[]));
        file
    }

    /// The file of the shown picture; of palettes and lower depths as well. Opaque.
    pub(super) fn encode_shown(&self) -> Vec<u8> {
        self.encode(|x, y, channel| self.sample_of(shown(x, y), channel))
    }

    /// The sample of a brightness of 0 or 255; alpha is opaque.
    pub(super) fn sample_of(&self, brightness: u8, channel: usize) -> u16 {
        let most = u16::MAX >> (16 - self.depth);
        let is_alpha = match self.colour {
            Colour::GreyAlpha => channel == 1,
            Colour::Rgba => channel == 3,
            _ => false,
        };
        match (self.colour, brightness > 0 || is_alpha) {
            (_, false) => 0,
            (Colour::Palette, true) => 1,
            (_, true) => most,
        }
    }

    fn channels(&self) -> usize {
        match self.colour {
            Colour::Grey | Colour::Palette => 1,
            Colour::GreyAlpha => 2,
            Colour::Rgb => 3,
            Colour::Rgba => 4,
        }
    }
}

/// Samples of `depth` bits, highest first.
fn packed(samples: impl Iterator<Item = u16>, depth: usize) -> Vec<u8> {
    let mut bits = Vec::new();
    for sample in samples {
        bits.extend((0..depth).rev().map(|bit| sample >> bit & 1 == 1));
    }
    let bytes = bits.chunks(8).map(|bits| {
        let bits = bits.iter().enumerate();
        bits.fold(0, |byte, (place, &bit)| byte | u8::from(bit) << (7 - place))
    });
    bytes.collect()
}

pub(super) fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap().to_be_bytes();
    let sum = crc32fast::hash(&[&kind[..], content].concat()).to_be_bytes();
    [&len[..], &kind, content, &sum].concat()
}

/// A zlib stream of one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    let (mut low, mut high) = (1_u32, 0_u32);
    for &byte in bytes {
        low = (low + u32::from(byte)) % 65521;
        high = (high + low) % 65521;
    }
    let mut stream = vec![0x78, 1, 1];
    stream.extend(len.to_le_bytes());
    stream.extend((!len).to_le_bytes());
    stream.extend(bytes);
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}

/// EXIF data with an orientation.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    bytes.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// A baseline JPEG file.
pub(super) fn jpeg(pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let mut pixels = Vec::new();
    for place in 0..SIDE * SIDE {
        pixels.extend(pixel(place % SIDE, place / SIDE));
    }
    let mut file = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 100);
    let side = u32::try_from(SIDE).unwrap();
    encoder
        .encode(&pixels, side, side, image::ExtendedColorType::Rgb8)
        .unwrap();
    file
}

/// The shown picture as JPEG.
pub(super) fn jpeg_shown() -> Vec<u8> {
    jpeg(|x, y| [shown(x, y); 3])
}

/// A JPEG file with a segment of EXIF data.
pub(super) fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let content = [b"Exif\0\0", &exif(orientation)[..]].concat();
    let len = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &len, &content, &jpeg[2..]].concat()
}
