//! The frame: size, components and color model.

use super::super::{DecodeError, Size};

/// The start of a frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) is_progressive: bool,
    pub(super) components: Vec<Component>,
}

/// A component of a frame.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks per unit, horizontally and vertically.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Index of its quantization table.
    pub(super) table: usize,
}

impl Frame {
    pub(super) fn parse(segment: &[u8], is_progressive: bool) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::jpeg("frame header has wrong numbers");
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else {
            return Err(wrong());
        };
        if precision != 8 {
            return Err(DecodeError::JpegKind("of 12 bits"));
        }
        let side = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]));
        let size = Size {
            width: side(w1, w0),
            height: side(h1, h0),
        };
        let (parts, surplus) = rest.as_chunks::<3>();
        if size.area() == 0 || parts.len() != usize::from(count) || !surplus.is_empty() {
            return Err(wrong());
        }
        let components = parts.iter().map(|&[id, sampling, table]| Component {
            id,
            across: usize::from(sampling >> 4),
            down: usize::from(sampling & 15),
            table: usize::from(table),
        });
        let components: Vec<Component> = components.collect();
        let is_valid = |component: &Component| {
            (1..=4).contains(&component.across)
                && (1..=4).contains(&component.down)
                && component.table < 4
        };
        let mut ids: Vec<u8> = components.iter().map(|component| component.id).collect();
        ids.sort_unstable();
        ids.dedup();
        if !components.iter().all(is_valid) || ids.len() != components.len() {
            return Err(wrong());
        }
        let frame = Self {
            size,
            is_progressive,
            components,
        };
        let (across, down) = (frame.most_across(), frame.most_down());
        let is_whole = |component: &Component| {
            across.is_multiple_of(component.across) && down.is_multiple_of(component.down)
        };
        if !frame.components.iter().all(is_whole) {
            return Err(DecodeError::JpegKind("subsampled by a fraction"));
        }
        Ok(frame)
    }

    /// Largest numbers of blocks per unit, horizontally and vertically.
    pub(super) fn most_across(&self) -> usize {
        let across = self.components.iter().map(|component| component.across);
        across.max().unwrap_or(1)
    }

    pub(super) fn most_down(&self) -> usize {
        let down = self.components.iter().map(|component| component.down);
        down.max().unwrap_or(1)
    }
}
