//! Listening.

use std::{fmt, future::Future, io::ErrorKind, sync::Arc, time::Duration};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use longvu::LongVu;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{Error, ServerConfig, auth, router, state::Shared};

/// Connections at once.
const CONNECTIONS: usize = 1024;

/// Time in which a client takes something of what it is sent.
const UNREAD: Duration = Duration::from_secs(60);

/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(15);

/// Time for the last words to clients that were cut off.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server: a router to mount into an application, or to [serve](Server::serve) by itself.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Server {
    /// A server for a loaded model.
    ///
    /// # Errors
    /// Folders that cannot be made, hosts and folders that make no sense, and [`Error::Decode`] where `main` does not
    /// begin with [`init`](crate::init) and videos are to be decoded in processes of their own.
    pub fn new(model: LongVu, config: ServerConfig) -> Result<Self, Error> {
        Ok(Self { shared: Shared::new(model, config)? })
    }

    /// The routes, to be merged into an application's own or nested below a path, with keys asked for where there are any.
    ///
    /// Whoever mounts them listens, and decides who may reach it. [`Server::close`] ends what runs.
    pub fn router(&self) -> Router {
        // What is not among them is the application's to answer, and needs no key of this server's.
        router::guarded(router::routes(&self.shared), &self.shared).reset_fallback()
    }

    /// Refuses further requests, gives those that run [`ServerConfig::grace`], and then ends them and removes all uploads.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let idle = async {
            while self.shared.is_busy() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(self.shared.config.grace, idle).await;
        self.shared.stopping.cancel();
        self.shared.admission.close();
        let _ = timeout(FAREWELL, self.shared.encodings.settled()).await;
        self.shared.media.close();
    }

    /// Serves on `listener` until `shutdown` is ready, and then until running requests have ended or their time is over.
    ///
    /// # Errors
    /// [`Error::NoKey`] for an address that others can reach, without a key.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let address = listener.local_addr().map_err(Error::Listen)?;
        let config = &self.shared.config;
        let mut routes = router::routes(&self.shared).fallback(router::not_found);
        if config.api_keys.is_empty() {
            if !address.ip().is_loopback() {
                return Err(Error::NoKey { address: address.ip() });
            }
            let names = config.allow_hosts.clone().into();
            routes = routes.layer(middleware::from_fn_with_state(names, auth::check_host));
        }
        let app = router::guarded(routes, &self.shared);
        let connections = GracefulShutdown::new();
        let (places, over) = (Arc::new(Semaphore::new(CONNECTIONS)), CancellationToken::new());
        let mut shutdown = std::pin::pin!(shutdown);
        tracing::debug!(%address, "listening");
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = &mut shutdown => break,
            };
            let Some((stream, place)) = accepted else { continue };
            // HTTP/2 without TLS is what nobody speaks; to tell it apart takes a wait that has no limit.
            let mut builder = Builder::new(TokioExecutor::new()).http1_only();
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
            let mut stream = Box::pin(TimeoutStream::new(stream));
            stream.as_mut().set_write_timeout_pinned(Some(UNREAD));
            let service = TowerToHyperService::new(app.clone());
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = connections.watch(connection);
            let over = over.clone();
            tokio::spawn(async move {
                tokio::select! {
                    // A client that breaks the connection off is no fault of the server's.
                    _ = connection => {}
                    () = over.cancelled() => {}
                }
                drop(place);
            });
        }
        drop(listener);
        tracing::info!("stopping");
        // Idle connections go at once, others with their last answer.
        let ended = tokio::spawn(connections.shutdown());
        self.close().await;
        // What has been cut off is still told so.
        let _ = timeout(FAREWELL, ended).await;
        over.cancel();
        Ok(())
    }
}

/// The next connection, once there is a place for it; `None` for one that failed.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            // Connections that broke off at once pass; too many open files take a while.
            if !matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_secs(1)).await;
            }
            None
        }
    }
}
