//! The change feed of a stack, for `clientele changes`: follows it, and sends customers to it again.

pub mod access;
pub mod line;
pub mod live;
pub mod positions;
pub mod redrive;
