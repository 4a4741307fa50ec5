//! Where the log lines of the functions go.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clientele_aws::LogWriter;

use crate::terminal;

/// Where the log lines of the functions go.
#[derive(Clone, Debug)]
pub enum LogOutput {
    /// Every line to standard error.
    Everything,
    /// Nowhere.
    Nothing,
    /// Into memory.
    Memory(CapturedLog),
}

impl LogOutput {
    pub(super) fn writer(&self) -> LogWriter {
        match self {
            Self::Everything => terminal::log_writer(),
            Self::Nothing => Box::new(std::io::sink()),
            Self::Memory(captured) => captured.writer(),
        }
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
