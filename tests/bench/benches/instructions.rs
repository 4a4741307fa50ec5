//! Instructions, by callgrind: the same every time, so that a change of a few percent is one of the code.
//! `cargo xtask instructions` compares them with `instructions.txt`.

use std::hint::black_box;

use clientele_bench::{Function, Sample};
use clientele_model::{CustomerEvent, Delivery, Item, Verified};
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use jiff::Timestamp;

/// One measurement of every sample. What is made is given back, so that it is not dropped while it is counted.
macro_rules! measure {
    ($name:ident, $setup:ident: $input:ty, $body:expr) => {
        #[library_benchmark(setup = $setup)]
        #[bench::plain("plain")]
        #[bench::plain_delete("plain-delete")]
        #[bench::plain_256k("plain-256k")]
        #[bench::metrifox("metrifox")]
        #[bench::flexprice("flexprice")]
        #[bench::smarterpay("smarterpay")]
        #[bench::smarterpay_25("smarterpay-25")]
        #[bench::smarterpay_200("smarterpay-200")]
        fn $name(input: $input) -> impl Sized {
            let measured: fn(&$input) -> _ = $body;
            let made = black_box(measured(&input));
            (input, made)
        }
    };
}

fn delivery(name: &str) -> (Sample, std::cell::Cell<Option<Delivery>>) {
    let sample = Sample::of(name);
    let delivery = std::cell::Cell::new(Some(sample.delivery()));
    (sample, delivery)
}

fn verified(name: &str) -> (Sample, Verified) {
    let sample = Sample::of(name);
    let verified = sample.verify(sample.delivery());
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

measure!(verify, delivery: (Sample, std::cell::Cell<Option<Delivery>>), |(sample, delivery)| {
    delivery.take().map(|delivery| sample.verify(delivery))
});
measure!(translate, verified: (Sample, Verified), |(sample, verified)| sample.translate(verified));
measure!(rank, events: Vec<CustomerEvent>, |events| {
    events.iter().map(|event| event.rank().to_string()).collect::<Vec<_>>()
});
measure!(item, events: Vec<CustomerEvent>, |events| {
    events.iter().map(|event| event.item(Timestamp::UNIX_EPOCH)).collect::<Vec<_>>()
});
measure!(attributes, items: Vec<Item>, |items| {
    items.iter().map(clientele_aws::to_attributes).collect::<Vec<_>>()
});
measure!(invoke, function: Function, Function::invoke);

library_benchmark_group!(name = all; benchmarks = verify, translate, rank, item, attributes, invoke);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = all
);
