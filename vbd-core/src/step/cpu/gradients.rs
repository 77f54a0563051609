//! Buffers of gradients: a buffer is reused once its gradient has been propagated.

use crate::kernels::buffer::Buffer;

/// An input of a layer: the number of a value, and whether a later layer has already written its
/// gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerInput {
    pub(super) value: usize,
    /// Whether the gradient is added to an existing one.
    pub(super) adds: bool,
}

/// Gradients of a network's values.
#[derive(Default)]
pub(super) struct Gradients {
    /// Buffer of each value; the input has no gradient.
    slots: Vec<usize>,
    buffers: Vec<Buffer>,
    /// Scratch buffer for a gradient that is added.
    pub(super) scratch: Buffer,
}

impl Gradients {
    /// Plans backward through layers that read `reads`, where layer `i` computes value `i + 1` of
    /// `lens[i + 1]` numbers. Sets whether each read adds.
    pub(super) fn plan(reads: &mut [Vec<LayerInput>], lens: &[usize]) -> Self {
        let mut slots: Vec<Option<usize>> = vec![None; lens.len()];
        let (mut sizes, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut scratch = 0;
        let mut slot_of = |len: usize, free: &mut Vec<usize>| {
            let slot = free.pop().unwrap_or_else(|| {
                sizes.push(0);
                sizes.len() - 1
            });
            sizes[slot] = sizes[slot].max(len);
            slot
        };
        if let (Some(last), Some(&len)) = (slots.last_mut(), lens.last()) {
            *last = Some(slot_of(len, &mut free));
        }
        for (layer, reads) in reads.iter_mut().enumerate().rev() {
            for read in reads.iter_mut().filter(|read| read.value > 0) {
                read.adds = slots[read.value].is_some();
                if read.adds {
                    scratch = scratch.max(lens[read.value]);
                } else {
                    slots[read.value] = Some(slot_of(lens[read.value], &mut free));
                }
            }
            free.extend(slots[layer + 1]);
        }
        Self {
            slots: slots.into_iter().map(Option::unwrap_or_default).collect(),
            buffers: sizes.into_iter().map(Buffer::zeros).collect(),
            scratch: Buffer::zeros(scratch),
        }
    }

    /// Takes the buffer of a value's gradient.
    pub(super) fn take(&mut self, value: usize) -> Buffer {
        std::mem::take(&mut self.buffers[self.slots[value]])
    }

    /// Returns the buffer.
    pub(super) fn put(&mut self, value: usize, buffer: Buffer) {
        self.buffers[self.slots[value]] = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(values: &[&[usize]]) -> Vec<Vec<LayerInput>> {
        let read = |&value: &usize| LayerInput { value, adds: false };
        values
            .iter()
            .map(|layer| layer.iter().map(read).collect())
            .collect()
    }

    #[test]
    fn a_chain_has_two_buffers_in_turns() {
        let mut reads = reads(&[&[0], &[1], &[2], &[3]]);
        let gradients = Gradients::plan(&mut reads, &[9, 4, 5, 6, 7]);
        assert_eq!(gradients.slots[1..], [1, 0, 1, 0]);
        assert_eq!(
            gradients
                .buffers
                .iter()
                .map(|b| b.len())
                .collect::<Vec<_>>(),
            [7, 6]
        );
        assert!(reads.iter().flatten().all(|read| !read.adds));
    }

    #[test]
    fn a_value_that_several_layers_read_keeps_its_gradient_until_all_have_added_theirs() {
        // 1 is read by layers 1 and 3 (a sum of 1 and 3), 3 comes from 2.
        let mut reads = reads(&[&[0], &[1], &[2], &[1, 3]]);
        let gradients = Gradients::plan(&mut reads, &[9, 4, 5, 4, 4]);
        assert!(reads[1][0].adds && !reads[3][0].adds && !reads[3][1].adds);
        let [one, two, three, four] = gradients.slots[1..] else {
            panic!()
        };
        assert!(one != two && one != three && three != four && one != four);
        assert_eq!(gradients.scratch.len(), 4);
    }

    #[test]
    fn a_layer_that_reads_a_value_twice_adds_the_second() {
        let mut reads = reads(&[&[0], &[1, 1]]);
        Gradients::plan(&mut reads, &[3, 2, 2]);
        assert!(!reads[1][0].adds && reads[1][1].adds);
    }
}
