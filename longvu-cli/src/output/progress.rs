//! Progress bars on stderr; nothing is drawn where stderr is not a terminal.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use longvu::{EncodeProgress, SynthProgress, checkpoint::Download};

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

    /// Shows how far an encoding is.
    pub fn encoding(&self, progress: EncodeProgress) {
        match progress {
            EncodeProgress::Looked { done, total: Some(total) } => {
                // Damage may cost some of the expected frames, but adds none.
                self.show(COUNT, "choosing frames".into(), done as u64, total as u64);
            }
            EncodeProgress::Looked { done, total: None } => self.bar.0.set_message(format!("choosing frames: {done}")),
            EncodeProgress::Aggregated { done, total } => {
                self.show(COUNT, "encoding kept frames".into(), done as u64, total as u64);
            }
            _ => {}
        }
    }

    /// Shows how far a decoding is.
    pub fn decoding(&self, done: usize, total: usize) {
        self.show(COUNT, "decoding".into(), done as u64, total as u64);
    }

    /// Shows how far the writing of a model is.
    pub fn writing(&self, progress: &SynthProgress) {
        let folder = progress.file.parent().and_then(|folder| folder.file_name());
        let folder = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.show(BYTES, format!("writing {folder}"), progress.done, progress.total);
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

    /// A callback that shows downloads.
    pub fn download(&self) -> Download {
        let (progress, last) = (self.clone(), Mutex::new(String::new()));
        Arc::new(move |file, done, total| {
            if let Ok(mut last) = last.lock()
                && *last != file
            {
                file.clone_into(&mut last);
                progress.bar.0.reset();
            }
            progress.show(BYTES, format!("downloading {file}"), done, total);
        })
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
