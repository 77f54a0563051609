//! Tables for people, fitted to the width, and bars.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, TableStyle,
};

use super::Output;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text,
    Number,
    Bar,
}

/// A line over the table, under its titles and under its rows.
const STYLE: TableStyle = UTF8_HORIZONTAL_ONLY
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .row_separator(LineStyle::none());

/// A table under way.
pub(crate) struct Table {
    columns: Vec<Column>,
    table: comfy_table::Table,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(out: &Output, columns: &[(&str, Column)]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).force_no_tty();
        if out.colours() {
            table.enforce_styling();
        }
        if let Some(width) = out.width() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        let cell = |&(title, column): &(&str, Column)| {
            align(Cell::new(title), column).add_attribute(Attribute::Bold)
        };
        table.set_header(columns.iter().map(cell));
        Self {
            columns: columns.iter().map(|&(_, column)| column).collect(),
            table,
        }
    }

    /// Adds a row, one text a column.
    pub(crate) fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        let cells = texts.into_iter().zip(&self.columns).map(|(text, &column)| {
            let cell = align(Cell::new(text), column);
            if column == Column::Bar {
                cell.fg(Color::Green)
            } else {
                cell
            }
        });
        self.table.add_row(cells);
    }

    /// The table's text.
    pub(crate) fn into_text(self) -> String {
        let lines = self.table.lines().map(|line| line.trim_end().to_owned());
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

/// A bar of up to `width` characters for a fraction of 0 to 1; what is not 0 is seen.
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

/// The block that fills this many eighths of a character from below, 0 to 8.
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
