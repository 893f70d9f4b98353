//! `longvu serve`: an OpenAI-compatible server, and a page to look through.

use std::{
    fs,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, builder::NonEmptyStringValueParser};
use longvu::{LongVu, MemoryPlan, Preset, Workload, plan::ItemKind};
use longvu_server::{ApiKey, Server, ServerConfig};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    flags::{MemoryArgs, ModelArgs, size, usage},
    output,
    steps::{
        memory,
        model::{self, Loaded},
    },
};

/// Serve a model to OpenAI clients and browsers.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen at; one that others can reach needs a key
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", value_parser = address, help_heading = "Network")]
    pub host: IpAddr,

    /// Port to listen at; 0 takes a free one
    #[arg(long, default_value_t = 8000, help_heading = "Network")]
    pub port: u16,

    /// File with the keys that clients must show one of, a key a line
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub api_key_file: Option<PathBuf>,

    /// Name under which a server without keys may be reached, beside localhost
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub allow_host: Vec<String>,

    /// Host of which URLs are fetched, such as example.com, *.example.com or example.com:8443
    #[arg(long, value_name = "HOST", num_args = 1.., help_heading = "Network")]
    pub allow_url: Vec<String>,

    /// Folder of which requests may name files
    #[arg(long, value_name = "DIR", num_args = 1.., help_heading = "Network")]
    pub allow_folder: Vec<PathBuf>,

    /// Serve numbers for Prometheus at /metrics
    #[arg(long, help_heading = "Network")]
    pub metrics: bool,

    /// Serve no page at /
    #[arg(long, help_heading = "Network")]
    pub no_page: bool,

    /// Seconds that running requests get when the server is told to stop
    #[arg(long, default_value_t = 30, value_name = "SECONDS", help_heading = "Network")]
    pub grace: u64,

    /// Largest upload
    #[arg(long, default_value = "512MiB", value_name = "SIZE", value_parser = size::memory, help_heading = "Limits")]
    pub max_upload: u64,

    /// Largest JSON body, videos in it included
    #[arg(long, default_value = "64MiB", value_name = "SIZE", value_parser = size::memory, help_heading = "Limits")]
    pub max_body: u64,

    /// Most frames sampled of a video
    #[arg(long, default_value = "3600", value_name = "N", help_heading = "Limits")]
    pub max_frames: NonZeroUsize,

    /// Requests that are worked at side by side
    #[arg(long, default_value = "4", value_name = "N", help_heading = "Limits")]
    pub parallel: NonZeroUsize,

    /// Requests that may wait; more are refused
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = "Limits")]
    pub queue: usize,

    /// Encoded videos kept, in memory and in --cache-dir; 0 keeps none
    #[arg(long, default_value = "2GiB", value_name = "SIZE", value_parser = cache, help_heading = "Limits")]
    pub cache: u64,

    /// Folder in which encoded videos outlive the server
    #[arg(long, value_name = "DIR", help_heading = "Limits")]
    pub cache_dir: Option<PathBuf>,

    /// The model's name for clients [default: the last part of --model's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Model")]
    pub served_model_name: Option<String>,

    /// Published settings of rate and thresholds: package, paper, videomme, mlvu, egoschema or mvbench
    #[arg(long, default_value_t = Preset::Package, help_heading = "Model")]
    pub preset: Preset,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Nothing but warnings and errors
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, an address that cannot be listened at, and whatever loading comes upon.
pub fn run(args: &ServeArgs) -> Result<()> {
    let mut config = args.config()?;
    if config.api_keys.is_empty() && !args.host.is_loopback() {
        let host = args.host;
        let message = format!("--host {host} can be reached from other machines: name a key with --api-key-file");
        return Err(usage(&message).into());
    }
    let runtime = Runtime::new().context("no threads could be started")?;
    let address = SocketAddr::new(args.host, args.port);
    // Before the model, which takes its time, so that a port in use is told at once.
    let listener =
        runtime.block_on(TcpListener::bind(address)).with_context(|| format!("cannot listen at {address}"))?;
    let Loaded { model, forecast, .. } = args.load()?;
    config.memory = args.memory.device_memory.map(|all| all.saturating_sub(held(&forecast)));
    runtime.block_on(serve(model, config, listener, args.quiet))
}

