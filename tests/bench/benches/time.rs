//! Time by the clock: `cargo bench --package clientele-bench -- [FILTER]`.

use clientele_bench::{NAMES, Sample};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    for name in NAMES {
        let sample = Sample::of(name);
        let verified = sample.verify(sample.delivery());
        let events = sample.events();
        let items: Vec<_> = events.iter().map(|event| event.item(verified.received_at())).collect();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("verify", |bencher| {
            bencher.iter_batched(|| sample.delivery(), |delivery| sample.verify(delivery), BatchSize::SmallInput);
        });
        group.bench_function("translate", |bencher| bencher.iter(|| sample.translate(&verified)));
        group.bench_function("rank", |bencher| {
            bencher.iter(|| events.iter().map(|event| event.rank().to_string()).collect::<Vec<_>>());
        });
        group.bench_function("item", |bencher| {
            bencher.iter(|| events.iter().map(|event| event.item(verified.received_at())).collect::<Vec<_>>());
        });
        group.bench_function("attributes", |bencher| {
            bencher.iter(|| items.iter().map(clientele_aws::to_attributes).collect::<Vec<_>>());
        });
        let function = sample.function();
        group.bench_function("invoke", |bencher| bencher.iter(|| function.invoke()));
        group.finish();
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
