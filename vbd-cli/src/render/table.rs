//! Tables fitted to the terminal width, and bars.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, TableStyle,
};

use super::{Output, printable};

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text,
    Number,
    Bar,
}

/// Rules above the table, below its titles and below its rows.
const STYLE: TableStyle = UTF8_HORIZONTAL_ONLY
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .row_separator(LineStyle::none());

/// Table builder.
pub(crate) struct Table<'a> {
    columns: &'a [(&'a str, Column)],
    /// Titles of columns that may be dropped to fit the width, the first one first.
    spare: &'a [&'a str],
    rows: Vec<Vec<String>>,
    colours: bool,
    width: Option<usize>,
}

impl<'a> Table<'a> {
    /// Creates a table with these columns.
    pub(crate) fn new(out: &Output, columns: &'a [(&'a str, Column)]) -> Self {
        Self {
            columns,
            spare: &[],
            rows: Vec::new(),
            colours: out.colours(),
            width: out.width(),
        }
    }

    /// Allows these columns to be dropped, the first one first, if the table is too wide.
    pub(crate) fn spare(mut self, titles: &'a [&'a str]) -> Self {
        self.spare = titles;
        self
    }

    /// Adds a row with one text per column, with escapes for what controls a terminal.
    pub(crate) fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        let texts = texts.into_iter();
        self.rows
            .push(texts.map(|text| printable(&text).into_owned()).collect());
    }

    /// Formats the table. Drops spare columns if it is too wide, then wraps cells.
    pub(crate) fn into_text(self) -> String {
        let fits = |text: &str| {
            let widest = text.lines().map(|line| line.chars().count()).max();
            self.width.is_none_or(|width| widest.unwrap_or(0) <= width)
        };
        for spared in 0..=self.spare.len() {
            // Measured without escape sequences, which have no width.
            if fits(&self.build(&self.spare[..spared], false, false)) {
                return self.build(&self.spare[..spared], self.colours, false);
            }
        }
        self.build(self.spare, self.colours, true)
    }

    fn build(&self, spared: &[&str], colours: bool, breaks: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).force_no_tty();
        if colours {
            table.enforce_styling();
        }
        if let Some(width) = self.width.filter(|_| breaks) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        let shown = |title: &str| !spared.contains(&title);
        let titles = self.columns.iter().filter(|(title, _)| shown(title));
        table.set_header(titles.map(|&(title, column)| {
            align(Cell::new(title), column).add_attribute(Attribute::Bold)
        }));
        for row in &self.rows {
            let cells = row.iter().zip(self.columns);
            let cells = cells.filter(|(_, (title, _))| shown(title));
            table.add_row(cells.map(|(text, &(_, column))| {
                let cell = align(Cell::new(text), column);
                if column == Column::Bar {
                    cell.fg(Color::Green)
                } else {
                    cell
                }
            }));
        }
        let lines = table.lines().map(|line| line.trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn align(cell: Cell, column: Column) -> Cell {
    match column {
        Column::Text | Column::Bar => cell,
        Column::Number => cell.set_alignment(CellAlignment::Right),
    }
}

const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Draws a bar of up to `width` characters for a fraction of 0 to 1. Fractions above 0 are visible.
pub(crate) fn bar(fraction: f64, width: usize) -> String {
    let all = width * 8;
    let reached = |eighths: &usize| *eighths as f64 <= fraction * all as f64 + 0.5;
    let eighths = (0..=all).take_while(reached).last().unwrap_or(0);
    let eighths = eighths.max(usize::from(fraction > 0.0));
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    text
}

/// Returns the block that fills this many eighths of a character from below, 0 to 8.
pub(crate) fn column_block(eighths: usize) -> char {
    [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_length_and_show_what_is_not_0() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(1e-6, 10), "▏");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(0.55, 10), "█████▌");
        assert_eq!(bar(1.0, 10), "█".repeat(10));
        assert_eq!(bar(2.0, 3), "███");
    }
}
