//! Data sets of questions about videos. A further one is a file beside these, with a line in [`by_name`].

mod data_set;
mod egoschema;
mod json;
mod mlvu;
mod mvbench;
mod read;
mod videomme;

pub(crate) use self::data_set::letter;
pub use self::{
    data_set::{DataSet, OverallRule, Published},
    egoschema::EgoSchema,
    json::Json,
    mlvu::Mlvu,
    mvbench::MvBench,
    videomme::VideoMme,
};
use crate::{Error, Result};

/// The data set of this name.
///
/// # Errors
/// Lists the names there are.
pub fn by_name(name: &str) -> Result<Box<dyn DataSet>> {
    let found: Option<Box<dyn DataSet>> = match name {
        "videomme" => Some(Box::new(VideoMme)),
        "mlvu" => Some(Box::new(Mlvu)),
        "mvbench" => Some(Box::new(MvBench)),
        "egoschema" => Some(Box::new(EgoSchema)),
        "json" => Some(Box::new(Json)),
        _ => None,
    };
    found.ok_or_else(|| Error::Setting {
        setting: "the data set",
        value: format!("`{name}`"),
        expected: format!("use one of {}", NAMES.join(", ")),
    })
}

/// The names of the data sets.
pub const NAMES: [&str; 5] = ["videomme", "mlvu", "mvbench", "egoschema", "json"];
