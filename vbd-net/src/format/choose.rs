//! Choice of each weight's layout: the requested one, or those that make the file smallest.

use super::Layout;
use super::size::{DeclaredSize, file_size};
use super::writer::Content;

/// Layouts to choose from. The bitmask layout exists for other readers and is only used on request.
pub(super) const OWN: [Layout; 3] = [Layout::Dense, Layout::Csr, Layout::Delta];

/// Returns the layout of each weight: `uniform` for all, or those that give the smallest file.
///
/// Each weight gets the layout of [`OWN`] that is smallest including its header entry. Padding and
/// the digits of offsets can still make a uniform file smaller, so those are tried too: the choice
/// is never larger than any of them.
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

/// Returns the bytes of the weight's tensors, without header entries.
pub(crate) fn weight_bytes(parts: &[DeclaredSize]) -> usize {
    parts.iter().map(|part| part.bytes).sum()
}
