//! URLs of allowed hosts, fetched from the public internet alone.
//!
//! A name is looked up when a connection is made, every address of it is checked, and the connection goes to one of those. A
//! redirect is a new URL, which is checked like the first.

use std::{
    error::Error as StdError,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::http::{StatusCode, header};
use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use thiserror::Error;
use url::{Host, Url};

use super::{
    config::{MediaConfig, SetupError},
    hosts::Hosts,
    network::Network,
    store::{self, Blob, Incoming},
};
use crate::api_error::ApiError;

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Fetches URLs of the hosts that are allowed.
#[derive(Debug)]
pub(super) struct Fetcher {
    hosts: Hosts,
    client: Client,
    network: Arc<dyn Network>,
    time: Duration,
}

/// Gives a connection the addresses of its host, where all of them may be reached.
#[derive(Debug)]
struct Checked(Arc<dyn Network>);

#[derive(Debug, Error)]
#[error("an address that is not of the public internet")]
struct NotPublic;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.0.clone();
        Box::pin(async move {
            let addresses = network.lookup(name.as_str()).await?;
            if !addresses.iter().all(|address| network.may_reach(*address)) {
                return Err(NotPublic.into());
            }
            // Without a port, which is the URL's.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

impl Fetcher {
    pub(super) fn new(config: &MediaConfig) -> Result<Self, SetupError> {
        let client = Client::builder()
            .dns_resolver(Checked(config.network.clone()))
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            // Content is stored as it comes, so that its limit is what is received.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .pool_max_idle_per_host(0)
            .connect_timeout(config.idle_time)
            .read_timeout(config.idle_time)
            .user_agent(concat!("longvu-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(SetupError::Fetch)?;
        Ok(Self { hosts: Hosts::new(&config.hosts)?, client, network: config.network.clone(), time: config.url_time })
    }

    pub(super) fn is_off(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Fetches a URL, and says what its content may be called.
    pub(super) async fn fetch(&self, url: &str, incoming: Incoming) -> Result<(String, Arc<Blob>), ApiError> {
        let url = Url::parse(url).map_err(|error| ApiError::bad_request(format!("the URL cannot be read: {error}")))?;
        let name = name(&url);
        let blob = tokio::time::timeout(self.time, self.follow(url, incoming)).await.map_err(|_| slow())??;
        Ok((name, blob))
    }

    async fn follow(&self, mut url: Url, incoming: Incoming) -> Result<Arc<Blob>, ApiError> {
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let response = self
                .client
                .get(url.clone())
                .header(header::ACCEPT_ENCODING, "identity")
                .send()
                .await
                .map_err(broken)?;
            match next(&url, &response)? {
                Some(next) => url = next,
                None => return receive(response, incoming).await,
            }
        }
        Err(failed(format!("the URL leads on more than {REDIRECTS} times")))
    }

    /// Whether a URL may be asked for. The addresses of a name are checked as they are looked up.
    fn check(&self, url: &Url) -> Result<(), ApiError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("the URL leads to one that is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("the URL has a user name or a password, which is not sent"));
        }
        if !self.hosts.allow(url) {
            return Err(refused(
                "the URL's host, or its port, or one that it leads to, is not among those that this server allows",
            ));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address),
            Some(Host::Ipv6(address)) => IpAddr::from(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.network.may_reach(address) { Ok(()) } else { Err(not_public()) }
    }
}

/// Where a response leads to, if it does.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, ApiError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok());
    next.map(Some).ok_or_else(|| failed("the URL leads on to one that cannot be read"))
}

async fn receive(mut response: Response, mut incoming: Incoming) -> Result<Arc<Blob>, ApiError> {
    if response.status() != StatusCode::OK {
        return Err(failed(format!("the URL's server answered {}", response.status())));
    }
    if response.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(failed("the URL's server sent compressed content, which was not asked for"));
    }
    if response.content_length().is_some_and(|length| length > incoming.limit()) {
        return Err(store::too_large(incoming.limit()));
    }
    while let Some(bytes) = response.chunk().await.map_err(broken)? {
        incoming.push(&bytes).await?;
    }
    incoming.finish().await
}

/// The last part of a URL's path, else its host.
fn name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).filter(|name| !name.is_empty());
    last.or(url.host_str()).unwrap_or("URL").chars().take(255).collect()
}

/// What a client is told of an error of the connection: neither addresses nor what the URL led to.
fn broken(error: reqwest::Error) -> ApiError {
    let mut source: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(error) = source {
        if error.is::<NotPublic>() {
            return not_public();
        }
        source = error.source();
    }
    if error.is_timeout() {
        slow()
    } else if error.is_connect() {
        failed("the URL's host cannot be found or reached")
    } else {
        failed("the URL's server broke off, or sent what is no HTTP")
    }
}

fn slow() -> ApiError {
    failed("the URL's content did not come in time")
}

fn not_public() -> ApiError {
    refused("the URL's host has an address that is not of the public internet")
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::bad_request(message).code("url_not_allowed")
}

fn failed(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::bad_request(message).code("url_failed")
}

#[cfg(test)]
mod tests;
