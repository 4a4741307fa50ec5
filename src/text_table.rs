//! Tables for the terminal. Their cells may contain what customers wrote, so every cell is made visible.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::terminal::visible;

/// A table under construction. Its `Display` is the table without a final line break.
#[derive(Debug)]
pub struct TextTable(Table);

/// The content of a cell: one line or several.
#[derive(Clone, Debug, Default)]
pub struct Cell(Vec<String>);

impl TextTable {
    /// An empty table with these headings.
    #[must_use]
    pub fn new<C: Into<Cell>>(header: impl IntoIterator<Item = C>) -> Self {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(cells(header));
        Self(table)
    }

    /// Adds a row.
    pub fn add_row<C: Into<Cell>>(&mut self, row: impl IntoIterator<Item = C>) {
        self.0.add_row(cells(row));
    }

    /// Aligns all columns but the first `left` to the right, for numbers.
    pub fn align_right(&mut self, left: usize) {
        for column in self.0.column_iter_mut().skip(left) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn cells<C: Into<Cell>>(row: impl IntoIterator<Item = C>) -> Vec<String> {
    row.into_iter().map(|cell| cell.into().0.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")).collect()
}

impl fmt::Display for TextTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<&str> for Cell {
    fn from(line: &str) -> Self {
        Self(vec![line.to_owned()])
    }
}

impl From<&String> for Cell {
    fn from(line: &String) -> Self {
        Self(vec![line.clone()])
    }
}

impl From<String> for Cell {
    fn from(line: String) -> Self {
        Self(vec![line])
    }
}

impl From<Vec<String>> for Cell {
    fn from(lines: Vec<String>) -> Self {
        Self(lines)
    }
}
