//! The color of an image without content.

use super::PrunedNet;

impl PrunedNet {
    /// Returns the color of the border of the mean training image, one byte per channel, if it is
    /// known and the network reads images.
    pub fn blank(&self) -> Option<Vec<u8>> {
        if let Some(blank) = &self.provenance.blank {
            return Some(blank.clone());
        }
        let &[channels, height, width] = &self.spec.input[..] else {
            return None;
        };
        let mean = self.mean.as_deref()?;
        let planes = mean.chunks_exact(height * width).take(channels);
        planes
            .map(|plane| to_byte(border_mean(plane, width) / self.spec.normalize.scale))
            .collect()
    }
}

/// Computes the mean of the outermost pixels of a row-major plane.
fn border_mean(plane: &[f32], width: usize) -> f64 {
    let height = plane.len() / width;
    let is_border = |place: usize| {
        let (row, column) = (place / width, place % width);
        row == 0 || row + 1 == height || column == 0 || column + 1 == width
    };
    let border = plane
        .iter()
        .enumerate()
        .filter(|&(place, _)| is_border(place));
    let border: Vec<f64> = border.map(|(_, &value)| f64::from(value)).collect();
    border.iter().sum::<f64>() / border.len() as f64
}

/// Rounds a pixel value to a byte. Returns `None` if it is out of range.
#[expect(clippy::cast_possible_truncation, reason = "the value is 0 to 255")]
#[expect(clippy::cast_sign_loss, reason = "the value is 0 to 255")]
fn to_byte(value: f64) -> Option<u8> {
    let rounded = value.round();
    (0.0..=255.0).contains(&rounded).then_some(rounded as u8)
}

#[cfg(test)]
mod tests {
    use crate::spec::NetSpec;

    use super::*;

    fn net(input: &str, mean: Vec<f32>) -> PrunedNet {
        let len = mean.len();
        let spec = NetSpec::from_json(&format!(
            r#"{{"name": "n", "input": {input}, "classes": 1,
                "normalize": {{"scale": 0.5, "mean": "image"}},
                "layer": [{{"kind": "linear", "name": "fc1", "out_features": 1}}]}}"#
        ));
        PrunedNet::from_parts(
            spec.unwrap(),
            [
                ("fc1.weight", vec![1.0; len]),
                ("fc1.bias", vec![0.0]),
                ("normalize.mean", mean),
            ],
        )
        .unwrap()
    }

    #[test]
    fn blank_is_the_border_of_the_mean_image_in_pixels() {
        let mut mean = vec![10.0; 18];
        mean[4] = 100.0;
        mean[9..].fill(127.5);
        assert_eq!(net("[2, 3, 3]", mean).blank(), Some(vec![20, 255]));
        assert_eq!(net("[1, 1, 2]", vec![200.0, 200.0]).blank(), None);
        assert_eq!(net("[4]", vec![1.0; 4]).blank(), None);
    }

    #[test]
    fn folding_the_mean_keeps_the_blank() {
        let net = net("[1, 2, 2]", vec![3.0; 4]);
        let folded = net.rounded(crate::ValueType::F32).unwrap();
        assert!(folded.mean.is_none());
        assert_eq!(folded.blank(), Some(vec![6]));
        let again = folded.rounded(crate::ValueType::F16).unwrap();
        assert_eq!(again.blank(), Some(vec![6]));
    }
}
