//! Asks a running server questions from many clients at once, and writes what came of it as a table in Markdown.
//!
//! `longvu serve --metrics --quiet & cargo run --example load -- --video clip.mp4 --pid $!`; `make load-test` does both.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod clients;
mod memory;
mod table;

use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use reqwest::{Client, Url};
use tokio::sync::watch;
use url::Host;

use crate::{
    clients::{Outcome, Server},
    memory::Memory,
    table::Row,
};

/// Requests one after the other, before and after.
const SINGLE: usize = 20;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Ask a server of this machine from many clients at once.
#[derive(Debug, Parser)]
pub struct Args {
    /// The server, of this machine and without a key
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: Url,

    /// The video that is asked about
    #[arg(long)]
    video: PathBuf,

    /// Clients at once, one number after the other
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    clients: Vec<usize>,

    /// How long each number of clients asks
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,

    /// Every so many requests one looks at a part of the video that nobody has asked about
    #[arg(long, default_value_t = 8)]
    fresh: usize,

    /// Frames looked at of each second
    #[arg(long, default_value_t = 4.0)]
    fps: f64,

    /// What is asked, one after the other
    #[arg(long = "question", default_values = ["Is there a square in the video?", "Describe everything that happens."])]
    questions: Vec<String>,

    /// The server's process, whose memory is measured
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing failed.
async fn run(args: &Args) -> Result<bool> {
    let loopback = match args.url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !loopback {
        return Err(format!("{} is not this machine: load tests stay at home", args.url).into());
    }
    let server = Server::new(Client::builder().no_proxy().build()?, args).await?;
    let before = alone(&server).await?;
    println!("{}", table::HEAD);
    let mut failures = Vec::new();
    for clients in &args.clients {
        let row = row(&server, *clients, args).await?;
        println!("{row}");
        failures.extend(row.failures().map(str::to_owned));
    }
    let after = alone(&server).await?;
    println!(
        "\nOne request alone, median of {SINGLE}: {:.0} ms before, {:.0} ms after.",
        millis(before),
        millis(after)
    );
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    Ok(failures.is_empty())
}

/// So many clients, each asking again as soon as it is answered.
async fn row(server: &Server, clients: usize, args: &Args) -> Result<Row> {
    let (stop, stopped) = watch::channel(false);
    let memory = tokio::spawn(Memory::watched(server.clone(), args.pid, stopped));
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.seconds);
    let tasks: Vec<_> = (0..clients).map(|client| tokio::spawn(server.clone().ask_until(end, client))).collect();
    let mut outcome = Outcome::default();
    for task in tasks {
        outcome.add(task.await?);
    }
    let seconds = start.elapsed().as_secs_f64();
    stop.send(true)?;
    Ok(Row { clients, seconds, outcome, memory: memory.await?? })
}

/// The median time of a question whose video is known, with nobody else asking.
async fn alone(server: &Server) -> Result<Duration> {
    let mut times = Vec::with_capacity(SINGLE);
    for number in 0..SINGLE {
        let start = Instant::now();
        server.ask(number, None).await?.map_err(|refusal| format!("refused: {refusal:?}"))?;
        times.push(start.elapsed());
    }
    Ok(table::quantile(&mut times, 0.5))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
