//! Text histogram of `log_alpha`.

use vbd_prune::report::Histogram;

use super::count;
use super::table::column_block;

/// Height of the tallest column in lines.
const HEIGHT: usize = 6;

/// Draws the histogram: one character per bin, heights on a log scale, threshold marked.
pub(crate) fn lines(histogram: &Histogram, threshold: Option<f32>) -> Vec<String> {
    let heights = heights(&histogram.counts);
    let mut lines: Vec<String> = Vec::new();
    for line in (0..HEIGHT).rev() {
        let blocks = heights
            .iter()
            .map(|&height| column_block(height.saturating_sub(line * 8)));
        lines.push(format!("  {}", blocks.collect::<String>().trim_end()));
    }
    let width = histogram.counts.len();
    lines.push(format!("  {}", "─".repeat(width)));
    let (zero, high) = (width / 2, histogram.high.to_string());
    let axis = format!("{low:<zero$}0", low = histogram.low);
    lines.push(format!(
        "  {axis:<space$}{high}",
        space = width - high.len()
    ));
    if let Some(place) = threshold.and_then(|threshold| place_of(histogram, threshold)) {
        let threshold = threshold.unwrap_or_default();
        lines.push(format!(
            "  {}^ threshold {threshold}: weights to the left are kept",
            " ".repeat(place)
        ));
    }
    lines
}

/// Caption of the histogram.
pub(crate) fn caption(histogram: &Histogram) -> String {
    let alive: u64 = histogram.counts.iter().sum();
    format!(
        "log_alpha of {} live weights ({} dead), counts on a log scale",
        count(alive),
        count(histogram.dead)
    )
}

/// Returns column heights in eighths of a line. A single weight is visible.
fn heights(counts: &[u64]) -> Vec<usize> {
    let log = |&count: &u64| (count as f64).ln_1p();
    let most = counts.iter().map(log).fold(f64::MIN_POSITIVE, f64::max);
    let all = HEIGHT * 8;
    let height = |count: &u64| {
        let share = log(count) / most;
        (0..all)
            .find(|&eighths| eighths as f64 >= share * all as f64)
            .unwrap_or(all)
    };
    counts.iter().map(height).collect()
}

/// Returns the bin that starts at the threshold.
fn place_of(histogram: &Histogram, threshold: f32) -> Option<usize> {
    let edges = (histogram.low..histogram.high).enumerate();
    let mut at = edges.filter(|&(_, edge)| f64::from(edge) <= f64::from(threshold));
    at.next_back().map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_above_their_bins_and_the_threshold_is_marked() {
        let mut counts = vec![0; 40];
        (counts[0], counts[25]) = (1, 1000);
        let histogram = Histogram {
            low: -20,
            high: 20,
            counts,
            dead: 5,
        };
        let lines = lines(&histogram, Some(3.0));
        assert_eq!(lines.len(), HEIGHT + 3);
        let at = |line: &str, place: usize| line.chars().nth(2 + place);
        assert_eq!(at(&lines[0], 25), Some('█'));
        assert_eq!(at(&lines[HEIGHT - 1], 0), Some('▅'));
        assert_eq!(at(&lines[HEIGHT + 1], 20), Some('0'));
        assert_eq!(at(&lines[HEIGHT + 2], 23), Some('^'));
        assert!(caption(&histogram).contains("1,001 live weights (5 dead)"));
    }
}
