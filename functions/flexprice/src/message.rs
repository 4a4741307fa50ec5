//! The id and the time of a message. They are not in the body.

use clientele_model::Verified;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use svix_ksuid::KsuidMs;

/// 2020-01-01T00:00:00Z. No message is older, so an id with an earlier time is not a KSUID, although it looks like one.
const EARLIEST: Timestamp = Timestamp::constant(1_577_836_800, 0);
/// The greatest plausible difference between two of the sender's clocks.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The id and time of a message, the same on every attempt if the id contains the time.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) created_at: Timestamp,
}

impl Message {
    /// Id and time come from the signed Svix headers. Without these headers, the id is a hash of type and body, and the
    /// time is the time of arrival. Two attempts then have different times, and the later one wins.
    pub(crate) fn of(verified: &Verified, kind: &str) -> Self {
        let proof = verified.proof();
        match (&proof.message_id, proof.sent_at) {
            (Some(id), Some(sent_at)) => Self { created_at: created_at(id, sent_at), id: id.clone() },
            _ => Self { id: hash(kind, verified.body()), created_at: verified.received_at() },
        }
    }
}

/// The creation time that is encoded in the id (a KSUID, with a resolution of 4 ms), otherwise the time of the attempt.
/// The id is signed, so its time counts however old it is: sending an old message again must not make it newer.
fn created_at(id: &str, sent_at: Timestamp) -> Timestamp {
    let ksuid = id.strip_prefix("msg_").filter(|ksuid| ksuid.len() == 27 && ksuid.is_ascii());
    let created_at = ksuid
        .and_then(|ksuid| ksuid.parse::<KsuidMs>().ok())
        .and_then(|ksuid| Timestamp::from_millisecond(ksuid.timestamp_millis()).ok());
    let is_plausible =
        |created_at: &Timestamp| *created_at >= EARLIEST && created_at.duration_since(sent_at) <= SKEW_MAX;
    created_at.filter(is_plausible).unwrap_or(sent_at)
}

fn hash(kind: &str, body: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(kind).chain_update([0]).chain_update(body).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn id_created_at(time: &str) -> String {
        let created_at: Timestamp = time.parse().unwrap();
        format!("msg_{}", KsuidMs::from_millis(Some(created_at.as_millisecond()), Some(&[7; 15])))
    }

    #[rstest]
    #[case("2026-02-09T08:42:08.320Z", "2026-02-09T08:42:08.320Z")]
    #[case("2026-02-09T08:42:08.323Z", "2026-02-09T08:42:08.320Z")]
    #[case("2026-02-10T08:45:00Z", "2026-02-10T08:45:00Z")]
    #[case("2026-02-10T08:45:00.004Z", "2026-02-10T08:40:00Z")]
    #[case("2150-06-19T23:21:35.996Z", "2026-02-10T08:40:00Z")]
    #[case("2025-07-25T08:40:00Z", "2025-07-25T08:40:00Z")]
    #[case("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z")]
    #[case("2019-12-31T23:59:59.996Z", "2026-02-10T08:40:00Z")]
    #[case("2014-05-13T16:53:20Z", "2026-02-10T08:40:00Z")]
    fn the_time_in_an_id_is_used_between_2020_and_five_minutes_after_the_attempt(
        #[case] made: &str,
        #[case] expected: &str,
    ) {
        let sent_at: Timestamp = "2026-02-10T08:40:00Z".parse().unwrap();
        assert_eq!(created_at(&id_created_at(made), sent_at), expected.parse().unwrap());
    }

    /// A message has the same time whenever it is sent again, even after years.
    #[rstest]
    fn a_message_keeps_its_time(#[values(0, 30, 31, 200, 10_000)] days: i64) {
        let id = id_created_at("2026-02-09T08:42:08.320Z");
        let first: Timestamp = "2026-02-09T08:42:09Z".parse().unwrap();
        let again = first + SignedDuration::from_hours(days * 24);
        assert_eq!(created_at(&id, again), created_at(&id, first));
    }

    #[rstest]
    #[case("")]
    #[case("msg_")]
    #[case("msg_p5jXN8AQM9LWM0D4loKWxJek")]
    #[case("msg_000000000000000000000000000")]
    #[case("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz")]
    #[case("msg_!!!!!!!!!!!!!!!!!!!!!!!!!!!")]
    #[case("msg_ééééééééééééé!")]
    fn with_any_other_id_the_time_of_the_attempt_is_used(#[case] id: &str) {
        let sent_at: Timestamp = "2026-02-10T08:40:00Z".parse().unwrap();
        assert_eq!(created_at(id, sent_at), sent_at);
    }

    #[test]
    fn the_hash_separates_type_and_body() {
        assert_ne!(hash("a", b"bc"), hash("ab", b"c"));
        assert_eq!(hash("a", b"bc").len(), 64);
    }
}
