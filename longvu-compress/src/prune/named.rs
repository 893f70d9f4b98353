//! Pruners by name: the spatial stage of a [`StageSpec`].

use std::sync::Arc;

use super::{DivPrune, DyCoke, Evs, FastVid, HoliTom, VidCom2, VisionZip};
use crate::{BadStageSpec, KeepTokens, SpatialStage, StageName, StageSpec, TokenPruner};

/// Settings that are a number of any sign.
const ANY: std::ops::RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

impl StageSpec {
    /// The spatial stage of this name; what LongVU's leaves unsaid is taken from `preset`.
    ///
    /// # Errors
    /// As [`StageSpec::selector`].
    pub fn pruner(&self, preset: SpatialStage) -> Result<Arc<dyn TokenPruner>, BadStageSpec> {
        self.check(StageName::Spatial)?;
        Ok(match self.name() {
            "none" => Arc::new(KeepTokens),
            "dycoke" => Arc::new(DyCoke::default().with_k(self.share("k", DyCoke::default().k)?)),
            "evs" => Arc::new(Evs::default().with_q(self.share("q", Evs::default().q)?)),
            "vidcom2" => Arc::new(VidCom2::default().with_r(self.share("r", VidCom2::default().r)?)),
            "divprune" => {
                let pruner = DivPrune::default().with_chunk(self.count("chunk", DivPrune::default().chunk)?);
                Arc::new(pruner.with_retained(self.share("retained", DivPrune::default().retained)?))
            }
            "fastvid" => Arc::new(self.fastvid()?),
            "holitom" => Arc::new(self.holitom()?),
            "visionzip" => {
                let paper = VisionZip::default();
                let pruner = paper.with_retained(self.share("retained", paper.retained)?);
                Arc::new(pruner.with_contextual(self.number("contextual", paper.contextual, 0.0..=1.0)?))
            }
            _ => {
                let stage = SpatialStage::default().with_chunk(self.count("chunk", preset.chunk)?);
                Arc::new(stage.with_threshold(self.number("threshold", preset.threshold, ANY)?))
            }
        })
    }

    fn fastvid(&self) -> Result<FastVid, BadStageSpec> {
        let paper = FastVid::default();
        Ok(paper
            .with_retained(self.share("retained", paper.retained)?)
            .with_d(self.number("d", paper.d, 0.0..=1.0)?)
            .with_segments(self.count("segments", paper.segments)?)
            .with_tau(self.number("tau", paper.tau, ANY)?)
            .with_p(self.count("p", paper.p)?)
            .with_beta(self.number("beta", paper.beta, 0.0..=1.0)?))
    }

    fn holitom(&self) -> Result<HoliTom, BadStageSpec> {
        let paper = HoliTom::default();
        Ok(paper
            .with_retained(self.share("retained", paper.retained)?)
            .with_tau(self.number("tau", paper.tau, ANY)?)
            .with_d(self.number("d", paper.d, 0.0..=1.0)?)
            .with_k(self.count("k", paper.k)?)
            .with_beta(self.number("beta", paper.beta, 0.0..=1.0)?))
    }
}
