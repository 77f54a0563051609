//! Images of one size, grey as long as all are.

use vbd_net::data::{Inputs, Samples};

use super::super::split::Split;
use crate::error::Result;

/// Images of one size, one after another.
pub(super) struct Planes {
    /// `[rows, columns]`.
    size: [usize; 2],
    is_grey: bool,
    /// One plane per image if all are grey, else three.
    bytes: Vec<u8>,
}

impl Planes {
    pub(super) fn new(size: [usize; 2]) -> Self {
        Self {
            size,
            is_grey: true,
            bytes: Vec::new(),
        }
    }

    pub(super) fn is_grey(&self) -> bool {
        self.is_grey
    }

    fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Appends an image: one plane if it is grey, else three.
    pub(super) fn push(&mut self, image: &[u8]) {
        let is_grey = image.len() == self.area();
        if !is_grey {
            self.make_rgb();
        }
        let repeats = if is_grey && !self.is_grey { 3 } else { 1 };
        for _ in 0..repeats {
            self.bytes.extend_from_slice(image);
        }
    }

    /// Repeats each plane of grey images three times.
    pub(super) fn make_rgb(&mut self) {
        if !self.is_grey {
            return;
        }
        self.is_grey = false;
        let grey = std::mem::take(&mut self.bytes);
        self.bytes.reserve_exact(3 * grey.len());
        for plane in grey.chunks_exact(self.area()) {
            for _ in 0..3 {
                self.bytes.extend_from_slice(plane);
            }
        }
    }

    /// Adds the labels.
    pub(super) fn labelled(self, labels: Vec<u8>, classes: usize) -> Result<Split> {
        let [rows, columns] = self.size;
        let channels = if self.is_grey { 1 } else { 3 };
        let len = channels * self.area();
        Ok(Split {
            shape: [channels, rows, columns],
            samples: Samples::new(Inputs::U8(self.bytes), labels, len)?,
            classes,
        })
    }
}
