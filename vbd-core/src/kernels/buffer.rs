//! Buffers aligned to cache lines: a vector that crosses lines is read twice.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line and values that fit into it.
const LINE: usize = 64;
const LINE_VALUES: usize = LINE / size_of::<f32>();

/// An f32 buffer aligned to a cache line that keeps its memory when it shrinks.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// Resizes to `len` values. Keeps the values if there was enough room, else fills with zeros.
    pub(crate) fn resize(&mut self, len: usize) {
        if self.start + len > self.values.len() {
            self.values = vec![0.0; len + LINE_VALUES];
            // `align_offset` would only fail if allocations were not aligned to f32.
            self.start = self.values.as_ptr().align_offset(LINE).min(LINE_VALUES);
        }
        self.len = len;
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_starts_at_a_line_and_is_as_long_as_asked_for() {
        let mut buffer = Buffer::default();
        assert!(buffer.is_empty());
        for len in [5, 100, 7, 100, 10_000] {
            buffer.resize(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().align_offset(LINE), 0);
            buffer.fill(1.0);
        }
    }
}
