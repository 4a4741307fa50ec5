//! docs/pictures is up to date: template.yaml as two pictures, and the table of docs/performance.md as a chart.
//!
//! `UPDATE=1 cargo test --workspace --test system pictures` redraws them.

use std::collections::BTreeMap;
use std::fmt::Write;

use clientele_function::role::Role;
use serde_json::Value;

use crate::support::root;
use crate::support::template::{dashboard, resources};

const STYLE: &str = "<style>text{font:13px system-ui,sans-serif;fill:#1c2733}.small{font-size:11px;fill:#52606d}\
                     .title{font-weight:600}rect{fill:#f7f9fb;stroke:#9fb3c8;rx:6}.compute{fill:#fff4e5;stroke:#e0a458}\
                     .data{fill:#e8f1ff;stroke:#6b9bd8}.queue{fill:#f6e9f7;stroke:#b07ab5}\
                     .secret{fill:#eaf7ee;stroke:#6fb98f}path{fill:none;stroke:#829ab1}</style>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn picture(width: i32, height: i32, title: &str, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">\
         <title>{title}</title>{STYLE}<path d=\"M0 0h{width}v{height}h-{width}z\" style=\"fill:#fff;stroke:none\"/>\n\
         {content}</svg>\n"
    )
}

/// A box with lines of text. The first line is its title.
fn text_box(class: &str, [x, y, width, height]: [i32; 4], lines: &[String]) -> String {
    let mut svg = format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>\n");
    for (number, line) in (0..).zip(lines) {
        let class = if number == 0 { "title" } else { "small" };
        let (x, y) = (x + 10, y + 20.min(height * 3 / 4) + number * 15);
        writeln!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(line)).unwrap();
    }
    svg
}

