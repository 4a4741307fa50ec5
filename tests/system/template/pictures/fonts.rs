//! The fonts of the pictures, and how wide a text is at most.
//!
//! A browser shows the texts in a font of its own system. The widths are those of `DejaVu Sans`, which Linux shows, and
//! which is wider than the fonts of Windows, macOS, Android and iOS.

/// A font of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Font {
    /// What a box is.
    Title,
    /// What is said about it.
    Text,
    /// A name of the template, of an attribute, or a value.
    Code,
}

impl Font {
    pub(super) const ALL: [Self; 3] = [Self::Title, Self::Text, Self::Code];

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Text => "text",
            Self::Code => "code",
        }
    }

    pub(super) fn css(self) -> String {
        let sans = "system-ui,-apple-system,Segoe UI,Roboto,sans-serif";
        let size = self.size();
        match self {
            Self::Title => format!("600 {size}px {sans}"),
            Self::Text => format!("{size}px {sans}"),
            Self::Code => format!("{size}px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"),
        }
    }

    /// In pixels.
    pub(super) fn size(self) -> i32 {
        match self {
            Self::Title => 14,
            Self::Text | Self::Code => 12,
        }
    }

    /// The width of a text in pixels, rounded up.
    pub(super) fn width(self, text: &str) -> i32 {
        let thousandths: i32 = text.chars().map(|letter| self.advance(letter)).sum();
        (thousandths * self.size() + 999) / 1000
    }

    /// In thousandths of the size.
    fn advance(self, letter: char) -> i32 {
        let widths = match self {
            Self::Title => &BOLD,
            Self::Text => &REGULAR,
            Self::Code => return 603,
        };
        let index = u32::from(letter).checked_sub(u32::from(' ')).and_then(|index| usize::try_from(index).ok());
        // No letter of the other alphabets that the pictures use is wider than the size.
        index.and_then(|index| widths.get(index)).copied().unwrap_or(1000)
    }
}

/// The text in lines that are not wider than `width` pixels, broken at blanks.
pub(super) fn wrapped(font: Font, width: i32, text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || font.width(&longer) <= width {
            *line = longer;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The widths of the letters from blank to `~` in thousandths.
#[rustfmt::skip]
const REGULAR: [i32; 95] = [
    318, 401, 460, 838, 637, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, 637, 637, 637,
    637, 637, 637, 637, 637, 637, 637, 337, 337, 838, 838, 838, 531, 1000, 685, 687, 699, 771, 632,
    576, 775, 752, 295, 295, 656, 558, 863, 749, 788, 604, 788, 695, 635, 611, 732, 685, 989, 686,
    611, 686, 391, 337, 391, 838, 500, 500, 613, 635, 550, 635, 616, 353, 635, 634, 278, 278, 580,
    278, 975, 634, 612, 635, 635, 412, 521, 393, 634, 592, 818, 592, 592, 525, 637, 337, 637, 838,
];

/// The same in bold.
#[rustfmt::skip]
const BOLD: [i32; 95] = [
    349, 457, 521, 838, 696, 1002, 873, 307, 458, 458, 523, 838, 380, 416, 380, 366, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 581, 1000, 774, 763, 734, 831, 684,
    684, 821, 837, 373, 373, 775, 638, 996, 837, 851, 733, 851, 771, 721, 683, 813, 774, 1104, 771,
    725, 726, 458, 366, 458, 838, 500, 500, 675, 716, 593, 716, 679, 436, 716, 712, 343, 343, 666,
    343, 1042, 712, 688, 716, 716, 494, 596, 479, 712, 652, 924, 646, 652, 583, 712, 366, 712, 838,
];
