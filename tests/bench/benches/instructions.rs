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

/// Makes the allocator reserve memory now, for blocks of every size. Otherwise it would do so during a measurement, or
/// not, which depends on everything that is allocated before, even on the length of the path of this program.
fn reserve_memory() {
    let sizes = (16..1024).step_by(16).chain((1024..=16 * 1024).step_by(256));
    for size in sizes {
        let blocks: Vec<_> = (0..200).map(|_| Vec::<u8>::with_capacity(size)).collect();
        // It returns the memory of blocks that are all free.
        for block in blocks.into_iter().step_by(2) {
            std::mem::forget(black_box(block));
        }
    }
}

fn delivery(name: &str) -> (&'static Sample, Delivery<'static>) {
    reserve_memory();
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
    reserve_memory();
    Sample::of(name).events()
}

fn items(name: &str) -> Vec<Item> {
    events(name).iter().map(|event| event.item(Timestamp::UNIX_EPOCH)).collect()
}

fn function(name: &str) -> Function {
    reserve_memory();
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

fn changes_function(changes: usize) -> ChangesFunction {
    reserve_memory();
    ChangesFunction::start(changes)
}

// A whole batch of the function that announces changes.
#[library_benchmark(setup = changes_function)]
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
