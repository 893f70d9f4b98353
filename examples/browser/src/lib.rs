//! The built-in model behind a page: frames in, answers out, nothing uploaded. A worker calls it, so that the page stays alive.

use std::{cell::RefCell, error::Error, ops::ControlFlow};

use js_sys::Function;
use longvu::{Clip, EncodedVideo, Frame, GenerationConfig, LongVu, Progress, Watch};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn log_error(text: &str);
}

/// The model, and the video that it is asked about.
#[wasm_bindgen]
pub struct Session {
    model: LongVu,
    frames: Vec<Frame>,
    video: Option<EncodedVideo>,
}

#[wasm_bindgen]
impl Session {
    /// Unpacks the model.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Session, JsError> {
        // A panic ends the module with a word that says nothing; what it was about goes to the console.
        std::panic::set_hook(Box::new(|panic| log_error(&panic.to_string())));
        Ok(Self { model: LongVu::miniature().map_err(told)?, frames: Vec::new(), video: None })
    }

    /// Forgets the video.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.video = None;
    }

    /// Takes the next frame of a video, as a canvas gives it: four bytes a pixel.
    pub fn push_frame(&mut self, seconds: f64, width: u32, height: u32, rgba: &[u8]) -> Result<(), JsError> {
        let rgb = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        self.frames.push(Frame::new(self.frames.len(), seconds, width, height, rgb).map_err(told)?);
        Ok(())
    }

    /// Runs the towers over the frames; `progress` is called with a step's name, what is done and of how much.
    pub fn encode(&mut self, progress: &Function) -> Result<(), JsError> {
        let frames = std::mem::take(&mut self.frames);
        let count = frames.len();
        let clip = Clip::from_frames(frames.into_iter().map(Ok), Some(count));
        self.video = Some(self.model.watched(watch(progress)).encode(clip).map_err(told)?);
        Ok(())
    }

    /// Answers a question about the video: JSON of the answer, and of what became of each frame.
    pub fn ask(&self, question: &str, progress: &Function) -> Result<String, JsError> {
        let video = self.video.as_ref().ok_or_else(|| JsError::new("no video has been encoded"))?;
        let model = self.model.watched(watch(progress));
        let answer = model.stream(&[video], question, &GenerationConfig::default()).map_err(told)?;
        let answer = answer.finish().map_err(told)?;
        let explanation = model.explain(&[video], &answer).map_err(told)?;
        let told = serde_json::json!({ "answer": answer.text, "explanation": explanation });
        Ok(told.to_string())
    }
}

/// An error with what it came of.
fn told(error: longvu::Error) -> JsError {
    let first: &dyn Error = &error;
    let causes = std::iter::successors(Some(first), |&error| error.source());
    JsError::new(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

thread_local! {
    /// Whom the step that runs tells how far it is. A watcher may be called from any thread, and a function of JavaScript only
    /// from its own; here there is one.
    static PROGRESS: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Tells `progress` from now on.
fn watch(progress: &Function) -> Watch {
    PROGRESS.set(Some(progress.clone()));
    Watch::new(|told: &Progress<'_>| {
        let total = told.total.map_or(JsValue::NULL, |total| JsValue::from_f64(total as f64));
        let (step, done) = (JsValue::from_str(told.step.name()), JsValue::from_f64(told.done as f64));
        // A page that fails to show how far it is gets its answer all the same.
        let _ =
            PROGRESS.with_borrow(|progress| progress.as_ref().map(|f| f.call3(&JsValue::NULL, &step, &done, &total)));
        ControlFlow::Continue(())
    })
}
