//! A histogram of durations that many threads observe at once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// How many durations lie between bounds. The crate's own histogram takes a lock to observe; this
/// one adds to two atomics. Clones are the same histogram.
#[derive(Debug, Clone)]
pub(crate) struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// In seconds, rising.
    bounds: &'static [f64],
    /// One for each bound, and one for what is beyond the last.
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_micros: AtomicU64::new(0) }))
    }

    pub(crate) fn observe(&self, duration: Duration) {
        self.observe_times(duration, 1);
    }

    /// Observes what took as long so many times.
    pub(crate) fn observe_times(&self, duration: Duration, times: u64) {
        let seconds = duration.as_secs_f64();
        let index = self.0.bounds.partition_point(|&bound| bound < seconds);
        self.0.counts[index].fetch_add(times, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.sum_micros.fetch_add(micros.saturating_mul(times), Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.0.bounds.iter().copied().chain([f64::MAX]);
        let counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.0.sum_micros.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn durations_are_counted_up_to_their_bounds() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [50, 500, 2000] {
            histogram.observe(Duration::from_millis(millis));
        }
        histogram.observe_times(Duration::from_millis(100), 3);
        let mut registry = Registry::default();
        registry.register("x", "X", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "x_bucket{le=\"0.1\"} 4",
            "x_bucket{le=\"1.0\"} 5",
            "x_bucket{le=\"+Inf\"} 6",
            "x_count 6",
            "x_sum 2.85",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
