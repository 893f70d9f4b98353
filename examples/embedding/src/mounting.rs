//! longvu's server in an application that has routes of its own.

use std::{io, path::Path};

use axum::{Router, routing::get};
use longvu::LongVu;
use longvu_server::{ApiKey, Server, ServerConfig};
use tokio::{net::TcpListener, sync::oneshot};

/// The application: `/` is its own, and what is longvu's stands below `/longvu`, as `/longvu/v1/chat/completions`,
/// with the page at `/longvu` itself.
pub fn nested(server: &Server) -> Router {
    own().nest("/longvu", server.router())
}

/// The application with longvu's routes where OpenAI's clients look for them: `/v1/chat/completions`.
///
/// For a server without a [page](ServerConfig::page), since `/` has one owner.
pub fn merged(server: &Server) -> Router {
    own().merge(server.router())
}

fn own() -> Router {
    Router::new().route("/", get(|| async { "of the application" }))
}

/// A server for the model in a folder, which asks for a key.
pub fn server(model: &Path, key: &str) -> Result<Server, Box<dyn std::error::Error>> {
    let key = ApiKey::new(key).ok_or("a key has visible ASCII characters and no spaces")?;
    let config = ServerConfig::default().with_model_name("embedded").with_api_keys([key]);
    Ok(Server::new(LongVu::builder(model).load()?, config)?)
}

/// Serves the application until `stop` is ready, and then until what it is asked has been answered, or longvu's
/// [`grace`](ServerConfig::grace) is over.
pub async fn serve(
    listener: TcpListener,
    application: Router,
    server: Server,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let listening = axum::serve(listener, application).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let closing = async {
        stop.await;
        let _ = stopping.send(());
        server.close().await;
    };
    let (listened, ()) = tokio::join!(listening, closing);
    listened
}
