//! An image file to the input of a network.

use std::path::Path;

use anyhow::Context as _;
use vbd_models::picture::{self, Channels, Colour, DecodeError, Encoded, Ground, Raster, Size};
use vbd_net::spec::NetSpec;

use crate::error::Problem;
use crate::render::say;
use crate::show::View;

/// Contrast below which a picture shows nothing on its ground.
const FAINT: u8 = 8;

/// How images are read.
#[derive(Debug)]
pub(super) struct ImageReader<'a> {
    spec: &'a NetSpec,
    channels: Channels,
    ground: Ground,
    invert: bool,
}

impl<'a> ImageReader<'a> {
    /// Chooses the ground: `background`, or else `blank`, or else white.
    ///
    /// # Errors
    /// If the network does not read grey or color images.
    pub(super) fn new(
        spec: &'a NetSpec,
        background: Option<Colour>,
        blank: Option<&[u8]>,
        invert: bool,
    ) -> Result<Self, Problem> {
        let channels = match spec.input[..] {
            [1, _, _] | [_] => Channels::Grey,
            [3, _, _] => Channels::Rgb,
            _ => {
                let text = format!(
                    "network `{}` expects {} channels: images have 1 or 3",
                    spec.name, spec.input[0]
                );
                return Err(Problem::new(text).hint("choose samples with --data and --index"));
            }
        };
        let blank = blank.and_then(Colour::from_channels);
        let ground = background
            .map(Ground::Given)
            .or(blank.map(Ground::Blank))
            .unwrap_or(Ground::Assumed);
        Ok(Self {
            spec,
            channels,
            ground,
            invert,
        })
    }

    /// Reads an image. Reports on stderr what a user may not expect.
    ///
    /// # Errors
    /// If it cannot be read or decoded, has another size than the network's input, or shows nothing.
    pub(super) fn read(&self, path: &Path, input: &str) -> anyhow::Result<View> {
        let bytes = picture::read(path)?;
        let encoded = Encoded::open(&bytes).with_context(|| input.to_owned())?;
        self.check_size(encoded.size(), input)?;
        let raster = encoded.decode().with_context(|| input.to_owned())?;
        let view = self.view(&raster).with_context(|| input.to_owned())?;
        self.report(&raster, input);
        Ok(view)
    }

    fn view(&self, raster: &Raster) -> Result<View, DecodeError> {
        let mut planes = self.channels.planes(&self.ground.lay(raster)?);
        let mut each = planes.chunks_exact(raster.size.area());
        let is_blank = each.all(|plane| contrast(plane) < FAINT);
        if is_blank && !raster.is_opaque() {
            return Err(DecodeError::NothingShows(self.ground));
        }
        if self.invert {
            for value in &mut planes {
                *value = u8::MAX - *value;
            }
        }
        Ok(View {
            size: raster.size,
            channels: self.channels,
            planes,
        })
    }

    fn report(&self, raster: &Raster, input: &str) {
        if !raster.is_opaque() {
            let ground = self.ground;
            say(&format!(
                "note: {input}: transparent pixels are shown on {ground}"
            ));
        }
        if let Some(highest) = raster.highest.filter(|&highest| highest <= u16::MAX / 16) {
            tracing::warn!(
                "{input}: uses a sixteenth of its 16-bit range at most, highest value {highest} of \
                 65535: multiply its values by {factor} to use all of it",
                factor = u16::MAX / highest.max(1)
            );
        }
    }

    fn check_size(&self, size: Size, input: &str) -> Result<(), Problem> {
        let (fits, expected) = if let [_, height, width] = self.spec.input[..] {
            let expected = Size { width, height };
            (size == expected, expected.to_string())
        } else {
            // A network without image dimensions takes any grey image with as many pixels.
            let len = self.spec.input_len();
            (size.area() == len, format!("{len} pixels"))
        };
        if fits {
            return Ok(());
        }
        let text = format!(
            "{input}: image is {size}: network `{}` expects {expected}",
            self.spec.name
        );
        Err(Problem::new(text).hint("resize the image first"))
    }
}

/// Difference between the brightest and the darkest value.
fn contrast(plane: &[u8]) -> u8 {
    let least = plane.iter().min().copied().unwrap_or(0);
    plane.iter().max().map_or(0, |most| most - least)
}

#[cfg(test)]
mod tests {
    use vbd_core::recipe::NetToml;

    use super::*;

    fn spec(input: &str) -> NetSpec {
        let text = format!(
            "name = 'n'\ninput = {input}\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\n\
             out_features = 2"
        );
        NetSpec::from_toml(&text, "n").unwrap()
    }

    #[test]
    fn images_come_grey_or_channels_first_and_other_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.png");
        let pixels = image::RgbImage::from_raw(2, 1, vec![255, 0, 0, 10, 10, 10]).unwrap();
        pixels.save(&path).unwrap();
        let read = |input: &str, invert| {
            let spec = spec(input);
            let reader = ImageReader::new(&spec, None, None, invert).unwrap();
            reader.read(&path, "two.png").map(|view| view.planes)
        };
        assert_eq!(read("[1, 1, 2]", false).unwrap(), [76, 10]);
        assert_eq!(read("[2]", false).unwrap(), [76, 10]);
        let colours = read("[3, 1, 2]", false).unwrap();
        assert_eq!(colours, [255, 10, 0, 10, 0, 10]);
        let inverted = read("[3, 1, 2]", true).unwrap();
        assert_eq!(inverted, [0, 245, 255, 245, 255, 245]);
        let error = read("[1, 2, 2]", false).unwrap_err().to_string();
        assert!(
            error.contains("2 x 1") && error.contains("2 x 2"),
            "{error}"
        );
        assert!(ImageReader::new(&spec("[2, 1, 2]"), None, None, false).is_err());
    }

    #[test]
    fn the_size_is_checked_as_shown() {
        let mut jpeg = Vec::new();
        let pixels = image::GrayImage::new(16, 8);
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        pixels.write_with_encoder(encoder).unwrap();
        // A quarter turn.
        let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        jpeg.splice(2..2, exif.iter().copied());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), &jpeg).unwrap();
        let read = |input: &str| {
            let spec = spec(input);
            let reader = ImageReader::new(&spec, None, None, false).unwrap();
            reader.read(file.path(), "turned.jpg")
        };
        let size = read("[1, 16, 8]").unwrap().size;
        assert_eq!((size.width, size.height), (8, 16));
        let error = read("[1, 8, 16]").unwrap_err().to_string();
        assert!(
            error.contains("8 x 16: network `n` expects 16 x 8"),
            "{error}"
        );
    }

    #[test]
    fn the_ground_is_given_or_the_blank_or_white() {
        let spec = spec("[1, 1, 2]");
        let ground = |background, blank: Option<&[u8]>| {
            let reader = ImageReader::new(&spec, background, blank, false).unwrap();
            reader.ground
        };
        let red = Colour([255, 0, 0]);
        assert_eq!(ground(Some(red), Some(&[0])), Ground::Given(red));
        assert_eq!(ground(None, Some(&[7])), Ground::Blank(Colour([7; 3])));
        assert_eq!(ground(None, None), Ground::Assumed);
    }
}
