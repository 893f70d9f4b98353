//! The work on a request: a place, its files, its videos, its answer.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use longvu::{Answer, EncodedVideo, LongVu, Watch, Workload, llm::Conversation, text};
use tokio::{
    sync::mpsc::{Sender, UnboundedReceiver},
    time::timeout,
};

use super::{
    event::{Ended, Event, Told},
    looking::{self, Looked},
    report::report,
};
use crate::{
    admission::{Forecast, Place, Reserved},
    answering::Piece,
    api_error::ApiError,
    metrics::{Metrics, OriginLabels, StepLabels},
    protocol::{extension::Seconds, request::Request},
    state::Shared,
};

/// Time after which a client that takes nothing of its answer has gone.
const STALLED: Duration = Duration::from_secs(300);

/// Works until the answer has ended, something fails, or nobody listens any more.
pub(crate) async fn run(server: Arc<Shared>, request: Request, body: Reserved, events: Sender<Event>) {
    let work = answer(&server, request, body, &events);
    let outcome = tokio::select! {
        outcome = work => outcome,
        // What is dropped with the work stops whatever was done for it alone.
        () = events.closed() => {
            tracing::info!("a client hung up");
            return;
        }
        () = server.stopping.cancelled() => Err(server.stopped()),
    };
    if let Err(error) = outcome {
        tell(&events, Event::Failed(error)).await;
    }
}

/// Tells the client, unless it has stopped reading; whether it was told.
async fn tell(events: &Sender<Event>, event: Event) -> bool {
    timeout(STALLED, events.send(event)).await.is_ok_and(|sent| sent.is_ok())
}

async fn answer(
    server: &Arc<Shared>,
    mut request: Request,
    body: Reserved,
    events: &Sender<Event>,
) -> Result<(), ApiError> {
    let mut seconds = Seconds::default();
    let model = server.model_for(&request.extension)?;

    let start = Instant::now();
    let _ = events.try_send(Event::Progress(Told::begun("queue")));
    let place = server.admission.enter().await?;
    seconds.queue = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let conversation = checked(&model, &request).await?;
    let mut looked = Vec::with_capacity(request.dialogue.visuals.len());
    for reference in std::mem::take(&mut request.dialogue.visuals) {
        looked.push(looking::look(server, &model, &reference, &request.video, events).await?);
    }
    // Videos in the body are files now.
    drop(body);
    seconds.encode = start.elapsed().as_secs_f64();

    let stream = begin(server, &model, &looked, conversation, &request, (place, events)).await?;
    let answer = write(stream, events).await?;
    (seconds.prepare, seconds.prefill, seconds.generate) =
        (answer.timings.prepare, answer.timings.prefill, answer.timings.generate);
    note(&server.metrics, &answer, &seconds, &looked);
    let report = report(&model, &looked, &answer, seconds, request.extension.frames, request.ignored)?;
    tell(events, Event::Ended(Box::new(Ended { answer, report }))).await;
    Ok(())
}

/// Pushes the prompt through the language model and begins the answer. Whatever happens to the request, its place and its memory
/// are held until that work has really ended.
async fn begin(
    server: &Arc<Shared>,
    model: &LongVu,
    looked: &[Looked],
    conversation: Conversation,
    request: &Request,
    (place, events): (Place, &Sender<Event>),
) -> Result<UnboundedReceiver<Piece>, ApiError> {
    let visuals: Vec<EncodedVideo> = looked.iter().map(|looked| looked.video().clone()).collect();
    let memory = room(server, model, &visuals, &conversation, request).await?;
    let (state, watched, config) =
        (Arc::clone(server), model.watched(watch(server, events)), request.generation.clone());
    let begun = tokio::task::spawn_blocking(move || {
        let visuals: Vec<&EncodedVideo> = visuals.iter().collect();
        let stream = watched.reply(&visuals, &conversation, &config)?;
        Ok(state.answering.begin(stream, Box::new((place, memory))))
    });
    begun.await.map_err(|_| ApiError::broke_down())?.map_err(|error: longvu::Error| ApiError::of(&error))
}

