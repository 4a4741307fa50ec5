//! The first table of docs/performance.md as a bar chart.

use super::drawing::{Anchor, Drawing, Kind};
use super::fonts::Font::{Text, Title};
use crate::support::root;

/// Where the first column of bars begins, and where its headings are.
const LEFT: i32 = 352;
const TOP: i32 = 36;
/// The width of a column of bars, and of its longest bar.
const PANEL: i32 = 240;
const BAR: i32 = 150;
const ROW: i32 = 26;

/// Three columns of the table. Each has its own logarithmic scale from half of its minimum.
pub(super) fn drawing() -> Drawing {
    let (headings, rows) = comparison_table();
    let height = TOP + 32 + ROW * i32::try_from(rows.len()).unwrap();
    let mut drawing =
        Drawing::new(LEFT + 3 * PANEL, height, "Receivers side by side, on logarithmic scales; less is better");
    for (row, cells) in (0..).zip(&rows) {
        let font = if row == 0 { Title } else { Text };
        drawing.text(font, Anchor::Start, (24, TOP + 26 + row * ROW), &cells[0]);
    }
    for (panel, heading) in (0..).zip(["first answer ms", "CPU us per event", "RSS MB"]) {
        let x = LEFT + panel * PANEL;
        drawing.text(Title, Anchor::Start, (x, TOP), heading);
        let column = headings.iter().position(|other| other == heading).unwrap();
        let figures: Vec<f64> = rows.iter().map(|row| row[column].replace(',', "").parse().unwrap()).collect();
        let least = figures.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let greatest = figures.iter().copied().fold(0.0, f64::max);
        for (row, (figure, cells)) in (0..).zip(figures.iter().zip(&rows)) {
            let kind = if row == 0 { Kind::Compute } else { Kind::Data };
            let y = TOP + 12 + row * ROW;
            let width = pixels((figure / least).ln() / (greatest / least).ln());
            drawing.area(kind, [x, y, width, 18]);
            drawing.text(Text, Anchor::Start, (x + width + 8, y + 14), &cells[column]);
        }
    }
    drawing
}

/// The length of a bar from its share of the longest bar.
#[expect(clippy::cast_possible_truncation, reason = "a share is at most 1")]
fn pixels(share: f64) -> i32 {
    (share * f64::from(BAR)).round() as i32
}

/// The first table of docs/performance.md: its headings and its rows.
fn comparison_table() -> (Vec<String>, Vec<Vec<String>>) {
    let text = std::fs::read_to_string(root("docs/performance.md")).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace(['*', '`'], "")).collect();
    let mut rows: Vec<Vec<String>> = lines.map(cells).collect();
    let headings = rows.remove(0);
    rows.remove(0);
    (headings, rows)
}
