//! Fuzz targets that are plain tests as well. They check that for any input nothing panics, nothing forged is accepted
//! and nothing is lost.
//!
//! **As tests**: `cargo test -p clientele-fuzz` replays the corpus of each target and then tries some random inputs.
//! `BOLERO_RANDOM_ITERATIONS` sets their number. A failure names its seed; `BOLERO_RANDOM_SEED` repeats it.
//!
//! **As fuzz targets**, guided by coverage, they run under libFuzzer with the stable compiler. This needs a C++
//! compiler and `cargo-bolero` (`cargo install --locked cargo-bolero`). Run it in this folder, where
//! `.cargo/config.toml` defines the `fuzz` profile:
//!
//! ```text
//! target=translation
//! cargo bolero test --sanitizer NONE --target-dir ../../target/fuzz -T 10m \
//!     --corpus-dir ../../target/fuzz/corpus/$target \
//!     --engine-args="-dict=words.dict src/__fuzz__/$target/corpus" $target
//! ```
//!
//! This runs one target for ten minutes. Inputs that reach new code are stored in `target/fuzz/corpus`, where the next
//! run finds them. The checked-in corpus, `src/__fuzz__/<target>/corpus`, is only read. It should stay small: copy an
//! input there only if it shows something new to a reader, under a name that says what.
//!
//! **After a crash** the run ends, and the input is in `src/__fuzz__/<target>/crashes`. Plain test runs replay it from
//! there: `cargo test -p clientele-fuzz <target>` prints the input and the reason, and fails until the bug is fixed.
//! Write the smallest such case as a test next to the faulty code, fix the code, and move the input to `corpus` under a
//! name that says what it was.
//!
//! The inputs of each target:
//! - `translation`: a body. Bytes that are not JSON also select edits of an event file's body.
//! - `verification`: the setting, the secrets and the token on a line each, headers, an empty line and the body.
//! - `header_parsing`: an API Gateway event.
//! - `rank_decoding`: one rank per line.
//! - `kept_decoding`: a message.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod attempt;
mod choices;
mod decoding;
mod edited_bodies;
mod gateway_events;
mod item;
mod kept_delivery;
mod oracle;
mod signing;
mod translation;
mod verification;

use clientele_providers::PROVIDERS;

/// How many random inputs a plain test run tries per target.
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
    header_parsing: gateway_events::check;
    verification: |input| PROVIDERS.iter().for_each(|provider| verification::check(provider, input));
    translation: |input| PROVIDERS.iter().for_each(|provider| translation::check(provider, input));
    rank_decoding: decoding::check_ranks;
    kept_decoding: decoding::check_kept_deliveries;
}
