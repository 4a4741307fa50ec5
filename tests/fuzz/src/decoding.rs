//! Decodes ranks from the table and messages from a queue.

use clientele_model::{BodyEncoding, Fingerprint, KeptDelivery, KeptDeliveryError, KeptPart, Rank, Time};
use clientele_providers::PROVIDERS;
use jiff::Timestamp;

use crate::choices::Choices;
use crate::item::is_accepted_by_sqs;

/// Checks any two lines, and two ranks that are nearly the same.
pub(crate) fn check_ranks(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    check_rank_pair(first, second);

    let mut choices = Choices(input);
    let mut numbers = [0; 5].map(|_| choices.number());
    let first = rank_text(numbers, &choices.text());
    let changed = choices.index(numbers.len());
    numbers[changed] = choices.number();
    for second in [&first, &rank_text(numbers, &choices.text())] {
        assert!(second.parse::<Rank>().is_ok(), "not a rank: {second:?}");
        check_rank_pair(&first, second);
    }
}

fn rank_text([erased, version, verb, raised, place]: [u64; 5], id: &str) -> String {
    format!("{}.{version:016x}.{}.{raised:016x}.{:08x}.{id}", erased % 2, verb % 2, place & 0xffff_ffff)
}

fn check_rank_pair(first: &str, second: &str) {
    let ranks = [first, second].map(str::parse::<Rank>);
    for (rank, text) in ranks.iter().zip([first, second]) {
        if let Ok(rank) = rank {
            assert_eq!(rank.to_string(), text);
            assert_eq!(rank.version.timestamp().is_some(), rank.version.to_string().ends_with('Z'));
        }
    }
    if let [Ok(one), Ok(other)] = ranks {
        assert_eq!(first.as_bytes().cmp(second.as_bytes()), one.cmp(&other), "{first:?} {second:?}");
    }
}

/// Checks the input as a message, and a message that is built from its bytes.
pub(crate) fn check_kept_deliveries(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(kept) = KeptDelivery::from_message(&text) {
        check_kept(&kept);
    }
    if let Some(kept) = built(input) {
        check_kept(&kept);
    }
}

fn check_kept(kept: &KeptDelivery) {
    let message = kept.to_message();
    assert!(message.chars().all(is_accepted_by_sqs), "SQS rejects {message}");
    let read = KeptDelivery::from_message(&message).unwrap();
    assert!(read == *kept, "decoded differently: {message}");
    assert_eq!(read.to_message(), message);
    for provider in PROVIDERS {
        if let Ok(verified) = kept.clone().into_verified() {
            let translations = (provider.translate)(&verified);
            assert!(translations == (provider.translate)(&verified), "translated differently: {message}");
            let again = KeptDelivery::new(provider, &verified, "again", KeptPart::Whole);
            assert_eq!(again.delivery_id, kept.delivery_id);
            assert_eq!(again.sent_at, kept.sent_at);
            let read = KeptDelivery::from_message(&again.to_message()).unwrap().into_verified();
            let is_kept = matches!(read, Ok(_) | Err(KeptDeliveryError::Omitted));
            assert!(is_kept, "cannot be kept again: {message}");
        }
    }
}

fn built(input: &[u8]) -> Option<KeptDelivery> {
    let mut choices = Choices(input);
    let mut moment = || {
        let seconds = i64::from_le_bytes(choices.number().to_le_bytes()) % 253_402_207_200;
        let nanos = i32::try_from(choices.number() % 1_000_000_000).ok()?;
        Timestamp::new(seconds, nanos).ok().map(Time)
    };
    let (received_at, sent_at) = (moment()?, moment());
    Some(KeptDelivery {
        schema: 1,
        provider: choices.text(),
        reason: choices.text(),
        received_at,
        delivery_id: (choices.byte() < 128).then(|| choices.text()),
        sent_at: sent_at.filter(|_| choices.byte() < 128),
        encoding: choices.one_of(&[BodyEncoding::Json, BodyEncoding::Base64, BodyEncoding::Omitted]),
        fingerprint: choices.one_of(&[None, Some(Fingerprint { bytes: 7, sha256: "00".to_owned() })]),
        body: Some(String::from_utf8_lossy(choices.rest()).into_owned()).filter(|body| !body.is_empty()),
    })
}
