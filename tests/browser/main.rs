//! Drives the page of the local stack in Chromium, through ChromeDriver, against the real command.
//!
//! These tests are ignored by default, because they need `chromium` and `chromedriver`. Debian has both:
//! `apt-get install chromium chromium-driver`.
//!
//! ```sh
//! cargo test --workspace --test browser -- --ignored
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs, reason = "tests")]

/// The command as a process of its own.
mod stack_process;
/// A client of the WebDriver protocol.
mod webdriver;

/// Widths, colours, names of controls, and the pictures in the documentation.
mod appearance;
/// What somebody does who tries the project.
mod first_hour;
/// What pages of other sites can do to the local stack.
mod other_origins;
/// Text of customers is shown as text.
mod untrusted_text;
