//! What a reader would call wrong in a drawing: texts out of their boxes or on lines, lines that cross or end nowhere.

use super::drawing::{Anchor, Area, Arrow, Drawing, Text};

/// Between a text and the edge of its box, in pixels, at the sides and above.
const PADDING: [i32; 2] = [6, 2];

/// Everything that is wrong with the layout, one sentence each.
pub(super) fn problems(drawing: &Drawing) -> Vec<String> {
    let mut problems = vec![];
    let boxes: Vec<Area> = drawing.boxes.iter().map(|(_, area)| *area).collect();
    for text in &drawing.texts {
        problems.extend(problem_of_text(drawing, &boxes, text).map(|problem| format!("`{}` {problem}", text.content)));
    }
    for (number, text) in drawing.texts.iter().enumerate() {
        let others = drawing.texts[number + 1..].iter().filter(|other| overlap(extent(text), extent(other)));
        problems.extend(others.map(|other| format!("`{}` and `{}` overlap", text.content, other.content)));
    }
    for (number, arrow) in drawing.arrows.iter().enumerate() {
        let [first, last] = [arrow.points[0], arrow.points[arrow.points.len() - 1]];
        for end in [first, last].into_iter().filter(|end| !boxes.iter().any(|area| is_on_edge(*area, *end))) {
            problems.push(format!("an arrow ends at {end:?}, not at a box"));
        }
        if pieces(arrow).any(|[from, to]| from.0 != to.0 && from.1 != to.1) {
            problems.push(format!("the arrow from {first:?} is neither horizontal nor vertical"));
        }
        if pieces(arrow).any(|piece| boxes.iter().any(|area| runs_into(piece, *area))) {
            problems.push(format!("the arrow from {first:?} to {last:?} runs through a box"));
        }
        for other in &drawing.arrows[number + 1..] {
            if pieces(arrow).any(|piece| pieces(other).any(|other| overlap(thick(piece, 4), thick(other, 4)))) {
                problems.push(format!("the arrows from {first:?} and {:?} cross or touch", other.points[0]));
            }
        }
    }
    problems
}

fn problem_of_text(drawing: &Drawing, boxes: &[Area], text: &Text) -> Option<&'static str> {
    let extent = extent(text);
    let around =
        boxes.iter().filter(|area| contains(**area, text.at)).min_by_key(|[_, _, width, height]| width * height);
    let page = [0, 0, drawing.width, drawing.height];
    if !is_within(extent, *around.unwrap_or(&page), PADDING) {
        return Some("runs out of its box");
    }
    // A box inside the text's own box may lie under no text but its own.
    let is_cut = |area: &&Area| Some(*area) != around && overlap(extent, **area) && !is_within(extent, **area, [0, 0]);
    if boxes.iter().any(|area| is_cut(&area)) {
        return Some("runs into another box");
    }
    let is_under = |arrow: &Arrow| pieces(arrow).any(|piece| overlap(extent, thick(piece, 1)));
    drawing.arrows.iter().any(is_under).then_some("is on a line")
}

/// The area that a text takes at most.
fn extent(text: &Text) -> Area {
    let width = text.font.width(&text.content);
    let x = match text.anchor {
        Anchor::Start => text.at.0,
        Anchor::Middle => text.at.0 - width / 2,
        Anchor::End => text.at.0 - width,
    };
    let size = text.font.size();
    [x, text.at.1 - size * 4 / 5, width, size]
}

fn contains([x, y, width, height]: Area, point: (i32, i32)) -> bool {
    (x..=x + width).contains(&point.0) && (y..=y + height).contains(&point.1)
}

fn is_within(inner: Area, outer: Area, [sides, above]: [i32; 2]) -> bool {
    inner[0] >= outer[0] + sides
        && inner[0] + inner[2] <= outer[0] + outer[2] - sides
        && inner[1] >= outer[1] + above
        && inner[1] + inner[3] <= outer[1] + outer[3] - above
}

fn overlap(a: Area, b: Area) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

fn is_on_edge(area @ [x, y, width, height]: Area, point: (i32, i32)) -> bool {
    let is_at_side = point.0 == x || point.0 == x + width || point.1 == y || point.1 == y + height;
    contains(area, point) && is_at_side
}

type Piece = [(i32, i32); 2];

fn pieces(arrow: &Arrow) -> impl Iterator<Item = Piece> + '_ {
    arrow.points.windows(2).map(|points| [points[0], points[1]])
}

/// The piece with `margin` pixels on each side.
fn thick([(x1, y1), (x2, y2)]: Piece, margin: i32) -> Area {
    let (x, y) = (x1.min(x2), y1.min(y2));
    [x - margin, y - margin, (x1 - x2).abs() + 2 * margin, (y1 - y2).abs() + 2 * margin]
}

/// Whether a piece has a point inside the area, not only on its edge.
fn runs_into(piece: Piece, [x, y, width, height]: Area) -> bool {
    let [left, top, across, down] = thick(piece, 0);
    left < x + width && left + across > x && top < y + height && top + down > y
}

mod tests {
    use rstest::rstest;

    use super::super::drawing::Kind;
    use super::super::fonts::Font;
    use super::*;

    /// Two boxes with an arrow between them, which is right.
    fn drawing() -> Drawing {
        let mut drawing = Drawing::new(400, 200, "two boxes");
        drawing.text_box(Kind::Plain, [20, 20, 100, 40], [16, 18], &[(Font::Text, "one")]);
        drawing.text_box(Kind::Plain, [220, 20, 100, 40], [24, 18], &[(Font::Text, "other")]);
        drawing.arrow(false, &[(120, 40), (220, 40)]);
        drawing.text(Font::Text, Anchor::Middle, (170, 34), "label");
        drawing
    }

    #[test]
    fn a_right_drawing_has_no_problem() {
        assert_eq!(problems(&drawing()), [] as [&str; 0]);
    }

    #[rstest]
    #[case::too_wide((30, 54), "as wide as the box", "`as wide as the box` runs out of its box")]
    #[case::too_low((30, 59), "low", "`low` runs out of its box")]
    #[case::out_of_the_page((360, 100), "page end", "`page end` runs out of its box")]
    #[case::into_a_box((10, 44), "xyz", "`xyz` runs into another box")]
    #[case::on_a_line((130, 44), "x", "`x` is on a line")]
    #[case::on_a_text((50, 42), "x", "`one` and `x` overlap")]
    fn a_text_in_the_wrong_place(#[case] at: (i32, i32), #[case] text: &str, #[case] problem: &str) {
        let mut drawing = drawing();
        drawing.text(Font::Text, Anchor::Start, at, text);
        assert_eq!(problems(&drawing), [problem]);
    }

    #[rstest]
    #[case::crosses(&[(170, 100), (170, 20)], &["(170, 100)", "(170, 20)", "cross"])]
    #[case::through_a_box(&[(20, 50), (220, 50)], &["runs through a box"])]
    #[case::ends_nowhere(&[(320, 40), (350, 40)], &["ends at (350, 40)"])]
    #[case::runs_along(&[(120, 41), (220, 41)], &["cross or touch"])]
    #[case::slanted(&[(220, 60), (120, 50)], &["neither horizontal nor vertical"])]
    fn an_arrow_in_the_wrong_place(#[case] points: &[(i32, i32)], #[case] found: &[&str]) {
        let mut drawing = drawing();
        drawing.texts.clear();
        drawing.arrow(true, points);
        let problems = problems(&drawing);
        assert!(found.iter().all(|part| problems.iter().any(|problem| problem.contains(part))), "{problems:?}");
    }
}
