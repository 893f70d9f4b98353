//! Learning rates over a stage.

/// Linear warm-up, then half a cosine down to a floor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Greatest learning rate, reached after the warm-up.
    pub peak: f64,
    /// Steps of warm-up.
    pub warmup: usize,
    /// Steps in all.
    pub total: usize,
    /// The learning rate of the last step.
    pub floor: f64,
}

impl Schedule {
    /// The learning rate of `step`, from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let length = self.total.saturating_sub(self.warmup + 1).max(1) as f64;
        let done = ((step - self.warmup) as f64 / length).min(1.0);
        self.floor + (self.peak - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_falls() {
        let schedule = Schedule { peak: 1.0, warmup: 10, total: 111, floor: 0.1 };
        assert!((schedule.at(0) - 0.1).abs() < 1e-12);
        assert_eq!((schedule.at(9), schedule.at(10)), (1.0, 1.0));
        assert!((schedule.at(60) - 0.55).abs() < 1e-9);
        assert!((schedule.at(110) - 0.1).abs() < 1e-9 && (schedule.at(500) - 0.1).abs() < 1e-9);
        let constant = Schedule { peak: 1.0, warmup: 0, total: 1, floor: 1.0 };
        assert_eq!(constant.at(0), 1.0);
    }
}
