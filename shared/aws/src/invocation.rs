//! One invocation of a Lambda function.

use jiff::Timestamp;

/// One invocation of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of it.
    pub request_id: String,
    /// X-Ray's trace header, if the invocation is traced.
    pub trace_id: Option<String>,
    /// When it arrived. This is the current time for everything that is decided during the invocation.
    pub received_at: Timestamp,
}
