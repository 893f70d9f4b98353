//! What a [`StageSpec`] can name: the stages that are built in, and a caller's own beside them.

use std::{fmt, ops::RangeInclusive, str::FromStr, sync::Arc};

use longvu_core::text;

use crate::{
    BadStageSpec, FramePicker, FrameSelector, NamedStage, SpatialStage, StageError, StageName, StageSpec,
    TemporalStage, TokenPruner,
};

/// Stages by name: those built in, with [`Methods::default`], and a caller's own.
///
/// ```
/// use longvu_compress::{Methods, NamedStage, StageSpec, TopK, UniformFrames};
///
/// let evenly = NamedStage::new("evenly", "evenly spread frames", &[("most", "8")]);
/// let methods = Methods::default().with_picker(evenly, |settings| {
///     let _most = settings.count("most")?;
///     Ok(UniformFrames::default())
/// })?;
/// assert!(methods.picker(&"evenly:most=4".parse()?).is_ok());
/// assert!(methods.picker(&"evenly:most=0".parse()?).is_err());
/// assert!(methods.clone().with_picker(evenly, |_| Ok(TopK::default())).is_err(), "the name is taken");
/// # Ok::<(), longvu_compress::BadStageSpec>(())
/// ```
#[derive(Clone, Default)]
pub struct Methods {
    own: Vec<(NamedStage, Maker)>,
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.own.iter().map(|(named, maker)| (maker.stage(), named.name));
        f.debug_list().entries(named).finish()
    }
}

/// Makes a stage of settings.
#[derive(Clone)]
enum Maker {
    Selector(Arc<dyn Make<dyn FrameSelector>>),
    Picker(Arc<dyn Make<dyn FramePicker>>),
    Pruner(Arc<dyn Make<dyn TokenPruner>>),
}

trait Make<S: ?Sized>: Fn(&Settings) -> Result<Arc<S>, StageError> + Send + Sync {}

impl<S: ?Sized, F: Fn(&Settings) -> Result<Arc<S>, StageError> + Send + Sync> Make<S> for F {}

impl Maker {
    fn stage(&self) -> StageName {
        match self {
            Self::Selector(_) => StageName::Temporal,
            Self::Picker(_) => StageName::QueryGuided,
            Self::Pruner(_) => StageName::Spatial,
        }
    }
}

