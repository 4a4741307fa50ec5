//! Boxes, texts and arrows, and their SVG for light and dark mode.

use std::fmt::Write;

use super::fonts::Font;

/// What a box stands for. It decides the colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Something outside the stack, or plain text.
    Plain,
    /// A service of AWS without a box of its own kind.
    Service,
    /// A Lambda function.
    Compute,
    /// A DynamoDB table or its items.
    Data,
    /// An SQS queue.
    Queue,
}

/// The CSS class, then fill and stroke in light mode, then fill and stroke in dark mode.
type BoxColours = (Kind, &'static str, [&'static str; 2], [&'static str; 2]);

pub(super) const BOX_COLOURS: [BoxColours; 5] = [
    (Kind::Plain, "plain", ["#f6f8fa", "#afb8c1"], ["#161b22", "#484f58"]),
    (Kind::Service, "service", ["#e9f7ef", "#57a773"], ["#10241a", "#3f8f5f"]),
    (Kind::Compute, "compute", ["#fff3e0", "#d9943f"], ["#2c200f", "#b07a2e"]),
    (Kind::Data, "data", ["#e7f0fe", "#5f94d8"], ["#0f2340", "#4a7dbd"]),
    (Kind::Queue, "queue", ["#f6ebfa", "#a874c4"], ["#27162f", "#9159b1"]),
];

/// The page, titles and names, other texts, lines: in light mode, then in dark mode. The page has a colour, because a
/// picture can be shown in dark mode on a light page: it follows the system, the page may not.
pub(super) const COLOURS: [[&str; 4]; 2] =
    [["#ffffff", "#1f2328", "#4b5563", "#6e7781"], ["#0d1117", "#e6edf3", "#a9b4bf", "#848d97"]];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle: x, y, width, height.
pub(super) type Area = [i32; 4];

#[derive(Debug)]
pub(super) struct Text {
    pub(super) font: Font,
    pub(super) anchor: Anchor,
    /// Where the anchor is on the baseline.
    pub(super) at: (i32, i32),
    pub(super) content: String,
}

/// A line of horizontal and vertical pieces, with its head at the last point.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) is_dashed: bool,
    pub(super) points: Vec<(i32, i32)>,
}

pub(super) struct Drawing {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) title: &'static str,
    pub(super) boxes: Vec<(Kind, Area)>,
    pub(super) texts: Vec<Text>,
    pub(super) arrows: Vec<Arrow>,
    /// Samples of lines in a legend, from and to. They need not end at boxes.
    pub(super) samples: Vec<(bool, [(i32, i32); 2])>,
}

impl Drawing {
    pub(super) fn new(width: i32, height: i32, title: &'static str) -> Self {
        Self { width, height, title, boxes: vec![], texts: vec![], arrows: vec![], samples: vec![] }
    }

    pub(super) fn area(&mut self, kind: Kind, area: Area) {
        self.boxes.push((kind, area));
    }

    pub(super) fn text(&mut self, font: Font, anchor: Anchor, at: (i32, i32), text: &str) {
        self.texts.push(Text { font, anchor, at, content: text.to_owned() });
    }

    /// A box with lines of text: the baseline of the first is `first` pixels below its top, the others follow, a title
    /// with a small gap.
    pub(super) fn text_box(&mut self, kind: Kind, area: Area, [first, pitch]: [i32; 2], lines: &[(Font, &str)]) {
        self.area(kind, area);
        let mut y = area[1] + first;
        for (font, line) in lines {
            self.text(*font, Anchor::Start, (area[0] + 12, y), line);
            y += if *font == Font::Title { pitch + 3 } else { pitch };
        }
    }

    pub(super) fn arrow(&mut self, is_dashed: bool, points: &[(i32, i32)]) {
        self.arrows.push(Arrow { is_dashed, points: points.to_vec() });
    }

    pub(super) fn svg(&self) -> String {
        let Self { width, height, title, .. } = self;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">{}</title>\n\
             <style>\n{}</style>\n<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
             markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"head\" d=\"M0 0l8 4l-8 4z\"/></marker>\
             </defs>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>\n",
            escaped(title),
            style(),
        );
        for (kind, [x, y, width, height]) in &self.boxes {
            let class = class(*kind);
            let round = 8.min(height / 4);
            writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
            )
            .unwrap();
        }
        for Arrow { is_dashed, points } in &self.arrows {
            let class = line_class(*is_dashed);
            writeln!(svg, "<path class=\"{class}\" marker-end=\"url(#head)\" d=\"{}\"/>", rounded(points)).unwrap();
        }
        for (is_dashed, [from, to]) in &self.samples {
            let class = line_class(*is_dashed);
            writeln!(svg, "<path class=\"{class}\" marker-end=\"url(#head)\" d=\"{}\"/>", rounded(&[*from, *to]))
                .unwrap();
        }
        for Text { font, anchor, at: (x, y), content } in &self.texts {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let class = font.class();
            writeln!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{}</text>", escaped(content)).unwrap();
        }
        svg + "</svg>\n"
    }
}

fn class(kind: Kind) -> &'static str {
    BOX_COLOURS.iter().find(|(other, ..)| *other == kind).unwrap().1
}

fn line_class(is_dashed: bool) -> &'static str {
    if is_dashed { "line dashed" } else { "line" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A path through the points, with round corners.
fn rounded(points: &[(i32, i32)]) -> String {
    const RADIUS: i32 = 8;
    // The point on the way from a corner to its neighbour where the curve ends.
    let towards = |(x, y): (i32, i32), (to_x, to_y): (i32, i32)| {
        (x + (to_x - x).signum() * RADIUS, y + (to_y - y).signum() * RADIUS)
    };
    let (x, y) = points[0];
    let mut path = format!("M{x} {y}");
    for corner in points.windows(3) {
        let [before, (x, y), after] = corner else { unreachable!("windows of three") };
        let ((from_x, from_y), (to_x, to_y)) = (towards((*x, *y), *before), towards((*x, *y), *after));
        write!(path, "L{from_x} {from_y}Q{x} {y} {to_x} {to_y}").unwrap();
    }
    let (x, y) = points[points.len() - 1];
    write!(path, "L{x} {y}").unwrap();
    path
}

/// Colours are written out: not every program that shows SVG knows variables of CSS.
fn style() -> String {
    let colours = |mode: usize| {
        let [page, strong, text, line] = COLOURS[mode];
        let mut css = format!(
            ".page{{fill:{page}}}.title,.code{{fill:{strong}}}.text{{fill:{text}}}.line{{stroke:{line}}}\
             .head{{fill:{line}}}"
        );
        for (_, class, light, dark) in BOX_COLOURS {
            let [fill, stroke] = [light, dark][mode];
            write!(css, ".{class}{{fill:{fill};stroke:{stroke}}}").unwrap();
        }
        css
    };
    let mut css = String::new();
    for font in Font::ALL {
        writeln!(css, ".{}{{font:{}}}", font.class(), font.css()).unwrap();
    }
    let (light, dark) = (colours(0), colours(1));
    writeln!(css, ".line{{fill:none;stroke-width:1.5}}.dashed{{stroke-dasharray:5 4}}").unwrap();
    writeln!(css, "{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}").unwrap();
    css
}
