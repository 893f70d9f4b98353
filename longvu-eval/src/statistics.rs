//! Intervals and tests for shares of right answers.

use serde::Serialize;

/// Two-sided 95 % of the normal distribution.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share: `right` of `of`. `(0, 1)` of nothing.
pub fn wilson(right: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, right as f64 / of as f64);
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // Exact where rounding would not be.
    let low = if right == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if right == of { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// A paired comparison of two runs over the same questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct McNemar {
    /// Questions that only the first has right.
    pub only_first: usize,
    /// Questions that only the second has right.
    pub only_second: usize,
    /// How likely so uneven a division is if neither is better: exact, two-sided.
    pub p: f64,
}

/// McNemar's exact test: under no difference, each question that the two disagree on falls to either by a fair coin.
pub fn mcnemar(only_first: usize, only_second: usize) -> McNemar {
    let n = only_first + only_second;
    let less = only_first.min(only_second);
    // Terms are summed as logarithms, for 2^n overflows.
    let mut log_choose = 0.0_f64;
    let mut tail = 0.0_f64;
    for k in 0..=less {
        if k > 0 {
            log_choose += ((n - k + 1) as f64).ln() - (k as f64).ln();
        }
        tail += (log_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    McNemar { only_first, only_second, p: (2.0 * tail).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    /// Values of `statsmodels.stats.proportion.proportion_confint(method="wilson")`, and of its closed form.
    #[test]
    fn wilsons_interval() {
        let (low, high) = wilson(8, 10);
        assert!(near(low, 0.490_162_472) && near(high, 0.943_317_849), "{low} {high}");
        let (low, high) = wilson(0, 10);
        assert!(low == 0.0 && near(high, 0.277_532_797), "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(5, 5).1, 1.0);
    }

    /// 2 * sum of the binomial's tail, worked out as fractions.
    #[test]
    fn mcnemars_exact_test() {
        assert!(near(mcnemar(0, 5).p, 0.0625));
        assert!(near(mcnemar(1, 9).p, 2.0 * 11.0 / 1024.0));
        assert!(near(mcnemar(6, 12).p, 0.237_884_521));
        assert_eq!((mcnemar(3, 3).p, mcnemar(0, 0).p), (1.0, 1.0));
        assert_eq!(mcnemar(2, 7).p, mcnemar(7, 2).p);
        assert!(mcnemar(1000, 1300).p < 1e-8, "two to the 2,300 is no number");
    }
}
