//! Replay: deliveries of any provider that were kept on the inbox queue.

use clientele_model::Provider;

/// The providers whose deliveries may be there.
pub static PROVIDERS: [&Provider; 4] = [
    &clientele_metrifox::PROVIDER,
    &clientele_smarterpay::PROVIDER,
    &clientele_plain::PROVIDER,
    &clientele_flexprice::PROVIDER,
];
