//! What the names of hosts mean, and which addresses may be reached.

use std::{fmt::Debug, future::Future, io, net::IpAddr, pin::Pin};

use super::addresses;

/// The addresses of a name.
pub(crate) type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// What names mean, and which addresses may be reached: replaced in tests, which have no internet.
pub(crate) trait Network: Debug + Send + Sync {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a>;

    fn may_reach(&self, address: IpAddr) -> bool {
        addresses::is_public(address)
    }
}

/// The machine's own resolver.
#[derive(Debug)]
pub(crate) struct System;

impl Network for System {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}
