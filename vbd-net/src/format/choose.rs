//! The layout of each weight: the one asked for, or the set that makes the file smallest.

use super::Layout;
use super::size::{Declared, file_size};
use super::writer::Content;

/// What is chosen from; the bitmask layout is there for others' readers, and only when asked for.
pub(super) const OWN: [Layout; 3] = [Layout::Dense, Layout::Csr, Layout::Delta];

/// The layouts of a net's weights, in order: `uniform` for all, or what makes the smallest file.
///
/// Each weight gets the layout of [`OWN`] that is smallest for it, header entry counted. What is left
/// to chance then is the padding and the digits of offsets, so the uniform files are tried too: the
/// choice is never larger than any of them.
pub(crate) fn layouts(content: &Content<'_>, uniform: Option<Layout>) -> Vec<Layout> {
    let layers = &content.net.layers;
    if let Some(layout) = uniform {
        return vec![layout; layers.len()];
    }
    let json_len = content.json_len();
    let own = (0..layers.len()).map(|index| {
        let cost = |layout: &Layout| -> usize {
            let parts = content.weight(index, *layout);
            parts
                .iter()
                .map(|part| part.bytes + part.entry_len(part.bytes))
                .sum()
        };
        OWN.into_iter().min_by_key(cost).unwrap_or(Layout::Dense)
    });
    let own: Vec<Layout> = own.collect();
    let size = |layouts: &Vec<Layout>| file_size(&content.declared(layouts), json_len);
    let uniform = OWN.into_iter().map(|layout| vec![layout; layers.len()]);
    let least = uniform
        .min_by_key(size)
        .filter(|uniform| size(uniform) < size(&own));
    least.unwrap_or(own)
}

/// Bytes of the weight's tensors, header aside.
pub(crate) fn weight_bytes(parts: &[Declared]) -> usize {
    parts.iter().map(|part| part.bytes).sum()
}