/// Calls that are not drawn, since the function makes another call to the same resource.
const OMITTED_CALLS: [&str; 4] =
    ["dynamodb:UpdateItem", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"];

/// A line from the right edge of one box to the left edge of another.
fn connector((x1, y1): (i32, i32), (x2, y2): (i32, i32)) -> String {
    let middle = i32::midpoint(x1, x2);
    format!("<path d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\"/>\n")
}

/// What invokes each function, and what its role allows it to call.
fn architecture() -> String {
    let functions = resources("AWS::Serverless::Function");
    let (mut svg, mut boxes) = (String::new(), String::new());
    let mut places = BTreeMap::new();
    let mut y = 50;
    let stores = [
        ("AWS::DynamoDB::Table", "data", "DynamoDB table"),
        ("AWS::SQS::Queue", "queue", "SQS queue"),
        ("AWS::SecretsManager::Secret", "secret", "Secrets Manager"),
    ];
    for (kind, class, what) in stores {
        for (id, properties) in resources(kind) {
            let mut lines = vec![id.clone(), what.to_owned()];
            if let Value::String(target) = &properties["RedrivePolicy"]["deadLetterTargetArn"] {
                let receives = &properties["RedrivePolicy"]["maxReceiveCount"];
                lines.push(format!("after {receives} receives to {}", target.trim_end_matches(".Arn")));
            }
            let height = 44 + 15 * (i32::try_from(lines.len()).unwrap() - 2);
            boxes += &text_box(class, [740, y, 290, height], &lines);
            places.insert(id, (740, y + height / 2));
            y += height + 14;
        }
    }
    let bottom = y;
    let step = (bottom - 50) / i32::try_from(functions.len()).unwrap();
    for (number, (id, properties)) in (0..).zip(&functions) {
        let y = 50 + number * step + step / 2 - 30;
        let mut triggers: Vec<_> = properties["Events"].as_object().unwrap().values().map(trigger).collect();
        triggers.sort();
        let mut lines = vec![triggers[0].0.to_owned()];
        lines.extend(triggers.into_iter().map(|(_, what)| what));
        boxes += &text_box("", [20, y, 290, 60], &lines);
        let description = properties["Description"].as_str().unwrap().to_owned();
        boxes += &text_box("compute", [370, y, 310, 60], &[id.clone(), description]);
        svg += &connector((310, y + 30), (370, y + 30));
        for call in Role::of(id).calls {
            let (action, on) = call.split_once(' ').unwrap();
            if let Some(place) = places.get(on).filter(|_| !OMITTED_CALLS.contains(&action)) {
                svg += &connector((680, y + 30), *place);
            }
        }
    }
    let headings = [(20, "triggers"), (370, "functions"), (740, "tables, queues, secrets")];
    for (x, heading) in headings {
        writeln!(boxes, "<text class=\"title\" x=\"{x}\" y=\"30\">{heading}</text>").unwrap();
    }
    picture(
        1050,
        bottom + 10,
        "The functions of template.yaml, their triggers, and what their roles allow them to call",
        &(svg + &boxes),
    )
}

/// What invokes a function, and with what.
fn trigger(event: &Value) -> (&'static str, String) {
    let text = |name: &str| event["Properties"][name].as_str().unwrap().to_owned();
    match event["Type"].as_str().unwrap() {
        "HttpApi" => ("API Gateway", format!("{} {}", text("Method"), text("Path"))),
        "SQS" => ("SQS", format!("messages from {}", text("Queue").trim_end_matches(".Arn"))),
        "Schedule" => ("EventBridge", text("Schedule")),
        other => panic!("{other} is not drawn yet"),
    }
}

/// The widgets of the dashboard at their positions.
fn dashboard_layout() -> String {
    const COLUMN: i32 = 44;
    const ROW: i32 = 24;
    let (mut svg, mut bottom) = (String::new(), 0);
    for widget in dashboard()["widgets"].as_array().unwrap() {
        let number = |name: &str| i32::try_from(widget[name].as_i64().unwrap()).unwrap();
        let place =
            [number("x") * COLUMN + 3, number("y") * ROW + 3, number("width") * COLUMN - 6, number("height") * ROW - 6];
        bottom = bottom.max(place[1] + place[3]);
        let properties = &widget["properties"];
        let (class, lines) = match widget["type"].as_str().unwrap() {
            "text" => {
                let lines = properties["markdown"].as_str().unwrap().lines().filter(|line| !line.is_empty());
                ("", lines.map(|line| line.trim_start_matches(['#', ' ']).to_owned()).collect::<Vec<_>>())
            }
            "alarm" => {
                let number = properties["alarms"].as_array().unwrap().len();
                (
                    "queue",
                    vec![properties["title"].as_str().unwrap().to_owned(), format!("the state of {number} alarms")],
                )
            }
            _ => ("data", graph_lines(properties)),
        };
        svg += &text_box(class, place, &lines);
    }
    picture(24 * COLUMN, bottom + 3, "The dashboard of template.yaml", &svg)
}

/// The title of a graph, and the labels of its lines, three per row.
fn graph_lines(properties: &Value) -> Vec<String> {
    let label = |metric: &Value| {
        let options = metric.as_array().unwrap().last().unwrap();
        match options["label"].as_str().unwrap() {
            "" => "one line each".to_owned(),
            label => label.to_owned(),
        }
    };
    let labels: Vec<_> = properties["metrics"].as_array().unwrap().iter().map(label).collect();
    let mut lines = vec![properties["title"].as_str().unwrap().to_owned()];
    lines.extend(labels.chunks(3).map(|labels| labels.join(", ")));
    lines
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

/// A bar chart of three columns of that table. Each column has its own logarithmic scale from half of its minimum.
fn performance() -> String {
    const LEFT: i32 = 330;
    const PANEL: i32 = 250;
    const BAR: i32 = 150;
    const ROW: i32 = 24;
    let (headings, rows) = comparison_table();
    let drawn = ["first answer ms", "CPU us per event", "RSS MB"];
    let mut svg = String::new();
    for (row, cells) in (0..).zip(&rows) {
        let (y, class) = (62 + row * ROW, if row == 0 { "title" } else { "small" });
        writeln!(svg, "<text class=\"{class}\" x=\"12\" y=\"{y}\">{}</text>", escaped(&cells[0])).unwrap();
    }
    for (panel, heading) in (0..).zip(drawn) {
        let x = LEFT + panel * PANEL;
        writeln!(svg, "<text class=\"title\" x=\"{x}\" y=\"30\">{heading}</text>").unwrap();
        let column = headings.iter().position(|other| other == heading).unwrap();
        let figures: Vec<f64> = rows.iter().map(|row| row[column].replace(',', "").parse().unwrap()).collect();
        let least = figures.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let greatest = figures.iter().copied().fold(0.0, f64::max);
        for (row, figure) in (0..).zip(&figures) {
            let (y, width) = (48 + row * ROW, (figure / least).ln() / (greatest / least).ln() * f64::from(BAR));
            let class = if row == 0 { "compute" } else { "data" };
            let shown = &rows[usize::try_from(row).unwrap()][column];
            writeln!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width:.0}\" height=\"18\"/>").unwrap();
            let (x, y) = (f64::from(x) + width + 6.0, y + 14);
            writeln!(svg, "<text class=\"small\" x=\"{x:.0}\" y=\"{y}\">{shown}</text>").unwrap();
        }
    }
    let height = 60 + ROW * i32::try_from(rows.len()).unwrap();
    picture(LEFT + 3 * PANEL, height, "Receivers side by side, on logarithmic scales; less is better", &svg)
}

#[test]
fn pictures_are_up_to_date() {
    let pictures =
        [("architecture", architecture()), ("dashboard", dashboard_layout()), ("performance", performance())];
    for (name, svg) in pictures {
        let path = root(&format!("docs/pictures/{name}.svg"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &svg).unwrap();
        }
        assert!(std::fs::read_to_string(&path).is_ok_and(|is| is == svg), "docs/pictures/{name}.svg is out of date");
    }
}
