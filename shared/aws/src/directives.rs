//! Declares to CloudWatch which metrics a line has, and by which dimensions.

use metrique_writer_core::Unit;
use metrique_writer_format_emf::{Emf, MetricDefinition, MetricDirective};

/// Which metrics of a line have a dimension besides `service` and `provider`. A line must contain every metric and
/// dimension that its directives name ("Root node" in the specification), so each combination has its own format.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Directives {
    /// `Events` by `outcome`.
    pub(crate) has_outcome: bool,
    /// `Verified` by `secret`.
    pub(crate) has_secret: bool,
}

impl Directives {
    /// In the order of [`Self::index`].
    pub(crate) const ALL: [Self; 4] = [
        Self { has_outcome: false, has_secret: false },
        Self { has_outcome: true, has_secret: false },
        Self { has_outcome: false, has_secret: true },
        Self { has_outcome: true, has_secret: true },
    ];

    pub(crate) fn index(self) -> usize {
        usize::from(self.has_outcome) + 2 * usize::from(self.has_secret)
    }

    pub(crate) fn format(self, namespace: &str) -> Emf {
        let of_provider = vec!["service".to_owned(), "provider".to_owned()];
        let by = |dimension, name| MetricDirective {
            dimensions: vec![vec!["service", "provider", dimension]],
            metrics: vec![MetricDefinition { name, unit: Unit::Count, storage_resolution: None }],
            namespace,
        };
        let mut emf = Emf::builder(namespace.to_owned(), vec![of_provider]);
        if self.has_outcome {
            emf = emf.directive(by("outcome", "Events"));
        }
        if self.has_secret {
            emf = emf.directive(by("secret", "Verified"));
        }
        emf.build()
    }
}
