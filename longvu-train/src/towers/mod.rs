//! Training of the vision towers.

mod dinov2;
mod head;
mod pictures;
mod siglip;

pub use dinov2::Dinov2Objective;
pub(crate) use pictures::Pictures;
pub use siglip::SiglipObjective;