/// The conversation, checked before anything is looked at for it.
async fn checked(model: &LongVu, request: &Request) -> Result<Conversation, ApiError> {
    let (conversation, model) = (conversation(request), model.clone());
    // Long texts take the tokenizer a while.
    let checked = tokio::task::spawn_blocking(move || {
        let checked = model.check_question(&conversation);
        (conversation, checked)
    });
    let (conversation, checked) = checked.await.map_err(|_| ApiError::broke_down())?;
    match checked {
        Ok(()) => Ok(conversation),
        Err(error) => Err(refusal(&error, request)),
    }
}

/// The messages as the model's conversation.
fn conversation(request: &Request) -> Conversation {
    let mut conversation = Conversation::new(0);
    if let Some(system) = &request.dialogue.system {
        conversation = conversation.with_system(system);
    }
    for turn in &request.dialogue.turns {
        match turn.is_user {
            true => conversation.push_user_about(turn.visuals, &turn.text),
            false => conversation.push_assistant(&turn.text),
        };
    }
    conversation
}

/// Why a question is refused.
fn refusal(error: &longvu::Error, request: &Request) -> ApiError {
    match error {
        longvu::Error::PromptTooLong { .. } => {
            ApiError::too_large(text::chain(error)).param("messages").code("context_length_exceeded")
        }
        longvu::Error::EmptyQuestion => {
            let last = request.dialogue.turns.last().map(|turn| format!("{}.content", turn.param));
            ApiError::unprocessable("the question is empty").param(last.unwrap_or_else(|| "messages".into()))
        }
        error => ApiError::of(error).param("messages"),
    }
}

/// Memory for the answer, once there is.
async fn room(
    server: &Shared,
    model: &LongVu,
    visuals: &[EncodedVideo],
    conversation: &Conversation,
    request: &Request,
) -> Result<Reserved, ApiError> {
    let frames = visuals.iter().map(|video| video.frames().len()).sum();
    let largest = visuals
        .iter()
        .map(EncodedVideo::dimensions)
        .max_by_key(|(width, height)| u64::from(*width) * u64::from(*height));
    // No tokenizer makes more tokens of a text than it has bytes; the template has some of its own.
    let text = conversation.turns().iter().map(|turn| turn.content.len() + 16).sum::<usize>() + 64;
    let workload = Workload::default()
        .with_frames(frames)
        .with_size(largest.unwrap_or((1, 1)))
        .with_text_tokens(text)
        .with_max_new_tokens(request.generation.max_new_tokens);
    let plan = model.plan(workload, None);
    server.admission.reserve(&Forecast::of_answer(&plan)).await
}

/// Counts an answer and what it took.
fn note(metrics: &Metrics, answer: &Answer, seconds: &Seconds, looked: &[Looked]) {
    metrics.prompt_tokens.inc_by(answer.prompt_tokens as u64);
    metrics.completion_tokens.inc_by(answer.generated_ids.len() as u64);
    for looked in looked {
        metrics.encodings.get_or_create(&OriginLabels { origin: looked.origin().name() }).inc();
    }
    let Seconds { queue, encode, prepare, prefill, generate } = *seconds;
    for (step, seconds) in
        [("queue", queue), ("encode", encode), ("prepare", prepare), ("prefill", prefill), ("generate", generate)]
    {
        metrics.seconds.get_or_create(&StepLabels { step }).observe(seconds);
    }
}

/// Tells the client of the prompt, and stops for one that has gone.
fn watch(server: &Arc<Shared>, events: &Sender<Event>) -> Watch {
    let (client, stopping) = (events.clone(), server.stopping.clone());
    Watch::new(move |progress| {
        if progress.step != longvu::Step::Answer {
            let _ = client.try_send(Event::Progress(Told::of(progress)));
        }
        match client.is_closed() || stopping.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
}

/// Passes on the answer as it is written.
async fn write(mut pieces: UnboundedReceiver<Piece>, events: &Sender<Event>) -> Result<Answer, ApiError> {
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Text(text) => {
                if !tell(events, Event::Piece(text)).await {
                    return Err(ApiError::given_up());
                }
            }
            Piece::Ended(answer) => return Ok(*answer),
            Piece::Failed(error) => return Err(ApiError::of(&error)),
        }
    }
    Err(ApiError::broke_down())
}
