//! Random crops and flips of images, as `[train.augment]` asks for.
//!
//! `out[y][x] = image[y + dy][x + dx]`, with `dy` and `dx` uniform in `-crop..=crop` and 0 outside the
//! image; then, with probability 1/2, each row is reversed. This is torchvision's `RandomCrop(size,
//! padding=crop)` followed by `RandomHorizontalFlip`, on pixels before normalisation.

use vbd_net::data::ValuesMut;
use vbd_net::spec::NetSpec;

use super::{Augment, SampleKey};
use crate::error::{Error, Result};
use crate::recipe::AugmentSetting;

/// Random crops and flips of images of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropFlip {
    rows: usize,
    columns: usize,
    /// Rows and columns of padding on each side.
    padding: u32,
    flip: bool,
}

impl CropFlip {
    /// Creates the augmentation of a network's images.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming `train.augment` if the network's input is no image, or
    /// `train.augment.crop` if the padding is not smaller than an image.
    pub fn new(setting: AugmentSetting, spec: &NetSpec) -> Result<Self> {
        let problem = |field: &str, found, expected| Error::Recipe {
            origin: "recipe".to_owned(),
            field: field.to_owned(),
            found,
            expected,
        };
        let [_, rows, columns] = spec.input[..] else {
            return Err(problem(
                "train.augment",
                format!(
                    "given for network `{}`, whose input is {:?}",
                    spec.name, spec.input
                ),
                "a network whose input is [channels, rows, columns], or no such table".to_owned(),
            ));
        };
        let padding = u32::try_from(setting.crop)
            .ok()
            .filter(|_| setting.crop < rows.min(columns));
        let Some(padding) = padding else {
            return Err(problem(
                "train.augment.crop",
                setting.crop.to_string(),
                format!(
                    "less than the {rows} rows and {columns} columns of the images of network `{}`",
                    spec.name
                ),
            ));
        };
        Ok(Self {
            rows,
            columns,
            padding,
            flip: setting.flip,
        })
    }

    fn apply_to<T: Copy + Default>(&self, key: SampleKey, image: &mut [T]) {
        // Each draw has its own number, so that a crop draws the same with a flip and without.
        let shift = |number| {
            let drawn = key.below(number, 2 * self.padding + 1);
            i64::from(drawn) - i64::from(self.padding)
        };
        if self.padding > 0 {
            let [down, right] = [shift(0), shift(1)];
            for plane in image.chunks_exact_mut(self.rows * self.columns) {
                shift_plane(plane, self.columns, down, right);
            }
        }
        if self.flip && key.below(2, 2) == 1 {
            for row in image.chunks_exact_mut(self.columns) {
                row.reverse();
            }
        }
    }
}

impl Augment for CropFlip {
    fn apply(&self, key: SampleKey, input: ValuesMut<'_>) {
        match input {
            ValuesMut::U8(pixels) => self.apply_to(key, pixels),
            ValuesMut::F32(values) => self.apply_to(key, values),
        }
    }
}

