//! Durations in words, in the largest unit that says enough.

/// Rounded down, as in `4 min`.
#[must_use]
pub fn rounded_down(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Rounded up, for what is only known not to be longer. Nothing measures it more exactly than to a minute.
#[must_use]
pub fn rounded_up(seconds: u64) -> String {
    match seconds {
        0..7_200 => format!("{} min", seconds.div_ceil(60).max(1)),
        7_200..172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 s", "1 min")]
    #[case(61, "61 s", "2 min")]
    #[case(119, "119 s", "2 min")]
    #[case(120, "2 min", "2 min")]
    #[case(7_199, "119 min", "120 min")]
    #[case(7_200, "2 h", "2 h")]
    #[case(7_201, "2 h", "3 h")]
    #[case(172_799, "47 h", "48 h")]
    #[case(172_801, "2 days", "3 days")]
    fn both_directions(#[case] seconds: u64, #[case] down: &str, #[case] up: &str) {
        assert_eq!((rounded_down(seconds).as_str(), rounded_up(seconds).as_str()), (down, up));
    }
}
