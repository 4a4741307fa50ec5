//! Compares the instructions that callgrind counts with those that are written down.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::{Failure, command, root};

/// A change of more than that many percent must be looked at, in either direction.
const PERCENT_MAX: u64 = 5;
/// Up to that many do not count: the allocator takes now some more, now some less for the same.
const IGNORED_UP_TO: u64 = 500;
const FILE: &str = "tests/bench/instructions.txt";
const HEAD: &str = "\
# Instructions by callgrind: what is measured, of which sample, how many. `invoke` is a whole delivery, from the
# gateway's event to its answer, with the SDK's part and without the network. Made by `UPDATE=1 cargo xtask instructions`.
";

type Counts = BTreeMap<String, u64>;

pub(crate) fn check() -> Result<(), Failure> {
    let counted = count()?;
    let path = root().join(FILE);
    if std::env::var_os("UPDATE").is_some() {
        let lines: Vec<_> = counted.iter().map(|(name, count)| format!("{name} {count}")).collect();
        return std::fs::write(&path, format!("{HEAD}{}\n", lines.join("\n")))
            .map_err(|_| Failure::Failed(format!("write {}", path.display())));
    }
    // Without the file, every count is told.
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let written = written.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let wrong = differences(&written.collect(), &counted);
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Instructions(wrong)) }
}

/// Runs the benchmarks.
fn count() -> Result<Counts, Failure> {
    let bench = ["bench", "--package", "clientele-bench", "--features", "tools", "--bench", "instructions"];
    let arguments = [&bench[..], &["--", "--output-format=json"]].concat();
    eprintln!("$ cargo {}", arguments.join(" "));
    let output = command("cargo").args(arguments).stderr(Stdio::inherit()).output();
    let output = output.map_err(|_| Failure::NoSuchTool("cargo".to_owned()))?;
    let samples = samples();
    let report = String::from_utf8_lossy(&output.stdout);
    let counts: Counts = report.lines().filter_map(|line| counted(line, &samples)).collect();
    if output.status.success() && !counts.is_empty() { Ok(counts) } else { Err(Failure::NoCallgrind) }
}

/// The names of the samples, in the order in which they are measured.
fn samples() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("tests/bench/src/lib.rs")).unwrap_or_default();
    let names = source.split_once("pub const NAMES").and_then(|(_, rest)| rest.split_once("];"));
    names.map_or(vec![], |(names, _)| names.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// What a line of its report says. Its id has the number of the sample.
fn counted(line: &str, samples: &[String]) -> Option<(String, u64)> {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest);
    let text = |mark| after(mark)?.split('"').next();
    // Where it was measured before, what changed comes first.
    let number = after(r#""Ir":{"#)?.split_once(r#""values":{"new":"#)?.1;
    let number = number.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()?;
    let sample = samples.get(text(r#""id":""#)?.strip_prefix("of_")?.parse::<usize>().ok()?)?;
    Some((format!("{}/{sample}", text(r#""function_name":""#)?), number))
}

#[expect(clippy::cast_precision_loss, reason = "percents")]
fn differences(written: &Counts, counted: &Counts) -> Vec<String> {
    let mut wrong = vec![];
    for (name, count) in counted {
        let Some(before) = written.get(name) else {
            wrong.push(format!("{name} is not in {FILE}: {count} instructions"));
            continue;
        };
        let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
        eprintln!("{name}: {count}, {percent:+.1} %");
        let difference = count.abs_diff(*before);
        if difference > IGNORED_UP_TO && difference * 100 > before * PERCENT_MAX {
            wrong.push(format!("{name}: {count} instructions, {before} written down, {percent:+.1} %"));
        }
    }
    let gone = written.keys().filter(|name| !counted.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} is in {FILE}, and is not measured")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let line =
            r#"{"function_name":"verify","id":"of_0","profiles":[{"metrics":{"Ir":{"values":{"new":117273}}}}]}"#;
        let again = line.replace(r#""Ir":{"#, r#""Ir":{"change":{"diff_pct":"0","factor":"1"},"#);
        assert_eq!(samples()[0], "plain");
        for line in [line, &again] {
            assert_eq!(counted(line, &samples()), Some(("verify/plain".to_owned(), 117_273)));
        }
        assert_eq!(counted("Running benches", &samples()), None);
    }

    #[test]
    fn more_than_a_little_is_told() {
        let counts = |counts: &[(&str, u64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let written =
            counts(&[("a", 20_000), ("b", 20_000), ("c", 20_000), ("few", 1_000), ("more", 1_000), ("gone", 1)]);
        let counted = [("a", 21_000), ("b", 21_001), ("c", 18_800), ("few", 1_500), ("more", 1_501), ("new", 1)];
        let wrong = differences(&written, &counts(&counted));
        assert_eq!(
            wrong,
            [
                "b: 21001 instructions, 20000 written down, +5.0 %",
                "c: 18800 instructions, 20000 written down, -6.0 %",
                "more: 1501 instructions, 1000 written down, +50.1 %",
                "new is not in tests/bench/instructions.txt: 1 instructions",
                "gone is in tests/bench/instructions.txt, and is not measured",
            ]
        );
    }
}