impl Methods {
    /// With a temporal stage of one's own, which `make` makes of the settings that `named` has.
    ///
    /// A saved encoded video remembers a temporal stage by [`FrameSelector::describe`]: give it the settings too.
    ///
    /// # Errors
    /// A name that a temporal stage has already, and names that cannot be written in a [`StageSpec`].
    pub fn with_selector<S: FrameSelector + 'static>(
        self,
        named: NamedStage,
        make: impl Fn(&Settings) -> Result<S, StageError> + Send + Sync + 'static,
    ) -> Result<Self, BadStageSpec> {
        self.with(named, Maker::Selector(Arc::new(move |settings: &Settings| Ok(Arc::new(make(settings)?) as _))))
    }

    /// With a choice of frames of one's own.
    ///
    /// # Errors
    /// As [`Methods::with_selector`].
    pub fn with_picker<S: FramePicker + 'static>(
        self,
        named: NamedStage,
        make: impl Fn(&Settings) -> Result<S, StageError> + Send + Sync + 'static,
    ) -> Result<Self, BadStageSpec> {
        self.with(named, Maker::Picker(Arc::new(move |settings: &Settings| Ok(Arc::new(make(settings)?) as _))))
    }

    /// With a spatial stage of one's own.
    ///
    /// # Errors
    /// As [`Methods::with_selector`].
    pub fn with_pruner<S: TokenPruner + 'static>(
        self,
        named: NamedStage,
        make: impl Fn(&Settings) -> Result<S, StageError> + Send + Sync + 'static,
    ) -> Result<Self, BadStageSpec> {
        self.with(named, Maker::Pruner(Arc::new(move |settings: &Settings| Ok(Arc::new(make(settings)?) as _))))
    }

    fn with(mut self, named: NamedStage, maker: Maker) -> Result<Self, BadStageSpec> {
        let stage = maker.stage();
        let bad = |reason: String| Err(BadStageSpec { spec: named.name.to_owned(), reason });
        if self.known(stage).iter().any(|known| known.name == named.name) {
            return bad(format!("a {stage} stage is called that already; choose another name"));
        }
        let names = std::iter::once(named.name).chain(named.settings.iter().map(|(name, _)| *name));
        if let Some(name) = names.into_iter().find(|name| !is_word(name)) {
            return bad(format!("`{name}` is no name; use letters, digits, - and _"));
        }
        let mut settings = named.settings.iter().enumerate();
        if let Some((_, (name, _))) = settings.find(|(i, (name, _))| named.settings[..*i].iter().any(|s| s.0 == *name))
        {
            return bad(format!("it has two settings `{name}`; give each a name of its own"));
        }
        self.own.push((named, maker));
        Ok(self)
    }

    /// The stages that can be had by name in this place, built-in ones first.
    pub fn known(&self, stage: StageName) -> Vec<NamedStage> {
        let own = self.own.iter().filter(|(_, maker)| maker.stage() == stage).map(|(named, _)| *named);
        stage.known().iter().copied().chain(own).collect()
    }

    /// The temporal stage of a name; what LongVU's leaves unsaid is taken from `preset`.
    ///
    /// # Errors
    /// Unknown names and settings, and values that the stage refuses.
    pub fn selector(&self, spec: &StageSpec, preset: TemporalStage) -> Result<Arc<dyn FrameSelector>, BadStageSpec> {
        match self.own(StageName::Temporal, spec)? {
            Some((named, Maker::Selector(make))) => make_of(make.as_ref(), named, spec),
            _ => spec.selector(preset),
        }
    }

    /// The choice of frames of a name.
    ///
    /// # Errors
    /// As [`Methods::selector`].
    pub fn picker(&self, spec: &StageSpec) -> Result<Arc<dyn FramePicker>, BadStageSpec> {
        match self.own(StageName::QueryGuided, spec)? {
            Some((named, Maker::Picker(make))) => make_of(make.as_ref(), named, spec),
            _ => spec.picker(),
        }
    }

    /// The spatial stage of a name; what LongVU's leaves unsaid is taken from `preset`.
    ///
    /// # Errors
    /// As [`Methods::selector`].
    pub fn pruner(&self, spec: &StageSpec, preset: SpatialStage) -> Result<Arc<dyn TokenPruner>, BadStageSpec> {
        match self.own(StageName::Spatial, spec)? {
            Some((named, Maker::Pruner(make))) => make_of(make.as_ref(), named, spec),
            _ => spec.pruner(preset),
        }
    }

    /// Whether this name is one of the caller's own.
    pub fn is_own(&self, stage: StageName, spec: &StageSpec) -> bool {
        self.own.iter().any(|(named, maker)| maker.stage() == stage && named.name == spec.name())
    }

    /// The caller's stage of this name, if it is one; refuses names and settings that are not known.
    fn own(&self, stage: StageName, spec: &StageSpec) -> Result<Option<(&NamedStage, &Maker)>, BadStageSpec> {
        spec.check_among(stage, &self.known(stage))?;
        let own = self.own.iter().find(|(named, maker)| maker.stage() == stage && named.name == spec.name());
        Ok(own.map(|(named, maker)| (named, maker)))
    }
}

fn make_of<S: ?Sized>(make: &dyn Make<S>, named: &NamedStage, spec: &StageSpec) -> Result<Arc<S>, BadStageSpec> {
    make(&Settings(spec.completed(named))).map_err(|error| match error.downcast::<BadStageSpec>() {
        Ok(bad) => spec.bad(bad.reason),
        Err(other) => spec.bad(text::chain(other.as_ref())),
    })
}

/// Whether a [`StageSpec`] can have it as a name.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

/// The settings of a stage that is being made: as somebody wrote them, or as its [`NamedStage`] has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(StageSpec);

impl Settings {
    /// A setting as text.
    ///
    /// # Errors
    /// One that the stage's [`NamedStage`] does not list.
    pub fn text(&self, name: &str) -> Result<&str, BadStageSpec> {
        let unknown = || self.0.bad(format!("it reads a setting `{name}` that it does not list"));
        self.0.value(name).ok_or_else(unknown)
    }

