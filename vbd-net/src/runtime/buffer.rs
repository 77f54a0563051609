//! Aligned memory.

/// f32 values aligned to a cache line, so that no vector of a kernel straddles two.
#[derive(Debug)]
pub(crate) struct Buffer {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

/// Bytes of a cache line and of the widest vector.
const LINE: usize = 64;

impl Buffer {
    /// Creates a buffer of `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let data = vec![0.0_f32; len + LINE / size_of::<f32>()];
        // Alignment only affects speed. If it fails, vectors straddle lines.
        let start = data
            .as_ptr()
            .align_offset(LINE)
            .min(LINE / size_of::<f32>());
        Self { data, start, len }
    }

    pub(crate) fn get(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
