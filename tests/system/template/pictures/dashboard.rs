//! The widgets of the dashboard at their positions.

use serde_json::Value;

use super::drawing::{Anchor, Drawing, Kind};
use super::fonts::Font::{Text, Title};
use super::fonts::wrapped;
use crate::support::template::dashboard;

const COLUMN: i32 = 44;
const ROW: i32 = 20;
const MARGIN: i32 = 12;

pub(super) fn drawing() -> Drawing {
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let number = |widget: &Value, name: &str| i32::try_from(widget[name].as_i64().unwrap()).unwrap();
    let bottom = widgets.iter().map(|widget| number(widget, "y") + number(widget, "height")).max().unwrap();
    let (width, height) = (24 * COLUMN + 2 * MARGIN, bottom * ROW + 2 * MARGIN);
    let mut drawing = Drawing::new(width, height, "The dashboard of template.yaml: its graphs at their positions");
    for widget in widgets {
        let (x, y) = (MARGIN + number(widget, "x") * COLUMN, MARGIN + number(widget, "y") * ROW);
        let area = [x + 3, y + 3, number(widget, "width") * COLUMN - 6, number(widget, "height") * ROW - 6];
        let (kind, title, texts) = content(widget);
        if number(widget, "height") == 1 {
            drawing.text(Title, Anchor::Start, (area[0] + 2, y + 15), &title);
            continue;
        }
        let titles = wrapped(Title, area[2] - 24, &title).into_iter().map(|line| (Title, line));
        let texts = texts.iter().flat_map(|text| wrapped(Text, area[2] - 24, text)).map(|line| (Text, line));
        let lines: Vec<_> = titles.chain(texts).collect();
        let lines: Vec<_> = lines.iter().map(|(font, line)| (*font, line.as_str())).collect();
        drawing.text_box(kind, area, [22, 16], &lines);
    }
    drawing
}

/// The kind, title and texts of a widget.
fn content(widget: &Value) -> (Kind, String, Vec<String>) {
    let properties = &widget["properties"];
    let title = || properties["title"].as_str().unwrap().to_owned();
    match widget["type"].as_str().unwrap() {
        "text" => {
            let lines = properties["markdown"].as_str().unwrap().lines().filter(|line| !line.is_empty());
            let mut lines =
                lines.map(|line| line.trim_start_matches(['#', ' ']).replace("AWS::StackName", "clientele"));
            (Kind::Plain, lines.next().unwrap(), lines.collect())
        }
        "alarm" => {
            let number = properties["alarms"].as_array().unwrap().len();
            (Kind::Queue, title(), vec![format!("the state of {number} alarms")])
        }
        _ => (Kind::Data, title(), vec![labels(properties)]),
    }
}

/// The labels of the lines of a graph.
fn labels(properties: &Value) -> String {
    let label = |metric: &Value| {
        let options = metric.as_array().unwrap().last().unwrap();
        match options["label"].as_str().unwrap() {
            "" => "one line each".to_owned(),
            label => label.to_owned(),
        }
    };
    let labels: Vec<_> = properties["metrics"].as_array().unwrap().iter().map(label).collect();
    labels.join(", ")
}