/// Reads an address, or the name of one of this machine's, such as `localhost`.
fn address(text: &str) -> Result<IpAddr, String> {
    let named = || (text, 0).to_socket_addrs().ok()?.next().map(|address| address.ip());
    text.parse()
        .ok()
        .or_else(named)
        .ok_or_else(|| "write an address such as 127.0.0.1, 0.0.0.0 or localhost".to_owned())
}

/// Reads a size of memory, or 0.
fn cache(text: &str) -> Result<u64, String> {
    if text.trim() == "0" { Ok(0) } else { size::memory(text) }
}

/// Bytes that are taken before the first request.
fn held(forecast: &MemoryPlan) -> u64 {
    let program = forecast.stages.iter().map(|stage| stage.bytes(ItemKind::Program)).max();
    forecast.weights.total().saturating_add(program.unwrap_or_default())
}

/// The exit code of a server that was told twice to stop. The next one removes what it left.
const FAILED: i32 = 1;

async fn serve(model: LongVu, config: ServerConfig, listener: TcpListener, quiet: bool) -> Result<()> {
    let (name, has_page) = (config.model_name.clone(), config.page);
    let stop = stopped()?;
    let server = Server::new(model, config)?;
    let address = listener.local_addr().context("the address is not known")?;
    if !quiet {
        let page = if has_page { "; the page is there, too" } else { "" };
        output::note(&format!("serving {name} at http://{address}{page}"));
    }
    Ok(server.serve(listener, stop).await?)
}

/// Ready when the program is told to stop; a second time ends it at once.
#[cfg(unix)]
fn stopped() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        let mut told = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        told().await;
        tokio::spawn(async move {
            told().await;
            std::process::exit(FAILED);
        });
    })
}

#[cfg(not(unix))]
fn stopped() -> Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

impl ServeArgs {
    fn load(&self) -> Result<Loaded> {
        let builder = model::builder(&self.model, self.preset, self.quiet)?;
        let workload = Workload::default();
        model::load(memory::settle_for(builder, &self.memory, &self.model, workload)?, self.quiet)
    }

    fn config(&self) -> Result<ServerConfig> {
        let keys = self.api_key_file.as_deref().map(keys).transpose()?.unwrap_or_default();
        let config = ServerConfig::default()
            .with_model_name(self.name())
            .with_miniature(self.model.place.model.is_none())
            .with_preset(self.preset)
            .with_api_keys(keys)
            .with_max_upload(self.max_upload)
            .with_max_body(self.max_body)
            .with_max_frames(self.max_frames.get())
            .with_parallel(self.parallel.get())
            .with_queue(self.queue)
            .with_cache(self.cache)
            .with_allow_urls(&self.allow_url)
            .with_allow_folders(&self.allow_folder)
            .with_allow_hosts(&self.allow_host)
            .with_metrics(self.metrics)
            .with_page(!self.no_page)
            .with_grace(Duration::from_secs(self.grace));
        Ok(match &self.cache_dir {
            Some(folder) => config.with_cache_dir(folder),
            None => config,
        })
    }

    fn name(&self) -> String {
        let model = self.model.place.model.as_deref();
        let last = model.and_then(|model| Path::new(model).file_name()).map(|name| name.to_string_lossy().into_owned());
        self.served_model_name
            .clone()
            .or(last)
            .unwrap_or_else(|| if model.is_none() { "miniature" } else { "longvu" }.into())
    }
}

/// The keys in a file: a line each, without blank lines and those that begin with `#`.
fn keys(path: &Path) -> Result<Vec<ApiKey>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the keys in {}", path.display()))?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut keys = Vec::new();
    for (index, line) in lines {
        let advice = "a key has visible ASCII characters and no spaces";
        let key = ApiKey::new(line).with_context(|| format!("{}, line {}: {advice}", path.display(), index + 1))?;
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(
            usage(&format!("--api-key-file {} has no key in it: write one, a line each", path.display())).into()
        );
    }
    Ok(keys)
}
