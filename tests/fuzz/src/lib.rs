//! Fuzz targets that are plain tests as well: whatever a stranger sends, nothing panics, nothing forged is accepted and
//! nothing is lost.
//!
//! **As tests**, `cargo test -p clientele-fuzz` replays the corpus of each target and then tries some random inputs.
//! `BOLERO_RANDOM_ITERATIONS` says how many; the seed that a failure names is repeated with `BOLERO_RANDOM_SEED`.
//!
//! **As fuzz targets**, led by coverage, they run under libFuzzer on the stable compiler. `cargo-bolero` and a C++
//! compiler are needed once (`cargo install --locked cargo-bolero`). In this folder, where `.cargo/config.toml` has the
//! `fuzz` profile:
//!
//! ```text
//! target=translate_metrifox
//! cargo bolero test --sanitizer NONE --target-dir ../../target/fuzz -T 10m \
//!     --corpus-dir ../../target/fuzz/corpus/$target \
//!     --engine-args="-dict=words.dict src/__fuzz__/$target/corpus" $target
//! ```
//!
//! runs one target for ten minutes. What it finds worth keeping goes to `target/fuzz/corpus`, and is taken up by the
//! next run. The checked-in corpus, `src/__fuzz__/<target>/corpus`, is read and stays small: an input that shows
//! something new to a reader is copied there, under a name that says what.
//!
//! **After a crash** the run ends, and the input is in `src/__fuzz__/<target>/crashes`. Each plain test run replays it
//! from there, and fails until it is mended: `cargo test -p clientele-fuzz <target>` prints the input and the reason.
//! Write the smallest such case as a test beside the code that was wrong, mend that, and move the input to `corpus`
//! under a name that says what it was.
//!
//! The inputs: of `translate_*` a body (bytes that are no JSON are also taken as edits of an event file's body); of
//! `verify_*` the setting, the secrets and the token, a line each, headers, an empty line and the body; of
//! `header_parsing` an API Gateway event; of `rank_decoding` one rank a line; of `kept_decoding` a message.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod attempt;
mod decoding;
mod edits;
mod events;
mod item;
mod kept;
mod pieces;
mod proof;
mod translate;
mod verify;

/// How many random inputs a plain test run tries of a target.
const ITERATIONS: usize = 1_000;

macro_rules! targets {
    ($($target:ident: $check:expr;)+) => {$(
        #[test]
        fn $target() {
            bolero::check!().with_iterations(crate::ITERATIONS).for_each($check);
        }
    )+};
}

targets! {
    header_parsing: events::check;
    verify_metrifox: |input| verify::check(&clientele_metrifox::PROVIDER, input);
    verify_smarterpay: |input| verify::check(&clientele_smarterpay::PROVIDER, input);
    verify_plain: |input| verify::check(&clientele_plain::PROVIDER, input);
    verify_flexprice: |input| verify::check(&clientele_flexprice::PROVIDER, input);
    translate_metrifox: |input| translate::check(&clientele_metrifox::PROVIDER, input);
    translate_smarterpay: |input| translate::check(&clientele_smarterpay::PROVIDER, input);
    translate_plain: |input| translate::check(&clientele_plain::PROVIDER, input);
    translate_flexprice: |input| translate::check(&clientele_flexprice::PROVIDER, input);
    rank_decoding: decoding::ranks;
    kept_decoding: decoding::kept;
}
