//! Ctrl-C: the first one lets a run complete its current pages, the second one ends the command.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit_code::ExitCode;
use crate::terminal;

/// A flag that Ctrl-C sets, or a request of the system to terminate.
#[must_use]
pub fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_err() {
            // Without a handler, Ctrl-C ends the command at once.
            return;
        }
        flag.store(true, Ordering::Relaxed);
        terminal::note("The records that were read are completed. Ctrl-C again ends the command at once.");
        if wait_for_signal().await.is_ok() {
            process::exit(ExitCode::Incomplete as i32);
        }
    });
    stop
}

#[cfg(unix)]
async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
