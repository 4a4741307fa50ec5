//! What becomes of the lines that the functions write.

use std::io::{Result, Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use clientele_aws::LogWriter;
use serde_json::Value;

/// Where the functions' lines go.
#[derive(Clone, Debug)]
pub enum Log {
    /// All to standard error.
    Everything,
    /// Those that a person has to look at, to standard error.
    Errors,
    /// Nowhere.
    Nothing,
    /// Into memory.
    Memory(Captured),
}

impl Log {
    pub(super) fn lines(&self) -> LogWriter {
        match self {
            Self::Everything => Box::new(stderr()),
            Self::Errors => Box::new(ErrorLines),
            Self::Nothing => Box::new(std::io::sink()),
            Self::Memory(captured) => captured.lines(),
        }
    }
}

/// Passes on the lines of errors. A line comes in one piece.
struct ErrorLines;

impl Write for ErrorLines {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        let is_error = serde_json::from_slice::<Value>(line).is_ok_and(|line| line["level"] == "ERROR");
        if is_error {
            stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// LogWriter in memory.
#[derive(Clone, Debug, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Where to write them.
    #[must_use]
    pub fn lines(&self) -> LogWriter {
        Box::new(self.clone())
    }

    /// What was written so far, which is forgotten.
    #[must_use]
    pub fn take(&self) -> String {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *written)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
