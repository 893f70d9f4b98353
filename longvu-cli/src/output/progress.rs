//! Progress bars on stderr; nothing is drawn where stderr is not a terminal.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use longvu::{Progress as Told, Step, Watch};

const COUNT: &str = "{msg:24} {bar:30} {pos}/{len} {elapsed} (eta {eta})";
const BYTES: &str = "{msg:24} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} (eta {eta})";
const SPIN: &str = "{spinner} {msg} {elapsed}";

/// A bar that clears itself when it is dropped, so that an error finds a clean line.
#[derive(Clone)]
pub struct Progress {
    bar: Arc<Bar>,
}

struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress {
    /// A spinner with `message`, for work of unknown length.
    pub fn new(quiet: bool, message: &'static str) -> Self {
        // indicatif itself draws nothing unless stderr is a terminal.
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_style(style(SPIN));
        bar.set_message(message);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar: Arc::new(Bar(bar)) }
    }

    /// Says what is being done.
    pub fn say(&self, message: String) {
        self.bar.0.set_message(message);
    }

    fn show(&self, template: &str, message: String, done: u64, total: u64) {
        let bar = &self.bar.0;
        if bar.message() != message || bar.length() != Some(total) {
            // The message first: each change may draw.
            bar.set_message(message);
            bar.set_length(total);
            bar.set_style(style(template));
            bar.reset_eta();
        }
        bar.set_position(done);
    }

    /// Shows how far loading, encoding, writing or answering is.
    fn step(&self, progress: &Told<'_>) {
        let (done, item) = (progress.done, progress.item);
        match (progress.step, progress.total) {
            (Step::Download, Some(total)) => self.show(BYTES, format!("downloading {item}"), done, total),
            (Step::Load, Some(total)) => self.show(COUNT, format!("loading the {item}"), done, total),
            (Step::Write, Some(total)) => self.show(BYTES, format!("writing {item}"), done, total),
            // Damage may cost some of the expected frames, but adds none.
            (Step::Look, Some(total)) => self.show(COUNT, "choosing frames".into(), done, total),
            (Step::Look, None) => self.bar.0.set_message(format!("choosing frames: {done}")),
            (Step::Aggregate, Some(total)) => self.show(COUNT, "encoding kept frames".into(), done, total),
            (Step::Prompt, Some(total)) => self.show(COUNT, "reading the prompt".into(), done, total),
            _ => {}
        }
    }

    /// A watcher that shows what it hears, and stops nothing.
    pub fn watch(&self) -> Watch {
        // The bar lives as long as whoever drops it; a watcher that outlives it shows nothing.
        let bar = Arc::downgrade(&self.bar);
        Watch::new(move |told| {
            if let Some(bar) = bar.upgrade() {
                Progress { bar }.step(told);
            }
            ControlFlow::Continue(())
        })
    }

    /// Shows how far a decoding is.
    pub fn decoding(&self, done: usize, total: usize) {
        self.show(COUNT, "decoding".into(), done as u64, total as u64);
    }

    /// Shows how many questions are answered, and how well.
    pub fn evaluating(&self, score: &str, done: usize, total: usize) {
        let bar = &self.bar.0;
        bar.set_message(score.to_owned());
        if bar.length() != Some(total as u64) {
            bar.set_length(total as u64);
            bar.set_style(style(COUNT));
            // What an earlier run has done says nothing of the time that is left.
            bar.set_position(done as u64);
            bar.reset_eta();
        }
        bar.set_position(done as u64);
    }

    /// Shows how far a stage of training is.
    #[cfg(feature = "train")]
    pub fn training(&self, step: &longvu_train::TrainProgress) {
        let (bar, steps) = (&self.bar.0, step.steps as u64);
        bar.set_message(format!("{} loss {:.3}", step.stage, step.loss));
        if bar.length() != Some(steps) {
            bar.set_length(steps);
            bar.set_style(style(COUNT));
            bar.set_position(step.step as u64);
            bar.reset_eta();
        }
        bar.set_position(step.step as u64);
    }

    /// Shows how many videos were asked about.
    #[cfg(feature = "train")]
    pub fn measuring(&self, what: &str, done: usize, total: usize) {
        self.show(COUNT, what.into(), done as u64, total as u64);
    }

    /// Prints a line that stays, above the bar.
    #[cfg(feature = "train")]
    pub fn above(&self, line: &str) {
        self.bar.0.suspend(|| super::note(line));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [COUNT, BYTES, SPIN] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
