//! Which stages run, by name.

use std::num::NonZeroUsize;

use clap::Args;
use longvu::{
    LongVuBuilder,
    compress::{BadStageSpec, SpatialStage, StageName, StageSpec, TemporalStage},
};

/// Which stages run, by name; `longvu stages` lists them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Stages")]
pub struct StageArgs {
    /// Temporal stage, as `longvu stages` lists them, with settings if any: uniform:max_frames=64
    #[arg(long, value_name = "NAME[:K=V,…]", value_parser = temporal, hide_short_help = true)]
    pub temporal: Option<StageSpec>,

    /// Choice of frames by their scores against the question: bolt, or bolt:power=2,others=low
    #[arg(long, value_name = "NAME[:K=V,…]", value_parser = query, hide_short_help = true)]
    pub query: Option<StageSpec>,

    /// Spatial stage: evs, or evs:q=fit for as many tokens as fit
    #[arg(long, value_name = "NAME[:K=V,…]", value_parser = spatial, hide_short_help = true)]
    pub spatial: Option<StageSpec>,

    /// Most visual tokens of a prompt; shares that `--spatial` does not name give way to it [default: what the window holds]
    #[arg(long, value_name = "TOKENS", hide_short_help = true)]
    pub budget: Option<NonZeroUsize>,
}

impl StageArgs {
    /// The builder with these stages.
    pub fn apply(&self, mut builder: LongVuBuilder) -> LongVuBuilder {
        if let Some(tokens) = self.budget {
            builder = builder.visual_tokens(tokens.get());
        }
        let spatial = self.fitting_spatial();
        for (stage, spec) in [
            (StageName::Temporal, self.temporal.clone()),
            (StageName::QueryGuided, self.query.clone()),
            (StageName::Spatial, spatial),
        ] {
            if let Some(spec) = spec {
                builder = builder.named_stage(stage, spec);
            }
        }
        builder
    }

    /// The spatial stage, with a share that gives way to a budget where none is named.
    pub fn fitting_spatial(&self) -> Option<StageSpec> {
        match self.budget {
            Some(_) => self.spatial.clone().map(StageSpec::fitting),
            None => self.spatial.clone(),
        }
    }
}

fn temporal(text: &str) -> Result<StageSpec, BadStageSpec> {
    let spec: StageSpec = text.parse()?;
    spec.selector(TemporalStage::default()).map(|_| spec)
}

fn query(text: &str) -> Result<StageSpec, BadStageSpec> {
    let spec: StageSpec = text.parse()?;
    spec.picker().map(|_| spec)
}

fn spatial(text: &str) -> Result<StageSpec, BadStageSpec> {
    let spec: StageSpec = text.parse()?;
    spec.pruner(SpatialStage::default()).map(|_| spec)
}
