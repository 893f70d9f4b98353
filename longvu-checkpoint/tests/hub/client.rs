//! A process that fetches files.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Instant,
};

use longvu_checkpoint::{Checkpoint, Error, Repo, RepoOptions, TensorSource};
use longvu_core::{Step, Watch};

/// Fetches `LONGVU_TEST_FILES` of the repository `LONGVU_TEST_REPO`.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    let Ok(id) = std::env::var("LONGVU_TEST_REPO") else { return };
    let revision = std::env::var("LONGVU_TEST_REVISION").ok();
    let mut options = RepoOptions::default().with_revision(revision).with_watch(watch());
    if let Ok(most) = std::env::var("LONGVU_TEST_UNSTATED") {
        options.limits.unstated_download_bytes = most.parse().unwrap();
    }
    let repo = match Repo::find(&id, &options) {
        Ok(repo) => match std::env::var("LONGVU_TEST_FOLDER") {
            Ok(folder) => repo.subfolder(&folder),
            Err(_) => repo,
        },
        Err(error) => return println!("\nerror {error}"),
    };
    for name in std::env::var("LONGVU_TEST_FILES").unwrap().split(',') {
        if name == "weights" {
            match Checkpoint::open(&repo) {
                Ok(checkpoint) => println!("\nweights {} {}", checkpoint.names().len(), checkpoint.files().len()),
                Err(error) => println!("\nerror {error}"),
            }
            continue;
        }
        match repo.get(name) {
            Ok(path) => println!("\ngot {}", path.display()),
            Err(error) => {
                if let (Some(at), Error::Cancelled(_)) = (STOPPED.get(), &error) {
                    println!("\nstopped {}", at.elapsed().as_millis());
                }
                println!("\nerror {error}");
            }
        }
    }
}

/// When the watcher first said to stop.
static STOPPED: OnceLock<Instant> = OnceLock::new();

/// Prints progress, and stops a file after `LONGVU_TEST_STOP_BYTES`, or after `LONGVU_TEST_STOP_SECONDS`.
fn watch() -> Watch {
    let limit = |name| std::env::var(name).ok().map(|text: String| text.parse::<f64>().unwrap());
    let (bytes, seconds) = (limit("LONGVU_TEST_STOP_BYTES"), limit("LONGVU_TEST_STOP_SECONDS"));
    Watch::new(move |progress| {
        assert_eq!(progress.step, Step::Download);
        if let Some(total) = progress.total {
            println!("\nprogress {} {} {total}", progress.item, progress.done);
        }
        if bytes.is_some_and(|most| progress.done as f64 >= most)
            || seconds.is_some_and(|most| progress.seconds >= most)
        {
            STOPPED.get_or_init(Instant::now);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })
}

/// What a child printed.
#[derive(Debug)]
pub struct Outcome {
    pub got: Vec<PathBuf>,
    pub errors: Vec<String>,
    /// File, bytes so far, bytes in total.
    pub progress: Vec<(String, u64, u64)>,
    pub weights: Vec<String>,
    /// Milliseconds that a download went on for after it was told to stop.
    pub stopped: Vec<u64>,
}

/// One process to be.
pub struct Child(Command);

impl Child {
    /// Will fetch `files` of `repo`, with its cache under `home`.
    pub fn new(repo: &str, files: &str, home: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "client::child", "--ignored", "--nocapture"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HF_") || name.starts_with("HUGGING")) {
            command.env_remove(name);
        }
        for name in ["XDG_CACHE_HOME", "TRANSFORMERS_OFFLINE", "ALL_PROXY", "HTTP_PROXY", "http_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_HOME", home).env("LONGVU_TEST_REPO", repo).env("LONGVU_TEST_FILES", files);
        // A relative id must not meet a folder of that name.
        command.current_dir(home);
        Self(command)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    pub fn run(mut self) -> Outcome {
        let output = self.0.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{errors}");
        let lines = |tag: &str| text.lines().filter_map(|l| l.strip_prefix(tag)).map(str::to_owned).collect::<Vec<_>>();
        let progress = lines("progress ").into_iter().map(|line| {
            let [file, done, total] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            (file.to_owned(), done.parse().unwrap(), total.parse().unwrap())
        });
        Outcome {
            got: lines("got ").into_iter().map(PathBuf::from).collect(),
            errors: lines("error "),
            progress: progress.collect(),
            weights: lines("weights "),
            stopped: lines("stopped ").iter().map(|line| line.parse().unwrap()).collect(),
        }
    }
}
