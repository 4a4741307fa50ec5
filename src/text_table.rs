//! Tables for the terminal. Their cells may contain what customers wrote, so every cell is made visible, and a long one is
//! cut. A terminal breaks the lines of a table that is wider, which nobody can read. There, each row becomes a block of
//! lines instead.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets};

use crate::terminal::{self, visible};

/// The longest line of a cell, in characters. One customer with a name of 10,000 characters must not widen all rows.
/// Keys are shorter, so that they can be copied; `--json` shows everything.
const LINE_CHARACTERS_MAX: usize = 200;

/// A table under construction. Its `Display` is the table without a final line break.
#[derive(Debug)]
pub struct TextTable {
    table: Table,
    /// The width of the terminal in columns, if the table is printed on one.
    terminal_columns: Option<usize>,
}

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
        Self { table, terminal_columns: terminal::columns() }
    }

    /// Adds a row.
    pub fn add_row<C: Into<Cell>>(&mut self, row: impl IntoIterator<Item = C>) {
        self.table.add_row(cells(row));
    }

    /// Aligns all columns but the first `left` to the right, for numbers.
    pub fn align_right(&mut self, left: usize) {
        for column in self.table.column_iter_mut().skip(left) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn cells<C: Into<Cell>>(row: impl IntoIterator<Item = C>) -> Vec<String> {
    row.into_iter().map(|cell| cell.into().0.iter().map(|line| shown(line)).collect::<Vec<_>>().join("\n")).collect()
}

fn shown(line: &str) -> String {
    let line = visible(line);
    match line.char_indices().nth(LINE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

/// Each row as its first cell, followed by a line for each other cell that is not empty.
fn as_blocks(table: &Table, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let headings: Vec<_> =
        table.header().into_iter().flat_map(Row::cell_iter).map(comfy_table::Cell::content).collect();
    let indent = headings.iter().skip(1).map(|heading| heading.chars().count()).max().unwrap_or_default();
    for (index, row) in table.row_iter().enumerate() {
        let mut cells = row.cell_iter().map(comfy_table::Cell::content);
        write!(formatter, "{}{}", if index > 0 { "\n" } else { "" }, cells.next().unwrap_or_default())?;
        for (heading, cell) in headings.iter().skip(1).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            let cell = cell.replace('\n', ", ");
            write!(formatter, "\n  {heading:<indent$}  {cell}")?;
        }
    }
    Ok(())
}

impl fmt::Display for TextTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.to_string();
        let columns = table.lines().next().map_or(0, |border| border.chars().count());
        if self.terminal_columns.is_some_and(|terminal| terminal < columns) {
            return as_blocks(&self.table, formatter);
        }
        formatter.write_str(&table)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(terminal_columns: Option<usize>) -> TextTable {
        let mut table = TextTable::new(["pk", "name", "e-mails"]);
        table.terminal_columns = terminal_columns;
        table.add_row([
            Cell::from("plain#w_1#c_1"),
            "Ada\u{1b}[2J".into(),
            vec!["a@x".to_owned(), "b@x".to_owned()].into(),
        ]);
        table.add_row(["plain#w_1#c_2", "", "c@x"]);
        table
    }

    #[test]
    fn a_table_that_fits_or_goes_elsewhere_has_borders() {
        let borders = table(None).to_string();
        assert!(borders.starts_with('┌') && borders.contains(r"Ada\u{1b}[2J"), "{borders}");
        let columns = borders.lines().next().unwrap().chars().count();
        assert_eq!(table(Some(columns)).to_string(), borders);
    }

    #[test]
    fn a_table_that_is_wider_than_the_terminal_becomes_blocks() {
        let columns = table(None).to_string().lines().next().unwrap().chars().count();
        let expected =
            ["plain#w_1#c_1", r"  name     Ada\u{1b}[2J", "  e-mails  a@x, b@x", "plain#w_1#c_2", "  e-mails  c@x"];
        assert_eq!(table(Some(columns - 1)).to_string(), expected.join("\n"));
    }

    #[test]
    fn a_long_cell_is_cut() {
        let mut table = TextTable::new(["name"]);
        table.add_row(["ä".repeat(LINE_CHARACTERS_MAX)]);
        assert!(!table.to_string().contains('…'));
        table.add_row(["ä".repeat(LINE_CHARACTERS_MAX + 1)]);
        assert!(table.to_string().contains(&format!(" {}… ", "ä".repeat(LINE_CHARACTERS_MAX))));
    }
}
