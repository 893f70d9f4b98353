//! Stages by name, with settings as text: `bolt`, or `bolt:power=2,others=low`.

use std::sync::Arc;

use crate::{
    Aks, BadStageSpec, Bolt, FastV, FramePicker, FrameSelector, KCenter, KeepFrames, Mmr, NamedStage, Others,
    RandomFrames, StageName, StageSpec, TemporalStage, TopK, UniformFrames,
};

const fn stage(
    name: &'static str,
    about: &'static str,
    settings: &'static [(&'static str, &'static str)],
) -> NamedStage {
    NamedStage::new(name, about, settings)
}

const OTHERS: (&str, &str) = ("others", "dropped");

const TEMPORAL: [NamedStage; 2] = [
    stage(
        "long-vu",
        "drops frames that look like their window, by DINOv2 (LongVU)",
        &[
            ("window", "the preset's"),
            ("threshold", "the preset's"),
            ("count_self", "the preset's"),
            ("always", "the preset's"),
            ("max_frames", "400"),
        ],
    ),
    stage("uniform", "keeps evenly spread frames", &[("max_frames", "400")]),
];

const QUERY: [NamedStage; 7] = [
    stage("long-vu", "the frames of the highest scores at full resolution (LongVU)", &[("others", "low")]),
    stage("bolt", "frames at even quantiles of the scores (BOLT)", &[("power", "3"), OTHERS]),
    stage("aks", "the highest of the video, or of halves of it (AKS)", &[("threshold", "0.8"), ("depth", "5"), OTHERS]),
    stage("mmr", "high scores that differ (maximal marginal relevance)", &[("lambda", "0.5"), OTHERS]),
    stage("k-center", "frames that differ most", &[OTHERS]),
    stage("uniform", "evenly spread frames", &[OTHERS]),
    stage("random", "frames drawn at random", &[("seed", "0"), OTHERS]),
];

const SPATIAL: [NamedStage; 9] = [
    stage(
        "long-vu",
        "drops tokens like the first frame's of their chunk (LongVU)",
        &[("chunk", "8"), ("threshold", "the preset's")],
    ),
    stage("none", "keeps all tokens, up to where the prompt is full", &[]),
    stage("dycoke", "of each four frames one whole, and what changes (DyCoke)", &[("k", "0.7")]),
    stage("evs", "what differs from the frame before (EVS)", &[("q", "0.75")]),
    stage("vidcom2", "what stands out from its frame and the video (VidCom2)", &[("r", "0.25")]),
    stage("divprune", "tokens that differ most (DivPrune)", &[("chunk", "8"), ("retained", "0.098")]),
    stage(
        "fastvid",
        "of each segment the most attended tokens, and density peaks that take in others (FastVID)",
        &[("retained", "0.1"), ("d", "0.4"), ("segments", "8"), ("tau", "0.9"), ("p", "4"), ("beta", "0.6")],
    ),
    stage(
        "holitom",
        "still places as one token a window, and the most attended others (HoliTom)",
        &[("retained", "0.1"), ("tau", "0.8"), ("d", "0"), ("k", "7"), ("beta", "0.6")],
    ),
    stage(
        "visionzip",
        "of each frame the most attended tokens, and few that take in the others (VisionZip)",
        &[("retained", "0.1112"), ("contextual", "0.15625")],
    ),
];

const DECODER: [NamedStage; 2] = [
    stage("none", "every layer sees every token", &[]),
    stage("fastv", "what the last position looks at stays, after some layers (FastV)", &[("k", "2"), ("r", "0.5")]),
];

impl StageName {
    /// The stages that can be had by name in this place.
    pub fn known(self) -> &'static [NamedStage] {
        match self {
            Self::Temporal => &TEMPORAL,
            Self::QueryGuided => &QUERY,
            Self::Spatial => &SPATIAL,
            Self::Decoder => &DECODER,
        }
    }
}

impl StageSpec {
    /// The temporal stage of this name; what LongVU's leaves unsaid is taken from `preset`.
    ///
    /// # Errors
    /// Unknown names and settings, and values that make no sense.
    pub fn selector(&self, preset: TemporalStage) -> Result<Arc<dyn FrameSelector>, BadStageSpec> {
        self.check(StageName::Temporal)?;
        Ok(match self.name.as_str() {
            "uniform" => Arc::new(KeepFrames::new(self.count("max_frames", TemporalStage::default().max_frames)?)),
            _ => Arc::new(
                TemporalStage::default()
                    .with_window(self.count("window", preset.window)?)
                    .with_threshold(self.number("threshold", preset.threshold, f64::NEG_INFINITY..=f64::INFINITY)?)
                    .with_count_self(self.get("count_self", preset.count_self, "true or false")?)
                    .with_always(self.get("always", preset.always, "true or false")?)
                    .with_max_frames(self.count("max_frames", preset.max_frames)?),
            ),
        })
    }

    /// The choice of frames of this name.
    ///
    /// # Errors
    /// As [`StageSpec::selector`].
    pub fn picker(&self) -> Result<Arc<dyn FramePicker>, BadStageSpec> {
        self.check(StageName::QueryGuided)?;
        let dropped = || self.others(Others::Dropped);
        let any = 0.0..=f64::INFINITY;
        Ok(match self.name.as_str() {
            "bolt" => Arc::new(
                Bolt::default().with_power(self.number("power", Bolt::default().power, any)?).with_others(dropped()?),
            ),
            "aks" => {
                let picker = Aks::default().with_threshold(self.number("threshold", Aks::default().threshold, any)?);
                Arc::new(
                    picker
                        .with_depth(self.get("depth", Aks::default().depth, "a whole number")?)
                        .with_others(dropped()?),
                )
            }
            "mmr" => Arc::new(
                Mmr::default()
                    .with_lambda(self.number("lambda", Mmr::default().lambda, 0.0..=1.0)?)
                    .with_others(dropped()?),
            ),
            "k-center" => Arc::new(KCenter::default().with_others(dropped()?)),
            "uniform" => Arc::new(UniformFrames::default().with_others(dropped()?)),
            "random" => {
                let seed = self.get("seed", RandomFrames::default().seed, "a whole number")?;
                Arc::new(RandomFrames::default().with_seed(seed).with_others(dropped()?))
            }
            _ => Arc::new(TopK::default().with_others(self.others(Others::LowResolution)?)),
        })
    }

