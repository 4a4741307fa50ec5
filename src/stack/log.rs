//! Where the log lines of the functions go.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clientele_aws::LogWriter;
use serde_json::Value;

use crate::terminal;

/// Where the log lines of the functions go.
#[derive(Clone, Debug)]
pub enum LogOutput {
    /// Every line to standard error.
    Everything,
    /// Lines of level `ERROR` to standard error.
    Errors,
    /// Nowhere.
    Nothing,
    /// Into memory.
    Memory(CapturedLog),
}

impl LogOutput {
    pub(super) fn writer(&self) -> LogWriter {
        match self {
            Self::Everything => terminal::log_writer(),
            Self::Errors => Box::new(ErrorLines),
            Self::Nothing => Box::new(std::io::sink()),
            Self::Memory(captured) => captured.writer(),
        }
    }
}

/// Writes the lines of level `ERROR` to standard error. Each call of `write` gets one whole line.
struct ErrorLines;

impl Write for ErrorLines {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        let is_error = serde_json::from_slice::<Value>(line).is_ok_and(|line| line["level"] == "ERROR");
        if is_error {
            terminal::log_writer().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Log lines in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// A writer that appends to this log.
    #[must_use]
    pub fn writer(&self) -> LogWriter {
        Box::new(self.clone())
    }

    /// Returns what was written since the last call.
    #[must_use]
    pub fn take(&self) -> String {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *written)).into_owned()
    }
}

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
