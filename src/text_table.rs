//! Tables for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// An empty table with these headings.
#[must_use]
pub fn with_header<T: Into<comfy_table::Row>>(header: T) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

/// Aligns all columns but the first `left` to the right, for numbers.
pub fn align_right(table: &mut Table, left: usize) {
    for column in table.column_iter_mut().skip(left) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