    /// What goes on in the language model by this name; `None` for `none`.
    ///
    /// # Errors
    /// As [`StageSpec::selector`].
    pub fn decoder(&self) -> Result<Option<FastV>, BadStageSpec> {
        self.check(StageName::Decoder)?;
        if self.name == "none" {
            return Ok(None);
        }
        let FastV { k, r } = FastV::default();
        let fastv = FastV::default().with_k(self.count("k", k)?);
        Ok(Some(fastv.with_r(self.number("r", r, 0.0..=1.0)?)))
    }

    /// The same with `fit` for the pruner's share, where none is named: how much stays is the budget's business then.
    #[must_use]
    pub fn fitting(mut self) -> Self {
        const SHARES: [&str; 4] = ["k", "q", "r", "retained"];
        let named = SPATIAL.iter().find(|named| named.name == self.name);
        let settings = named.map_or(&[][..], |named| named.settings);
        // A `k` that follows a share is a count.
        let share = settings.iter().find(|(name, _)| SHARES.contains(name));
        if let Some((share, _)) = share.filter(|(name, _)| self.value(name).is_none()) {
            self.settings.push(((*share).to_owned(), "fit".to_owned()));
        }
        self
    }

    /// Refuses names and settings that are not known.
    pub(crate) fn check(&self, stage: StageName) -> Result<(), BadStageSpec> {
        self.check_among(stage, stage.known())
    }

    fn others(&self, default: Others) -> Result<Others, BadStageSpec> {
        match self.value("others") {
            None => Ok(default),
            Some("low") => Ok(Others::LowResolution),
            Some("dropped") => Ok(Others::Dropped),
            Some(value) => Err(self.bad(format!("others is {value}; write low or dropped"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpatialStage;

    fn spec(text: &str) -> StageSpec {
        text.parse().unwrap()
    }

    #[test]
    fn every_name_is_a_stage_and_every_setting_one_of_its() {
        for stage in [StageName::Temporal, StageName::QueryGuided, StageName::Spatial, StageName::Decoder] {
            for named in stage.known() {
                for (setting, default) in [("", "")].iter().chain(named.settings) {
                    let text = match *default {
                        "" | "the preset's" => named.name.to_owned(),
                        default => format!("{}:{setting}={default}", named.name),
                    };
                    let made = match stage {
                        StageName::Temporal => spec(&text).selector(TemporalStage::default()).map(drop),
                        StageName::QueryGuided => spec(&text).picker().map(drop),
                        StageName::Spatial => spec(&text).pruner(SpatialStage::default()).map(drop),
                        StageName::Decoder => spec(&text).decoder().map(drop),
                    };
                    made.unwrap();
                }
            }
        }
    }

    #[test]
    fn settings_go_before_the_preset() {
        let preset = TemporalStage::default().with_threshold(0.5).with_window(8);
        let made = spec("long-vu:threshold=0.7, always=true").selector(preset).unwrap();
        assert_eq!(made.describe(), format!("{:?}", preset.with_threshold(0.7).with_always(true)));
        assert_eq!(spec("bolt:others=low").picker().unwrap().others(), Others::LowResolution);
        assert_eq!(spec("bolt").picker().unwrap().others(), Others::Dropped);
    }

    #[test]
    fn shares_that_are_not_named_fit_a_budget() {
        for (text, fitting) in [
            ("evs", "evs:q=fit"),
            ("evs:q=0.5", "evs:q=0.5"),
            ("divprune:chunk=4", "divprune:chunk=4,retained=fit"),
            ("holitom:k=5", "holitom:k=5,retained=fit"),
            ("holitom:retained=0.3", "holitom:retained=0.3"),
            ("none", "none"),
        ] {
            assert_eq!(spec(text).fitting().to_string(), fitting);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        let picker = |text: &str| spec(text).picker().err().unwrap().to_string();
        let pruner = |text: &str| spec(text).pruner(SpatialStage::default()).err().unwrap().to_string();
        for (found, said) in [
            (picker("blot"), "there are long-vu, bolt"),
            (picker("bolt:pwer=2"), "it has power, others"),
            (picker("bolt:power=NaN"), "power is NaN"),
            (picker("bolt:others=gone"), "low or dropped"),
            (picker("mmr:lambda=2"), "from 0 to 1"),
            (pruner("evs:q=much"), "q is much; write a number"),
            (pruner("none:q=1"), "has no settings"),
            (pruner("divprune:chunk=0"), "chunk is 0"),
            (spec("fastv:k=0").decoder().unwrap_err().to_string(), "k is 0"),
            (spec("fastv:r=1.5").decoder().unwrap_err().to_string(), "from 0 to 1"),
            (spec("evs").decoder().unwrap_err().to_string(), "no decoder stage is called that; there are none, fastv"),
        ] {
            assert!(found.contains(said), "{found}");
        }
        for text in ["", ":q=1", "evs:q", "evs:q=1,q=2", "evs:"] {
            assert!(text.parse::<StageSpec>().is_err(), "{text}");
        }
    }
}
