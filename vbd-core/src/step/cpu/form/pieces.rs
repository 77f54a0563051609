//! Pieces of a layer's outputs: some neighbouring positions of all rows, one piece of work each.

/// Maximum number of pieces, for any number of threads.
const PIECES: usize = 16;
/// Pieces per thread that share the work evenly enough.
const PIECES_PER_THREAD: usize = 4;

/// Returns how many of `all` positions, or lines of positions, a piece has.
pub(super) fn per_piece(all: usize) -> usize {
    all.div_ceil(PIECES)
}

/// Returns how many of `all` lines of positions a piece has whose lines have something in common. The
/// pieces are as few as the threads need: only for outputs that are the same for any number of pieces.
pub(super) fn per_piece_in_common(all: usize) -> usize {
    all.div_ceil(PIECES.min(PIECES_PER_THREAD * rayon::current_num_threads()))
}

/// Cuts `[rows, row_len]` into pieces of `piece_len` values of every row.
pub(super) fn cut_rows(out: &mut [f32], row_len: usize, piece_len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut pieces = Vec::new();
    pieces.resize_with(row_len.div_ceil(piece_len), Vec::new);
    for row in out.chunks_exact_mut(row_len) {
        for (piece, part) in pieces.iter_mut().zip(row.chunks_mut(piece_len)) {
            piece.push(part);
        }
    }
    pieces
}
