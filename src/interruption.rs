//! Ctrl-C: the first one lets a run complete what it has begun, the second one ends the command.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit_code::ExitCode;
use crate::terminal;

/// What an import or a reconciliation completes.
pub const RECORDS: &str = "The records that were read are completed.";

/// A flag that Ctrl-C sets, or a request of the system to terminate. `completed` is what is completed then, as in `The records
/// that were read are completed.`
#[must_use]
pub fn stop_flag(completed: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_err() {
            // Without a handler, Ctrl-C ends the command at once.
            return;
        }
        flag.store(true, Ordering::Relaxed);
        terminal::note(format!("{completed} Ctrl-C again ends the command at once."));
        if wait_for_signal().await.is_ok() {
            process::exit(ExitCode::Incomplete as i32);
        }
    });
    stop
}

/// Waits for Ctrl-C, or a request of the system to terminate.
///
/// # Errors
/// When no handler can be installed.
#[cfg(unix)]
pub async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for Ctrl-C.
///
/// # Errors
/// When no handler can be installed.
#[cfg(not(unix))]
pub async fn wait_for_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
