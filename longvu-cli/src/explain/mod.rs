//! The page of `longvu explain`: what the three reductions did, as one file of HTML.

mod charts;
mod choice;
mod costs;
mod data;
mod figure;
mod frames;
mod page;
mod pictures;
mod query;
mod spatial;
mod temporal;
mod window;
mod words;

pub use self::{
    costs::forecast,
    data::{Data, Run, StepCost},
    page::page,
    pictures::Pictures,
};
pub use crate::steps::given::Setting;