/// Replaces `plane[y][x]` by `plane[y + down][x + right]`, or 0 outside the plane.
///
/// Rows are moved in place, in the order in which no row is overwritten before it is read.
fn shift_plane<T: Copy + Default>(plane: &mut [T], columns: usize, down: i64, right: i64) {
    let distance = |shift: i64| usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let rows = plane.len() / columns;
    let (height, width) = (
        rows.saturating_sub(distance(down)),
        columns.saturating_sub(distance(right)),
    );
    // First row and column that are read, and the first that are written.
    let [from_row, from_column] = [down, right].map(|shift| distance(shift.max(0)));
    let [to_row, to_column] = [down, right].map(|shift| distance(shift.min(0)));
    for step in 0..height {
        let row = if down >= 0 { step } else { height - 1 - step };
        let source = (from_row + row) * columns + from_column;
        let start = (to_row + row) * columns;
        plane.copy_within(source..source + width, start + to_column);
        let written = &mut plane[start..start + columns];
        written[..to_column].fill(T::default());
        written[to_column + width..].fill(T::default());
    }
    plane[..to_row * columns].fill(T::default());
    plane[(to_row + height) * columns..].fill(T::default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::NetToml;

    /// A network of images of two channels.
    fn spec(rows: usize, columns: usize) -> NetSpec {
        let text = format!(
            "name = 'n'\ninput = [2, {rows}, {columns}]\nclasses = 2\n[[layer]]\nkind = 'flatten'\n\
             [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2\n"
        );
        NetSpec::from_toml(&text, "n").unwrap()
    }

    fn augment(crop: usize, flip: bool, rows: usize, columns: usize) -> CropFlip {
        CropFlip::new(AugmentSetting { crop, flip }, &spec(rows, columns)).unwrap()
    }

    fn key(sample: u32) -> SampleKey {
        SampleKey {
            seed: 5,
            epoch: 2,
            sample,
        }
    }

    /// Pixels of an image, none of them 0.
    fn image(rows: usize, columns: usize) -> Vec<u8> {
        (1..).take(2 * rows * columns).collect()
    }

    /// The definition, with a padded copy.
    fn expected(image: &[u8], [rows, columns]: [usize; 2], at: [usize; 3], flip: bool) -> Vec<u8> {
        let [top, left, padding] = at;
        let pixel = |plane: usize, y: usize, x: usize| {
            let inside = y.checked_sub(padding).zip(x.checked_sub(padding));
            inside
                .filter(|&(y, x)| y < rows && x < columns)
                .map_or(0, |(y, x)| image[(plane * rows + y) * columns + x])
        };
        let mut out = Vec::new();
        for plane in 0..2 {
            for y in 0..rows {
                let row = (0..columns).map(|x| pixel(plane, y + top, x + left));
                let mut row: Vec<u8> = row.collect();
                if flip {
                    row.reverse();
                }
                out.extend(row);
            }
        }
        out
    }

    #[test]
    fn every_crop_of_the_padded_image_is_drawn_and_no_other() {
        let (shape, padding) = ([4, 5], 3);
        let augment = augment(padding, true, 4, 5);
        let image = image(4, 5);
        let places = 2 * padding + 1;
        let mut counts = std::collections::HashMap::new();
        for top in 0..places {
            for left in 0..places {
                for flip in [false, true] {
                    counts.insert(expected(&image, shape, [top, left, padding], flip), 0);
                }
            }
        }
        let outcomes = counts.len();
        assert_eq!(outcomes, places * places * 2);
        let draws = 100 * u32::try_from(outcomes).unwrap();
        for sample in 0..draws {
            let mut bytes = image.clone();
            augment.apply(key(sample), ValuesMut::U8(&mut bytes));
            let mut floats: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel)).collect();
            augment.apply(key(sample), ValuesMut::F32(&mut floats));
            assert!(bytes.iter().map(|&pixel| f32::from(pixel)).eq(floats));
            *counts.get_mut(&bytes).expect("a crop of the padded image") += 1;
        }
        // About 100 each: six standard deviations.
        for count in counts.into_values() {
            assert!((40..160).contains(&count), "{count}");
        }
    }

    #[test]
    fn a_crop_without_a_flip_draws_the_same_place() {
        let image = image(6, 6);
        let drawn = |augment: CropFlip, sample| {
            let mut pixels = image.clone();
            augment.apply(key(sample), ValuesMut::U8(&mut pixels));
            pixels
        };
        for sample in 0..50 {
            let cropped = drawn(augment(2, false, 6, 6), sample);
            let both = drawn(augment(2, true, 6, 6), sample);
            let mut flipped = cropped.clone();
            flipped.chunks_exact_mut(6).for_each(<[u8]>::reverse);
            assert!(both == cropped || both == flipped);
        }
        assert_eq!(drawn(augment(0, false, 6, 6), 1), image);
    }

    #[test]
    fn padding_is_smaller_than_the_image_and_features_are_none() {
        let crop = |crop| AugmentSetting { crop, flip: false };
        assert!(CropFlip::new(crop(3), &spec(6, 4)).is_ok());
        for padding in [4, 5, usize::MAX] {
            let error = CropFlip::new(crop(padding), &spec(6, 4)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`train.augment.crop` is"), "{text}");
            assert!(text.contains("6 rows and 4 columns"), "{text}");
        }
        let mut features = spec(6, 4);
        features.input = vec![48];
        let error = CropFlip::new(crop(0), &features).unwrap_err().to_string();
        assert!(
            error.contains("`train.augment` is given for network `n`, whose input is [48]"),
            "{error}"
        );
    }
}
