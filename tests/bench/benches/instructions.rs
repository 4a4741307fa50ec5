//! Instructions, by callgrind: nearly the same every time, so that a change of a few percent is one of the code.
//! `cargo xtask instructions` compares them with `instructions.txt`.
//!
//! Each benchmark but the last runs for every sample. It returns its values, so that dropping them is not counted.

#![expect(missing_docs, reason = "the macros of gungraun")]
#![expect(clippy::unwrap_used, reason = "benchmarks")]

use std::hint::black_box;

use clientele_bench::{CHANGES, ChangesFunction, Function, NAMES, Sample};
use clientele_model::{CustomerEvent, Delivery, Item, Verified};
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use jiff::Timestamp;

fn delivery(name: &str) -> (&'static Sample, Delivery<'static>) {
    // The delivery borrows from it.
    let sample = Box::leak(Box::new(Sample::of(name)));
    (sample, sample.delivery())
}

fn verified(name: &str) -> (&'static Sample, Verified) {
    let (sample, delivery) = delivery(name);
    let verified = sample.verify(delivery);
    (sample, verified)
}

fn events(name: &str) -> Vec<CustomerEvent> {
    Sample::of(name).events()
}

fn items(name: &str) -> Vec<Item> {
    events(name).iter().map(|event| event.item(Timestamp::UNIX_EPOCH)).collect()
}

fn function(name: &str) -> Function {
    Sample::of(name).function()
}

#[library_benchmark(setup = delivery)]
#[benches::of(iter = NAMES)]
fn verify((sample, delivery): (&'static Sample, Delivery<'static>)) -> impl Sized {
    let verified = black_box(sample.verify(delivery));
    (sample, verified)
}

#[library_benchmark(setup = verified)]
#[benches::of(iter = NAMES)]
fn translate((sample, verified): (&'static Sample, Verified)) -> impl Sized {
    let translations = black_box(sample.translate(&verified));
    (sample, verified, translations)
}

#[library_benchmark(setup = events)]
#[benches::of(iter = NAMES)]
fn rank(events: Vec<CustomerEvent>) -> impl Sized {
    let ranks: Vec<_> = events.iter().map(|event| black_box(event.rank().to_string())).collect();
    (events, ranks)
}

#[library_benchmark(setup = events)]
#[benches::of(iter = NAMES)]
fn item(events: Vec<CustomerEvent>) -> impl Sized {
    let items: Vec<_> = events.iter().map(|event| black_box(event.item(Timestamp::UNIX_EPOCH))).collect();
    (events, items)
}

#[library_benchmark(setup = items)]
#[benches::of(iter = NAMES)]
fn attributes(items: Vec<Item>) -> impl Sized {
    let mut attributes = vec![];
    for item in &items {
        clientele_aws::write_attributes(&mut attributes, item).unwrap();
    }
    (items, black_box(attributes))
}

#[library_benchmark(setup = function)]
#[benches::of(iter = NAMES)]
fn invoke(function: Function) -> impl Sized {
    let answer = black_box(function.invoke());
    (function, answer)
}

// A whole batch of the function that announces changes.
#[library_benchmark(setup = ChangesFunction::start)]
#[bench::batch(CHANGES)]
fn changes(function: ChangesFunction) -> impl Sized {
    let answer = black_box(function.invoke());
    (function, answer)
}

library_benchmark_group!(name = all; benchmarks = verify, translate, rank, item, attributes, invoke, changes);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = all
);
