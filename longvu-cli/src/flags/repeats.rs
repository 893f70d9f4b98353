//! Which frames the towers are spared.

use clap::Args;
use longvu::{LongVuBuilder, Repeats};

/// Which frames are taken for a frame before them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct RepeatArgs {
    /// Levels of 255 by which a frame may differ from the last one and still be taken for it; off looks at every frame
    /// [default: 0]
    #[arg(long, value_name = "LEVELS", value_parser = repeats, hide_short_help = true)]
    pub repeats: Option<Repeats>,
}

impl RepeatArgs {
    /// The builder with this setting.
    pub fn apply(&self, builder: LongVuBuilder) -> LongVuBuilder {
        match self.repeats {
            Some(repeats) => builder.repeats(repeats),
            None => builder,
        }
    }
}

/// Reads levels, or `off`.
///
/// # Errors
/// Says what is accepted.
pub fn repeats(text: &str) -> Result<Repeats, String> {
    text.parse().map_err(|_| "write a number of levels from 0 to 255, or off".to_owned())
}
