//! Rows of a subsampled component at the picture's size, as libjpeg interpolates them.

use super::plane::Plane;

/// Enlarges a component by whole factors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upsampler {
    pub(super) across: usize,
    pub(super) down: usize,
}

impl Upsampler {
    /// Computes a row of `width` samples.
    pub(super) fn row(self, plane: &Plane, row: usize, width: usize) -> Vec<u8> {
        let near = row / self.down;
        // The second nearest row; at the edges the same.
        let far = match row % self.down {
            0 => near.saturating_sub(1),
            _ => (near + 1).min(plane.height - 1),
        };
        let (near, far) = (plane.row(near), plane.row(far));
        // libjpeg interpolates no narrower picture.
        let is_wide = plane.width > 2;
        let mut samples = match (self.across, self.down) {
            (2, 1) if is_wide => doubled(near),
            (2, 2) if is_wide => doubled_twice(near, far),
            (1, 2) => between(near, far, row.is_multiple_of(2)),
            (across, _) => near
                .iter()
                .flat_map(|&sample| std::iter::repeat_n(sample, across))
                .collect(),
        };
        samples.truncate(width);
        samples
    }
}

/// Three quarters of the nearer sample and a quarter of the farther, across.
fn doubled(row: &[u8]) -> Vec<u8> {
    let mut samples = Vec::with_capacity(row.len() * 2);
    for (place, &sample) in row.iter().enumerate() {
        let near = 3 * u32::from(sample);
        let before = place.checked_sub(1).map(|before| u32::from(row[before]));
        let after = row.get(place + 1).map(|&after| u32::from(after));
        samples.push(before.map_or(sample, |before| byte((near + before + 1) >> 2)));
        samples.push(after.map_or(sample, |after| byte((near + after + 2) >> 2)));
    }
    samples
}

/// The same across and down.
fn doubled_twice(near: &[u8], far: &[u8]) -> Vec<u8> {
    let sums: Vec<u32> = near
        .iter()
        .zip(far)
        .map(|(&near, &far)| 3 * u32::from(near) + u32::from(far))
        .collect();
    let mut samples = Vec::with_capacity(sums.len() * 2);
    for (place, &sum) in sums.iter().enumerate() {
        let before = place.checked_sub(1).map_or(sum, |before| sums[before]);
        let after = sums.get(place + 1).copied().unwrap_or(sum);
        samples.push(byte((3 * sum + before + 8) >> 4));
        samples.push(byte((3 * sum + after + 7) >> 4));
    }
    samples
}

/// The same down alone.
fn between(near: &[u8], far: &[u8], is_upper: bool) -> Vec<u8> {
    let bias = if is_upper { 1 } else { 2 };
    let pairs = near.iter().zip(far);
    pairs
        .map(|(&near, &far)| byte((3 * u32::from(near) + u32::from(far) + bias) >> 2))
        .collect()
}

fn byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_between_are_weighted_by_their_distance() {
        assert_eq!(doubled(&[0, 100, 200]), [0, 25, 75, 125, 175, 200]);
        assert_eq!(doubled_twice(&[0, 100], &[0, 100]), [0, 25, 75, 100]);
        assert_eq!(between(&[0, 100], &[100, 0], true), [25, 75]);
    }
}
