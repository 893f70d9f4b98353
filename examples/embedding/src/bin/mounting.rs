//! The application as a program: `mounting MODEL KEY [PORT]`.

use std::path::Path;

use embedding::mounting::{nested, serve, server};
use tokio::{net::TcpListener, signal::ctrl_c};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First of all: videos are decoded by this program in processes of their own, and this is where those leave it.
    longvu_server::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, key, rest @ ..] = args.as_slice() else {
        return Err("usage: mounting MODEL KEY [PORT]".into());
    };
    let port: u16 = rest.first().map_or(Ok(3000), |port| port.parse())?;
    run(Path::new(model), key, port)
}

#[tokio::main]
async fn run(model: &Path, key: &str, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let server = server(model, key)?;
    println!("listening at {}", listener.local_addr()?);
    let stop = async {
        let _ = ctrl_c().await;
    };
    serve(listener, nested(&server), server, stop).await?;
    Ok(())
}
