//! Whether a network gives every sample the same outputs.

/// Compares the outputs of samples with those of the first one.
#[derive(Debug, Default)]
pub struct Constancy {
    first: Vec<f32>,
    samples: usize,
    varies: bool,
}

impl Constancy {
    /// Adds the outputs of a sample. Costs nothing once two samples have differed.
    pub fn add(&mut self, outputs: impl Iterator<Item = f32>) {
        if self.varies {
            return;
        }
        self.samples += 1;
        if self.samples == 1 {
            self.first = outputs.collect();
        } else {
            self.varies = !outputs.eq(self.first.iter().copied());
        }
    }

    /// Returns whether there are two or more samples, all with the same outputs.
    pub fn is_constant(&self) -> bool {
        self.samples > 1 && !self.varies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_constant_until_one_differs() {
        let mut constancy = Constancy::default();
        assert!(!constancy.is_constant());
        constancy.add([1.0, 2.0].into_iter());
        assert!(!constancy.is_constant(), "one sample says nothing");
        constancy.add([1.0, 2.0].into_iter());
        assert!(constancy.is_constant());
        constancy.add([1.0, 2.5].into_iter());
        constancy.add([1.0, 2.0].into_iter());
        assert!(!constancy.is_constant());
    }
}
