//! docs/pictures is up to date: the resources, the table and the dashboard of template.yaml, and the table of
//! docs/performance.md as a chart. The other pictures there are screenshots.
//!
//! `UPDATE=1 cargo test --workspace --test system pictures` redraws them.

use crate::support::root;

mod architecture;
mod dashboard;
mod data_model;
mod drawing;
mod fonts;
mod layout;
mod performance;

use drawing::{BOX_COLOURS, COLOURS, Drawing};
use layout::problems;

fn pictures() -> [(&'static str, Drawing); 4] {
    [
        ("architecture", architecture::drawing()),
        ("dashboard", dashboard::drawing()),
        ("data-model", data_model::drawing()),
        ("performance", performance::drawing()),
    ]
}

#[test]
fn pictures_are_up_to_date() {
    for (name, drawing) in pictures() {
        let path = root(&format!("docs/pictures/{name}.svg"));
        let svg = drawing.svg();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &svg).unwrap();
        }
        assert!(std::fs::read_to_string(&path).is_ok_and(|is| is == svg), "docs/pictures/{name}.svg is out of date");
    }
}

/// Texts fit into their boxes and are not on lines; arrows end at boxes and do not cross.
#[test]
fn every_layout_is_clean() {
    for (name, drawing) in pictures() {
        assert_eq!(problems(&drawing), [] as [&str; 0], "{name}");
    }
}

/// A page shows each picture, with a text for readers who cannot see it.
#[test]
fn every_picture_is_shown_with_a_text() {
    let folders = ["", "docs"].map(|folder| std::fs::read_dir(root(folder)).unwrap());
    let pages = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages: Vec<_> = pages.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for (name, _) in pictures() {
        let address = format!("pictures/{name}.svg)");
        let shown = pages.iter().flat_map(|page| page.match_indices(&address).map(|(at, _)| &page[..at]));
        let mut shown = shown.map(|before| before.rsplit_once("![").unwrap().1.split_once("](").unwrap().0).peekable();
        assert!(shown.peek().is_some(), "no page shows {name}");
        shown.for_each(|text| assert!(text.len() > 20, "{name}: {text}"));
    }
}

/// Texts have at least the contrast that WCAG asks for (4.5 to 1), and lines that of graphics (3 to 1).
#[test]
fn every_colour_is_legible_in_light_and_dark_mode() {
    for (mode, [page, strong, text, line]) in COLOURS.into_iter().enumerate() {
        let boxes = BOX_COLOURS.map(|(_, class, light, dark)| (class, [light, dark][mode]));
        assert!(contrast(line, page) >= 3.0, "lines, {mode}");
        for (class, [fill, _]) in boxes.into_iter().chain([("page", [page, page])]) {
            for colour in [strong, text] {
                assert!(contrast(colour, fill) >= 4.5, "{colour} on {class}: {}", contrast(colour, fill));
            }
        }
    }
}

/// The ratio of contrast of two colours by WCAG 2.
fn contrast(a: &str, b: &str) -> f64 {
    let [a, b] = [luminance(a), luminance(b)];
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: &str) -> f64 {
    let channel = |from: usize| {
        let share = f64::from(u8::from_str_radix(&colour[from..from + 2], 16).unwrap()) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}
