/// The version of the schemas of the item and of both messages.
pub(crate) const SCHEMA_VERSION: u8 = 1;
