//! What is read back from the table and from a queue.

use clientele_model::{BodyEncoding, KeptDelivery, KeptPart, Rank, Time};
use jiff::Timestamp;

use crate::item::is_sendable;
use crate::pieces::Pieces;

/// Any two lines, and two ranks that are nearly the same.
pub(crate) fn ranks(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    check_pair(first, second);

    let mut pieces = Pieces(input);
    let mut one = [0; 5].map(|_| pieces.number());
    let first = written(one, &pieces.text());
    let place = pieces.place(one.len());
    one[place] = pieces.number();
    for written in [&first, &written(one, &pieces.text())] {
        assert!(written.parse::<Rank>().is_ok(), "no rank: {written:?}");
        check_pair(&first, written);
    }
}

fn written([erased, version, verb, raised, place]: [u64; 5], id: &str) -> String {
    format!("{}.{version:016x}.{}.{raised:016x}.{:08x}.{id}", erased % 2, verb % 2, place & 0xffff_ffff)
}

fn check_pair(first: &str, second: &str) {
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

/// A message as it is, and one that has what the bytes say.
pub(crate) fn kept(input: &[u8]) {
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
    assert!(message.chars().all(is_sendable), "SQS takes no such message: {message}");
    let read = KeptDelivery::from_message(&message).unwrap();
    assert!(read == *kept, "read otherwise: {message}");
    assert_eq!(read.to_message(), message);
    let providers = [
        clientele_metrifox::PROVIDER,
        clientele_smarterpay::PROVIDER,
        clientele_plain::PROVIDER,
        clientele_flexprice::PROVIDER,
    ];
    for provider in providers {
        if let Ok(verified) = kept.clone().into_verified() {
            let translations = (provider.translate)(&verified);
            assert!(translations == (provider.translate)(&verified), "translated differently: {message}");
            let again = KeptDelivery::new(&provider, &verified, "again", KeptPart::Whole);
            assert_eq!(again.delivery_id, kept.delivery_id);
            assert_eq!(again.sent_at, kept.sent_at);
            assert!(
                KeptDelivery::from_message(&again.to_message()).unwrap().into_verified().is_ok(),
                "not kept again: {message}"
            );
        }
    }
}

fn built(input: &[u8]) -> Option<KeptDelivery> {
    let mut pieces = Pieces(input);
    let mut moment = || {
        let seconds = i64::from_le_bytes(pieces.number().to_le_bytes()) % 253_402_207_200;
        let nanos = i32::try_from(pieces.number() % 1_000_000_000).ok()?;
        Timestamp::new(seconds, nanos).ok().map(Time)
    };
    let (received_at, sent_at) = (moment()?, moment());
    Some(KeptDelivery {
        schema: 1,
        provider: pieces.text(),
        reason: pieces.text(),
        received_at,
        delivery_id: (pieces.byte() < 128).then(|| pieces.text()),
        sent_at: sent_at.filter(|_| pieces.byte() < 128),
        encoding: pieces.one_of(&[BodyEncoding::Json, BodyEncoding::Base64]),
        body: String::from_utf8_lossy(pieces.rest()).into_owned(),
    })
}
