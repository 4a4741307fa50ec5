//! Files of the project that are part of the command, so that it works in any folder.

/// The text of template.yaml.
pub const TEMPLATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml"));

/// The files in the folders of `events`, as in `plain/customer-updated.json`, with their text. build.rs lists them.
pub const EVENT_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/event_files.rs"));
