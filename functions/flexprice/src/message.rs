//! The id and the time of a message. They are not in the body.

use clientele_model::Verified;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use svix_ksuid::KsuidMs;

/// The greatest plausible time from the creation of a message to an attempt. Svix retries for about 28 hours, and an
/// operator may replay a message later.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The greatest plausible difference between two of the sender's clocks.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The id and time of a message, the same on every attempt.
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

/// The creation time that is encoded in the id (a KSUID, with a resolution of 4 ms) if it is plausible; otherwise the
/// time of the attempt.
fn created_at(id: &str, sent_at: Timestamp) -> Timestamp {
    let ksuid = id.strip_prefix("msg_").filter(|ksuid| ksuid.len() == 27 && ksuid.is_ascii());
    let created_at = ksuid
        .and_then(|ksuid| ksuid.parse::<KsuidMs>().ok())
        .and_then(|ksuid| Timestamp::from_millisecond(ksuid.timestamp_millis()).ok());
    let plausible = |created_at: &Timestamp| {
        let age = sent_at.duration_since(*created_at);
        age <= AGE_MAX && age >= -SKEW_MAX
    };
    created_at.filter(plausible).unwrap_or(sent_at)
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
    #[case("2026-01-11T08:40:00Z", "2026-01-11T08:40:00Z")]
    #[case("2026-01-11T08:39:59.996Z", "2026-02-10T08:40:00Z")]
    fn a_plausible_time_in_the_id_is_used(#[case] made: &str, #[case] expected: &str) {
        let sent_at: Timestamp = "2026-02-10T08:40:00Z".parse().unwrap();
        assert_eq!(created_at(&id_created_at(made), sent_at), expected.parse().unwrap());
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
