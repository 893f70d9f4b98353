//! Fetching one file into the cache, from where an earlier attempt stopped.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::{
    Body,
    http::{Response, StatusCode, header},
};

use super::{
    super::Download,
    cache::Cache,
    client::{Client, Failure, Metadata},
};

/// Attempts in a row that may bring nothing before the download fails.
const ATTEMPTS: u32 = 5;

/// Downloads `name` of repository `id` at `commit`; returns its place in the cache.
pub fn fetch(
    client: &Client,
    cache: &Cache,
    id: &str,
    commit: &str,
    name: &str,
    progress: Option<&Download>,
) -> Result<PathBuf, Failure> {
    if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(Failure::Answer(format!("`{name}` is no file name")));
    }
    let url = client.url(id, commit, name);
    let metadata = retry(|| client.metadata(&url))?;
    let blob = cache.blob(&metadata.etag);
    let _lock = cache.lock(&metadata.etag).map_err(|e| Failure::Disk(blob.clone(), e))?;
    // Another file, or another process while this one waited, may have brought the same content.
    let complete = fs::metadata(&blob).is_ok_and(|found| metadata.size.is_none_or(|size| found.len() == size));
    if !complete {
        let partial = cache.partial(&metadata.etag);
        let transfer = Transfer { client, url: &url, name, partial: &partial, progress };
        transfer.run(&metadata)?;
        fs::rename(&partial, &blob).map_err(|e| Failure::Disk(blob.clone(), e))?;
    }
    cache.publish(&metadata.etag, commit, name).map_err(|e| Failure::Disk(blob, e))
}

/// Tries `request` again while its failures may pass.
pub fn retry<T>(mut request: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut failed = 0;
    loop {
        match request() {
            Err(failure) if failure.is_transient() && failed + 1 < ATTEMPTS => {
                wait(failed, &failure);
                failed += 1;
            }
            other => return other,
        }
    }
}

fn wait(failed: u32, failure: &Failure) {
    tracing::warn!(%failure, "trying again");
    std::thread::sleep(Duration::from_millis(200 << failed));
}

struct Transfer<'a> {
    client: &'a Client,
    url: &'a str,
    name: &'a str,
    partial: &'a Path,
    progress: Option<&'a Download>,
}

impl Transfer<'_> {
    /// Brings the partial file to its full size.
    fn run(&self, metadata: &Metadata) -> Result<(), Failure> {
        let mut size = metadata.size;
        let mut failed = 0;
        loop {
            let start = self.length();
            if size == Some(start) && self.partial.exists() {
                self.report(start, start);
                return Ok(());
            }
            match self.attempt(start, &mut size) {
                // Without a stated size the end of the answer is the end of the file.
                Ok(()) if size.is_none() => return Ok(()),
                Ok(()) => {}
                Err(failure) if !failure.is_transient() => return Err(failure),
                Err(failure) => {
                    // An attempt that brought some bytes is no failure in a row.
                    failed = if self.length() > start { 0 } else { failed + 1 };
                    if failed == ATTEMPTS {
                        return Err(failure);
                    }
                    wait(failed, &failure);
                }
            }
        }
    }

    fn length(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |found| found.len())
    }

    /// Requests what is missing after `start` bytes and appends it.
    fn attempt(&self, start: u64, size: &mut Option<u64>) -> Result<(), Failure> {
        // More than the whole is of no use.
        let start = if size.is_some_and(|size| start > size) { 0 } else { start };
        let response = match self.client.read_from(self.url, start) {
            // The server holds less than what is here.
            Err(failure @ Failure::Status { status: 416, .. }) => {
                self.open(0)?;
                return Err(failure);
            }
            other => other?,
        };
        let start = if response.status() == StatusCode::PARTIAL_CONTENT { start } else { 0 };
        let total = stated_size(&response, start, self.url)?;
        if let (Some(expected), Some(total)) = (*size, total)
            && expected != total
        {
            let reason = format!("{} has {total} bytes where the Hub states {expected}", self.url);
            return Err(Failure::Answer(reason));
        }
        *size = size.or(total);
        let mut file = self.open(start)?;
        self.copy(response, &mut file, start, *size)
    }

    /// The partial file, cut to `length` and ready to be appended to.
    fn open(&self, length: u64) -> Result<File, Failure> {
        let disk = |e| Failure::Disk(self.partial.to_owned(), e);
        let file = OpenOptions::new().append(true).create(true).open(self.partial).map_err(disk)?;
        file.set_len(length).map_err(disk)?;
        Ok(file)
    }

    fn copy(&self, response: Response<Body>, file: &mut File, start: u64, size: Option<u64>) -> Result<(), Failure> {
        let cut = |done: u64, reason: String| {
            let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
            Failure::Transfer(format!("{} was cut off after {done}{of} bytes ({reason})", self.name))
        };
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        let mut done = start;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) if size.is_some_and(|size| done < size) => return Err(cut(done, "end of answer".into())),
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(cut(done, error.to_string())),
            };
            done += read as u64;
            if size.is_some_and(|size| done > size) {
                self.open(0)?;
                return Err(Failure::Answer(format!("{} is longer than the Hub states", self.url)));
            }
            file.write_all(&buffer[..read]).map_err(|e| Failure::Disk(self.partial.to_owned(), e))?;
            self.report(done, size.unwrap_or(done));
        }
    }

    fn report(&self, done: u64, total: u64) {
        if let Some(progress) = self.progress {
            progress(self.name, done, total);
        }
    }
}

/// The whole file's size, from the headers of an answer that begins at `start`.
fn stated_size(response: &Response<Body>, start: u64, url: &str) -> Result<Option<u64>, Failure> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()));
    }
    let range = text(header::CONTENT_RANGE).unwrap_or_default();
    let parsed = range.strip_prefix("bytes ").and_then(|rest| rest.split_once('/'));
    let Some((_, total)) = parsed.filter(|(span, _)| span.split('-').next() == Some(start.to_string().as_str())) else {
        return Err(Failure::Answer(format!("{url} was asked for bytes from {start} and gave `{range}`")));
    };
    Ok(total.parse().ok())
}
