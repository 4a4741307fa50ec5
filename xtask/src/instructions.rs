//! Compares the instructions that callgrind counts with the recorded ones.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::{command, root};

/// A change by more than this percentage fails, in either direction.
const PERCENT_MAX: u64 = 5;
/// Changes up to this number are ignored, because the work of the allocator varies.
const IGNORED_UP_TO: u64 = 500;
const FILE: &str = "tests/bench/instructions.txt";
const HEAD: &str = "\
# Instructions counted by callgrind: benchmark, sample, count. `invoke` is a whole delivery, from the gateway's event to
# its answer, including the SDK but not the network, and `changes` a whole batch. Written by `UPDATE=1 cargo xtask
# instructions`.
";

type Counts = BTreeMap<String, u64>;

pub(crate) fn check() -> Result<(), String> {
    let counted = count()?;
    let path = root().join(FILE);
    if std::env::var_os("UPDATE").is_some() {
        let lines: Vec<_> = counted.iter().map(|(name, count)| format!("{name} {count}")).collect();
        return std::fs::write(&path, format!("{HEAD}{}\n", lines.join("\n")))
            .map_err(|error| format!("error: cannot write {FILE}: {error}"));
    }
    // Without the file, every count is reported as new.
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let recorded = recorded.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let errors = differences(&recorded.collect(), &counted);
    if errors.is_empty() {
        return Ok(());
    }
    let errors = errors.join("\nerror: ");
    Err(format!("error: {errors}\nif the change is intended: UPDATE=1 cargo xtask instructions"))
}

/// Runs the benchmarks.
fn count() -> Result<Counts, String> {
    let bench = ["bench", "--package", "clientele-bench", "--features", "tools", "--bench", "instructions"];
    let arguments = [&bench[..], &["--", "--output-format=json"]].concat();
    eprintln!("$ cargo {}", arguments.join(" "));
    let output = command("cargo").args(arguments).stderr(Stdio::inherit()).output();
    let output = output.map_err(|_| "error: `cargo` cannot be started".to_owned())?;
    let samples = samples();
    let report = String::from_utf8_lossy(&output.stdout);
    let counts: Counts = report.lines().filter_map(|line| parse(line, &samples)).collect();
    if output.status.success() && !counts.is_empty() {
        return Ok(counts);
    }
    Err("error: counting instructions needs valgrind and gungraun-runner:\n\
         cargo install --locked gungraun-runner --version 0.20.0"
        .to_owned())
}

/// The names of the samples, in the order in which they are measured.
fn samples() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("tests/bench/src/lib.rs")).unwrap_or_default();
    let names = source.split_once("pub const NAMES").and_then(|(_, rest)| rest.split_once("];"));
    names.map_or(vec![], |(names, _)| names.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The benchmark and count in a line of the report. The id in it has the number of the sample, or is the name of the only one.
fn parse(line: &str, samples: &[String]) -> Option<(String, u64)> {
    let after = |start: &str| line.split_once(start).map(|(_, rest)| rest);
    let text = |start| after(start)?.split('"').next();
    // After an earlier measurement, the line has the change in front of the values.
    let number = after(r#""Ir":{"#)?.split_once(r#""values":{"new":"#)?.1;
    let number = number.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()?;
    let id = text(r#""id":""#)?;
    let sample = match id.strip_prefix("of_") {
        Some(number) => samples.get(number.parse::<usize>().ok()?)?,
        None => id,
    };
    Some((format!("{}/{sample}", text(r#""function_name":""#)?), number))
}

#[expect(clippy::cast_precision_loss, reason = "percents")]
fn differences(recorded: &Counts, counted: &Counts) -> Vec<String> {
    let mut errors = vec![];
    for (name, count) in counted {
        let Some(before) = recorded.get(name) else {
            errors.push(format!("{name} is not in {FILE}: {count} instructions"));
            continue;
        };
        let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
        eprintln!("{name}: {count}, {percent:+.1} %");
        let difference = count.abs_diff(*before);
        if difference > IGNORED_UP_TO && difference * 100 > before * PERCENT_MAX {
            errors.push(format!("{name}: {count} instructions, {before} recorded, {percent:+.1} %"));
        }
    }
    let missing = recorded.keys().filter(|name| !counted.contains_key(*name));
    errors.extend(missing.map(|name| format!("{name} is in {FILE}, but is not measured")));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_parsed() {
        let line =
            r#"{"function_name":"verify","id":"of_0","profiles":[{"metrics":{"Ir":{"values":{"new":117273}}}}]}"#;
        let again = line.replace(r#""Ir":{"#, r#""Ir":{"change":{"diff_pct":"0","factor":"1"},"#);
        assert_eq!(samples()[0], "plain");
        for line in [line, &again] {
            assert_eq!(parse(line, &samples()), Some(("verify/plain".to_owned(), 117_273)));
        }
        let named = line.replace("of_0", "batch");
        assert_eq!(parse(&named, &samples()), Some(("verify/batch".to_owned(), 117_273)));
        assert_eq!(parse("Running benches", &samples()), None);
    }

    #[test]
    fn large_changes_are_errors() {
        let counts = |counts: &[(&str, u64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let recorded =
            counts(&[("a", 20_000), ("b", 20_000), ("c", 20_000), ("few", 1_000), ("more", 1_000), ("gone", 1)]);
        let counted = [("a", 21_000), ("b", 21_001), ("c", 18_800), ("few", 1_500), ("more", 1_501), ("new", 1)];
        let errors = differences(&recorded, &counts(&counted));
        assert_eq!(
            errors,
            [
                "b: 21001 instructions, 20000 recorded, +5.0 %",
                "c: 18800 instructions, 20000 recorded, -6.0 %",
                "more: 1501 instructions, 1000 recorded, +50.1 %",
                "new is not in tests/bench/instructions.txt: 1 instructions",
                "gone is in tests/bench/instructions.txt, but is not measured",
            ]
        );
    }
}
