//! Running the program, and making models and videos for it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The golden folder.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

pub fn model() -> PathBuf {
    golden().join("checkpoint/longvu_qwen")
}

pub fn video(name: &str) -> PathBuf {
    golden().join("videos").join(name)
}

/// The program with a clean environment and no network, however much memory other programs have taken.
pub fn longvu() -> Command {
    let mut command = longvu_that_checks_memory();
    command.env("LONGVU_NO_MEMORY_CHECK", "1");
    command
}

/// The same, refusing what does not fit in memory.
pub fn longvu_that_checks_memory() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longvu"));
    command.env_remove("LONGVU_MODEL").env_remove("RUST_LOG").env("HF_HUB_OFFLINE", "1").stdin(Stdio::null());
    command
}

/// `longvu ask FILE QUESTION` on the small model, with a short answer.
pub fn ask(file: impl AsRef<Path>, question: &str) -> Command {
    let mut command = longvu();
    command.arg("ask").arg(file.as_ref()).arg(question).arg("--model").arg(model()).args(["--max-new-tokens", "4"]);
    command
}

/// What a run left: its exit code and both streams.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The stdout of a run that went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// The stdout as JSON, of a run that went well.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Checks that the run failed with `code`, an error message with all of `parts`, no panic, and no answer.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("broke down"), "{}", self.stderr);
        assert_eq!(self.stdout, "");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().expect("the program was killed by a signal"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Run {
    command.output().unwrap().into()
}

/// Runs to the end with `input` piped in.
pub fn run_with(command: &mut Command, input: &[u8]) -> Run {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

/// Makes a media file with the `ffmpeg` program.
pub fn ffmpeg(arguments: &str, out: &Path) {
    let arguments = arguments.split_whitespace();
    let made = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(out).output();
    let made = made.unwrap_or_else(|e| panic!("these tests make media with the `ffmpeg` program; install it: {e}"));
    assert!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
}

/// A folder with a copy of the small model and links to its towers.
pub struct ModelCopy {
    pub folder: tempfile::TempDir,
}

impl ModelCopy {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = Self { folder };
        fs::create_dir(copy.path()).unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(model().join(name), copy.path().join(name)).unwrap();
        }
        for tower in ["siglip", "dinov2"] {
            let there = copy.folder.path().join(tower);
            fs::create_dir(&there).unwrap();
            for file in fs::read_dir(golden().join("checkpoint").join(tower)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), there.join(file.file_name())).unwrap();
            }
        }
        copy
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Changes the model's `config.json`.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.file("config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }

    /// Asks the copy about nothing, which still loads all of it.
    pub fn ask(&self) -> Run {
        let mut command = longvu();
        command.args(["ask", "--no-video", "Hello?", "--max-new-tokens", "2", "--model"]).arg(self.path());
        run(&mut command)
    }
}

/// A video with a hole in its middle, in a folder that lives as long as it.
pub fn damaged_video() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.ts");
    let mut bytes = fs::read(video("mpeg2.ts")).unwrap();
    let third = bytes.len() / 3;
    bytes[third..third + 20_000].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}
