//! What requests and answers look like, and what a walk returns while the list changes.

mod answers;
mod records;
mod walks;

use clientele_model::{Id, ListApi, RecordContext, Walk, WalkStart};
use jiff::Timestamp;

use super::LISTING;

const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);

fn api() -> &'static ListApi {
    LISTING.api.as_ref().unwrap()
}

fn context() -> RecordContext {
    RecordContext { account: Some(Id::new("t_1".into()).unwrap()), received_at: NOW }
}

fn walk(start: &WalkStart) -> Box<dyn Walk> {
    (api().walk)(WalkStart { account: context().account, now: NOW, ..start.clone() })
}
