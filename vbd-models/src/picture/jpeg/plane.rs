//! The samples of a component.

use super::super::DecodeError;
use super::block::{Block, check_norm};
use super::frame::{Component, Frame};
use super::idct::{SIDE, samples};

/// Blocks and samples of a component, and what is known of its coefficients.
#[derive(Debug)]
pub(super) struct Plane {
    /// Blocks in a row, those of incomplete units included.
    pub(super) blocks_across: usize,
    /// Blocks of a progressive frame, whose scans add to each other.
    pub(super) blocks: Vec<Block>,
    /// Lowest bit known of each coefficient.
    pub(super) known: [Option<u8>; 64],
    /// Size of the component within the picture.
    pub(super) width: usize,
    pub(super) height: usize,
    samples: Vec<u8>,
}

impl Plane {
    pub(super) fn new(component: &Component, frame: &Frame) -> Self {
        let (across, down) = (frame.most_across(), frame.most_down());
        let blocks_across = frame.size.width.div_ceil(SIDE * across) * component.across;
        let blocks_down = frame.size.height.div_ceil(SIDE * down) * component.down;
        let count = blocks_across * blocks_down;
        Self {
            blocks_across,
            blocks: vec![[0; 64]; if frame.is_progressive { count } else { 0 }],
            known: [None; 64],
            width: (frame.size.width * component.across).div_ceil(across),
            height: (frame.size.height * component.down).div_ceil(down),
            samples: vec![0; count * SIDE * SIDE],
        }
    }

    /// Transforms a block into samples.
    ///
    /// # Errors
    /// If no samples have these coefficients.
    pub(super) fn put(
        &mut self,
        index: usize,
        block: &Block,
        steps: &[u16; 64],
    ) -> Result<(), DecodeError> {
        check_norm(block, steps)?;
        let stride = self.blocks_across * SIDE;
        let (row, column) = (index / self.blocks_across, index % self.blocks_across);
        let start = row * SIDE * stride + column * SIDE;
        let rows = self.samples[start..].chunks_mut(stride);
        for (own, row) in rows.zip(samples(block, steps)) {
            own[..SIDE].copy_from_slice(&row);
        }
        Ok(())
    }

    /// Transforms the blocks of all scans.
    pub(super) fn finish(&mut self, steps: &[u16; 64]) -> Result<(), DecodeError> {
        if self.known != [Some(0); 64] {
            return Err(DecodeError::JpegCut("scans are missing"));
        }
        let blocks = std::mem::take(&mut self.blocks);
        let mut blocks = blocks.iter().enumerate();
        blocks.try_for_each(|(index, block)| self.put(index, block, steps))
    }

    /// Returns a row of the component within the picture.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.blocks_across * SIDE..][..self.width]
    }
}
