//! `clientele cost`: the estimate of what a month costs.

use serde_json::Value;

use crate::support::cli::{clientele, run};
use crate::support::root;

/// docs/cost.md shows the output of the command. `UPDATE=1 cargo test --workspace --test system cost_page` updates it.
#[test]
fn the_cost_page_is_computed() {
    let (code, shown, errors) = run(&["cost"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, again, _) = run(&["cost"]);
    assert_eq!((code, &again), (0, &shown), "the same twice");
    let path = root("docs/cost.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("```text\n").unwrap();
    let (is, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}```text\n{shown}```\n{after}")).unwrap();
    } else {
        assert_eq!(is, shown, "docs/cost.md is out of date");
    }
}

#[test]
fn prices_and_shares_are_arguments() {
    let total = |arguments: &[&str]| {
        let (code, shown, errors) = run(&[&["cost"], arguments].concat());
        assert_eq!((code, errors.as_str()), (0, ""));
        // The first total is that of the first provider's events.
        let line = shown.lines().find(|line| line.contains("total")).unwrap().to_owned();
        line.split_whitespace().nth(2).unwrap().parse::<f64>().unwrap()
    };
    let usual = total(&[]);
    // Those of the provider's function, and those of the change feed.
    assert!(total(&["--price", "traces=0"]) < usual - 8.0);
    assert!(total(&["--price", "custom-events=2"]) > usual + 0.9);
    assert!(total(&["--price", "dynamodb-write=1.25"]) > usual + 2.0);
    assert!(total(&["--deleted", "50"]) > usual);
    assert!(total(&["--events", "2000000"]) > usual * 1.5);
    assert!(total(&["--arm", "--duration-ms", "100"]) < total(&["--duration-ms", "100"]));
    for (arguments, error) in [
        (["--price", "gold=1"], "there is no price `gold`; there are api-requests"),
        (["--price", "traces=-1"], "`-1` is not a price"),
    ] {
        let (code, _, errors) = run(&[&["cost"], &arguments[..]].concat());
        assert!(code == 2 && errors.contains(error), "{errors}");
    }
    let (code, _, errors) = run(&["cost", "--created", "60", "--deleted", "50"]);
    assert_eq!((code, errors.as_str()), (2, "error: --created and --deleted together exceed 100 percent\n"));
    let (_, shown, _) = run(&["cost", "--prices"]);
    assert!(shown.contains("https://aws.amazon.com/dynamodb/pricing/on-demand/"), "{shown}");
}

/// The numbers for programs are those of the tables. The command needs no files.
#[test]
fn costs_are_available_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = clientele(&["cost", "--json", "--events", "1000000"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success());
    let costs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (_, shown, _) = run(&["cost", "--events", "1000000"]);
    let mut totals = shown.lines().filter(|line| line.contains("total"));
    let cells = |line: &str| line.split_whitespace().filter_map(|cell| cell.parse::<f64>().ok()).collect::<Vec<_>>();
    let monthly = cells(totals.next().unwrap());
    for (name, expected) in clientele_providers::names().iter().zip(monthly) {
        let is = costs["monthly_usd"][name]["total"].as_f64().unwrap();
        assert!((is - expected).abs() < 0.006, "{name}: {is} instead of {expected}");
        assert!(costs["consumption"][name]["updated"]["write_units"].as_f64().unwrap() >= 1.0);
    }
    let fixed = cells(totals.next().unwrap());
    assert!((costs["fixed_usd"]["total"].as_f64().unwrap() - fixed[0]).abs() < 0.006, "{shown}");
    let (_, prices, _) = run(&["cost", "--prices", "--json"]);
    let prices: Vec<Value> = prices.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(prices.iter().any(|price| price["name"] == "dynamodb-write" && price["usd"] == 0.625), "{prices:?}");
}