    /// A setting of any type that text can be read as.
    ///
    /// # Errors
    /// What is no such value, and as [`Settings::text`].
    pub fn get<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, BadStageSpec> {
        let value = self.text(name)?;
        value.parse().map_err(|error| self.0.bad(format!("{name} is `{value}`: {error}")))
    }

    /// A finite number in a range.
    ///
    /// # Errors
    /// What is none, and as [`Settings::text`].
    pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<f64, BadStageSpec> {
        self.text(name)?;
        self.0.number(name, 0.0, range)
    }

    /// A whole number from 1 on.
    ///
    /// # Errors
    /// What is none, and as [`Settings::text`].
    pub fn count(&self, name: &str) -> Result<usize, BadStageSpec> {
        self.text(name)?;
        self.0.count(name, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeepFrames, KeepTokens, SpatialStage, TopK};

    const MINE: NamedStage = NamedStage::new("mine", "keeps some", &[("keep", "0.5"), ("seed", "7")]);

    fn methods() -> Methods {
        let pruner = |settings: &Settings| {
            let (keep, seed): (f64, u64) = (settings.number("keep", 0.0..=1.0)?, settings.get("seed")?);
            if seed == 13 {
                return Err("13 brings bad luck".into());
            }
            Ok(SpatialStage::default().with_threshold(keep))
        };
        Methods::default().with_pruner(MINE, pruner).unwrap()
    }

    fn refused(text: &str) -> String {
        let made = methods().pruner(&text.parse().unwrap(), SpatialStage::default());
        made.err().unwrap().to_string()
    }

    #[test]
    fn own_stages_are_made_with_their_settings() {
        for (text, ok) in [("mine", true), ("mine:keep=1", true), ("mine:keep=2", false), ("evs:q=0.5", true)] {
            let made = methods().pruner(&text.parse().unwrap(), SpatialStage::default());
            assert_eq!(made.is_ok(), ok, "{text}");
        }
        let maker = |settings: &Settings| Ok(KeepFrames::new(settings.count("most")?));
        let named = NamedStage::new("most", "", &[("most", "3")]);
        let methods = Methods::default().with_selector(named, maker).unwrap();
        for (text, most) in [("most", 3), ("most:most=9", 9)] {
            let made = methods.selector(&text.parse().unwrap(), TemporalStage::default()).unwrap();
            assert_eq!(made.max_frames(), most);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for (text, said) in [
            (
                "mien",
                "no spatial stage is called that; there are long-vu, none, dycoke, evs, vidcom2, divprune, fastvid, holitom, visionzip, mine",
            ),
            ("mine:kep=1", "`mine` has no setting `kep`; it has keep, seed"),
            ("mine:keep=much", "keep is much; write a number"),
            ("mine:seed=-1", "seed is `-1`"),
            ("mine:seed=13", "mine:seed=13: 13 brings bad luck"),
        ] {
            let found = refused(text);
            assert!(found.contains(said), "{found}");
        }
    }

    #[test]
    fn names_that_are_taken_or_cannot_be_written_are_refused() {
        let taken = |name, settings: &'static [(&'static str, &'static str)]| {
            let named = NamedStage::new(name, "", settings);
            methods().with_pruner(named, |_| Ok(KeepTokens)).err().map(|error| error.to_string())
        };
        for name in ["mine", "evs", "long-vu"] {
            assert!(taken(name, &[]).unwrap().contains("called that already"), "{name}");
        }
        for name in ["", "a:b", "a,b", "a=b", "a b"] {
            assert!(taken(name, &[]).unwrap().contains("is no name"), "{name}");
        }
        assert!(taken("new", &[("a", "1"), ("b=c", "1")]).unwrap().contains("`b=c` is no name"));
        assert!(taken("new", &[("a", "1"), ("a", "2")]).unwrap().contains("two settings"));
        assert_eq!(taken("new", &[]), None);
        // Another place has names of its own.
        assert!(methods().with_picker(MINE, |_| Ok(TopK::default())).is_ok());
    }

    #[test]
    fn a_setting_that_is_not_listed_is_the_makers_mistake() {
        let methods = Methods::default().with_picker(NamedStage::new("mine", "", &[]), |settings| {
            settings.count("size")?;
            Ok(TopK::default())
        });
        let error = methods.unwrap().picker(&"mine".parse().unwrap()).err().unwrap().to_string();
        assert!(error.contains("does not list"), "{error}");
    }
}
