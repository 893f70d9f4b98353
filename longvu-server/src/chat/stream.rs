//! An answer as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{self, KeepAlive},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio_stream::wrappers::ReceiverStream;

use super::event::Event;
use crate::{
    api_error::{ApiError, ErrorBody},
    protocol::response::{Delta, Head, Usage, finish_reason},
};

/// Time between comments while there is nothing to say.
const PING: Duration = Duration::from_secs(10);

/// The protocol's last word.
const DONE: &str = "[DONE]";

/// Answers with what is told, `first` before the rest.
pub(crate) fn response(head: Head, include_usage: bool, first: Option<Event>, told: Receiver<Event>) -> Response {
    let events = stream::iter(first).chain(ReceiverStream::new(told));
    let sse = Sse::new(pieces(head, include_usage, events)).keep_alive(KeepAlive::new().interval(PING).text("ping"));
    // Proxies that collect an answer before they pass it on would make a stream of it no more.
    ([("X-Accel-Buffering", "no"), ("Cache-Control", "no-store")], sse).into_response()
}

/// Events of the protocol: the role, the pieces, the end with its report, the numbers of tokens, `[DONE]`.
fn pieces(
    head: Head,
    include_usage: bool,
    events: impl Stream<Item = Event>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let begin = head.chunk(Delta { role: Some("assistant"), content: Some(String::new()) }, None, include_usage);
    let begin = stream::iter([event(&begin)]);
    // Without an end something broke: a client must not take half an answer for a whole one.
    let ended = |told: &Event| matches!(told, Event::Ended(_) | Event::Failed(_));
    let mut over = false;
    let events = events.map(Some).chain(stream::iter([None])).flat_map(move |told| {
        let events = match told {
            _ if over => Vec::new(),
            Some(told) => {
                over = ended(&told);
                events_of(&head, include_usage, told)
            }
            None => vec![failure(&ApiError::broke_down()), done()],
        };
        stream::iter(events)
    });
    begin.chain(events).map(Ok)
}

fn events_of(head: &Head, include_usage: bool, told: Event) -> Vec<sse::Event> {
    match told {
        Event::Progress(progress) => match serde_json::to_string(&progress) {
            Ok(text) => vec![sse::Event::default().comment(format!("longvu {text}"))],
            Err(_) => Vec::new(),
        },
        Event::Piece(text) => {
            let delta = Delta { role: None, content: Some(text) };
            vec![event(&head.chunk(delta, None, include_usage))]
        }
        Event::Ended(ended) => {
            let reason = finish_reason(ended.answer.finish_reason);
            let mut last = head.chunk(Delta::default(), Some(reason), include_usage);
            last.longvu = Some(ended.report);
            let mut events = vec![event(&last)];
            if include_usage {
                events.push(event(&head.usage(Usage::of(&ended.answer))));
            }
            events.push(done());
            events
        }
        Event::Failed(error) => vec![failure(&error), done()],
    }
}

fn event(data: &impl Serialize) -> sse::Event {
    match serde_json::to_string(data) {
        Ok(text) => sse::Event::default().data(text),
        Err(error) => failure(&ApiError::internal(&error)),
    }
}

fn failure(error: &ApiError) -> sse::Event {
    let text = serde_json::to_string(&ErrorBody { error: error.object() }).unwrap_or_default();
    sse::Event::default().data(text)
}

fn done() -> sse::Event {
    sse::Event::default().data(DONE)
}
