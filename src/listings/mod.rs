//! What `import` and `reconcile` have in common: the list API and its key, the account, interrupted runs, and files of
//! records.

pub mod account;
pub mod api;
pub mod findings;
pub mod not_imported;
pub mod outcome;
pub mod record_file;
pub mod saved_progress;
