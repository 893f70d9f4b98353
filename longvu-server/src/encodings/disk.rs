//! Encodings in a folder: `KEY.longvu` and `KEY.pictures` each, up to so many bytes.
//!
//! Files appear whole, the pictures first, so that an encoding that is there has them. Several servers may use one folder:
//! what one removes, another misses and encodes again. Files of other names are never touched.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use longvu::{
    ErrorKind, LongVu,
    checkpoint::{atomic::FileDraft, files::is_regular},
    text,
};

use crate::encodings::{entry::Entry, key::Key, pictures::Pictures};

const VIDEO: &str = "longvu";
const PICTURES: &str = "pictures";

/// Pictures without an encoding that are older were left by a writer that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// A folder of encodings.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    limit: u64,
    /// One encoding at a time is written.
    writing: Mutex<()>,
}

/// The files of one key.
#[derive(Debug)]
struct Files {
    bytes: u64,
    used: SystemTime,
    whole: bool,
}

/// Why a kept encoding cannot be used.
struct Fault {
    reason: String,
    /// Whether it never will be.
    damaged: bool,
}

impl Disk {
    /// Makes `folder` if it is not there, and removes what killed writers left and what is over the limit of `limit` bytes.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // A draft that begins removes those of writers that are no more.
        drop(FileDraft::new(&folder.join(".longvu-cache"))?);
        let disk = Self { folder: folder.to_owned(), limit, writing: Mutex::default() };
        let now = SystemTime::now();
        let old = |files: &Files| now.duration_since(files.used).is_ok_and(|age| age > LEFT_BEHIND);
        for (key, _) in disk.list().iter().filter(|(_, files)| !files.whole && old(files)) {
            disk.remove(key);
        }
        disk.shrink(limit);
        Ok(disk)
    }

    /// What is kept under `key`, which thereby was used. What cannot be read is removed, and missing.
    pub fn get(&self, key: &Key, model: &LongVu) -> Option<Entry> {
        if !is_regular(&self.path(key, VIDEO)).unwrap_or(true) {
            return None;
        }
        match self.read(key, model) {
            Ok(entry) => {
                self.touch(key);
                Some(entry)
            }
            Err(Fault { reason, damaged }) => {
                tracing::warn!(%key, %reason, "an encoding in the cache cannot be used; the video is encoded again");
                if damaged {
                    self.remove(key);
                }
                None
            }
        }
    }

    fn read(&self, key: &Key, model: &LongVu) -> Result<Entry, Fault> {
        let video = model.load_encoded(self.path(key, VIDEO)).map_err(|error| Fault {
            reason: text::chain(&error),
            damaged: matches!(error.kind(), ErrorKind::BadInput | ErrorKind::DoesNotFit),
        })?;
        let pictures = Pictures::open(key, &self.path(key, PICTURES)).map_err(|error| Fault {
            reason: format!("its file of pictures: {error}"),
            damaged: matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound),
        })?;
        let other = || Fault { reason: "it is of something else than its name says".into(), damaged: true };
        Entry::of_stored(key, video, pictures).ok_or_else(other)
    }

    /// The pictures kept under `key`.
    pub fn pictures(&self, key: &Key) -> Option<Pictures> {
        Pictures::open(key, &self.path(key, PICTURES)).ok()
    }

    /// Keeps `entry`, and removes for it what was used longest ago. Failing to is told in the log.
    pub fn put(&self, key: &Key, entry: &Entry) {
        let bytes = entry.memory();
        if bytes >= self.limit {
            return;
        }
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = [VIDEO, PICTURES].iter().all(|end| is_regular(&self.path(key, end)).unwrap_or(false));
        if !there {
            self.shrink(self.limit - bytes);
            if let Err(reason) = self.write(key, entry) {
                tracing::warn!(%key, %reason, "an encoding could not be written to the cache");
                self.remove(key);
                return;
            }
        }
        self.touch(key);
        self.shrink(self.limit);
    }

    fn write(&self, key: &Key, entry: &Entry) -> Result<(), String> {
        let pictures = entry.pictures.save(key, &self.path(key, PICTURES));
        pictures.map_err(|error| format!("its file of pictures: {error}"))?;
        entry.to_store(key).save(self.path(key, VIDEO)).map_err(|error| text::chain(&error))
    }

    /// Notes that what is kept under `key` was used.
    pub fn touch(&self, key: &Key) {
        let now = SystemTime::now();
        for end in [VIDEO, PICTURES] {
            // A folder that is only read keeps its times.
            let _ = File::options().write(true).open(self.path(key, end)).and_then(|file| file.set_modified(now));
        }
    }

    /// Removes what was used longest ago until `limit` bytes are left at most.
    fn shrink(&self, limit: u64) {
        let mut files: Vec<(Key, Files)> = self.list().into_iter().collect();
        files.sort_by_key(|(_, files)| files.used);
        let mut left: u64 = files.iter().map(|(_, files)| files.bytes).sum();
        for (key, files) in files {
            if left <= limit {
                return;
            }
            self.remove(&key);
            left -= files.bytes;
        }
    }

    /// The encoding goes first: pictures alone are nothing.
    fn remove(&self, key: &Key) {
        for end in [VIDEO, PICTURES] {
            match fs::remove_file(self.path(key, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%key, %error, "an encoding cannot be removed from the cache");
                }
                _ => {}
            }
        }
    }

    /// What is kept, by its names alone.
    fn list(&self) -> BTreeMap<Key, Files> {
        let mut found = BTreeMap::new();
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = file.file_name();
            let Some((stem, end)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Some(key) = Key::parse(stem).filter(|_| [VIDEO, PICTURES].contains(&end)) else { continue };
            // Not of what a link leads to.
            let Ok(metadata) = file.metadata().and_then(|found| Ok((found.is_file(), found.len(), found.modified()?)))
            else {
                continue;
            };
            let (true, bytes, modified) = metadata else { continue };
            let files = found.entry(key).or_insert(Files { bytes: 0, used: modified, whole: false });
            files.bytes += bytes;
            files.used = files.used.max(modified);
            files.whole |= end == VIDEO;
        }
        found
    }

    fn path(&self, key: &Key, end: &str) -> PathBuf {
        self.folder.join(format!("{key}.{end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encodings::testing::{entry, key, model, names};

    fn bytes(folder: &Path) -> u64 {
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn what_is_written_is_read_with_its_warnings_and_pictures() {
        let (folder, model) = (tempfile::tempdir().unwrap(), model());
        let disk = Disk::open(&folder.path().join("made/for/it"), 1 << 30).unwrap();
        let mut written = entry(&model, 3);
        written.warnings = vec!["two frames were damaged".into()];
        assert!(disk.get(&key("a"), &model).is_none());
        disk.put(&key("a"), &written);
        let read = disk.get(&key("a"), &model).unwrap();
        assert_eq!(read.warnings, written.warnings);
        assert_eq!(read.video.features().into_data(), written.video.features().into_data());
        assert_eq!((read.pictures.count(), read.pictures.memory()), (3, 0));
        assert!(read.pictures.get(2).is_some_and(|picture| Some(picture) == written.pictures.get(2)));
        assert!(disk.get(&key("b"), &model).is_none());
    }

    #[test]
    fn the_least_recently_used_go_and_foreign_files_stay() {
        let (folder, model) = (tempfile::tempdir().unwrap(), model());
        let path = folder.path();
        let foreign = ["clip.longvu", "notes.txt", &format!("{}.pictures.bak", key("x")), "abc.pictures"];
        foreign.iter().for_each(|name| fs::write(path.join(name), vec![0; 1 << 16]).unwrap());
        let foreign_bytes = bytes(path);
        Disk::open(path, 1 << 30).unwrap().put(&key("a"), &entry(&model, 2));
        let one = bytes(path) - foreign_bytes;
        let disk = Disk::open(path, 2 * one + one / 2).unwrap();
        disk.put(&key("b"), &entry(&model, 2));
        assert!(disk.get(&key("a"), &model).is_some());
        disk.put(&key("c"), &entry(&model, 2));
        assert!(bytes(path) - foreign_bytes <= 2 * one);
        assert!(disk.get(&key("b"), &model).is_none(), "it was used longest ago");
        assert!(disk.get(&key("a"), &model).is_some() && disk.get(&key("c"), &model).is_some());
        // A smaller limit is kept from the start on; what fits in none is not written.
        Disk::open(path, one).unwrap().put(&key("d"), &entry(&model, 9));
        assert_eq!(names(path).len(), foreign.len() + 2);
        drop(Disk::open(path, 0).unwrap());
        assert_eq!(bytes(path), foreign_bytes);
    }

    #[test]
    fn what_killed_writers_left_goes_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (format!("{}.pictures", key("old")), format!("{}.pictures", key("new")));
        for name in [&old, &new, ".longvu-4000000000-7.tmp"] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        let file = File::options().write(true).open(folder.path().join(&old)).unwrap();
        file.set_modified(SystemTime::now() - 2 * LEFT_BEHIND).unwrap();
        Disk::open(folder.path(), 1 << 30).unwrap();
        // Another server may be about to write the encoding that goes with these.
        assert_eq!(names(folder.path()), [new]);
    }

    #[test]
    fn damaged_foreign_and_lonely_files_are_missing_and_go() {
        let (folder, model) = (tempfile::tempdir().unwrap(), model());
        let disk = Disk::open(folder.path(), 1 << 30).unwrap();
        let other = model.with_stages(&longvu::StageSettings::default().with_dino_threshold(0.3)).unwrap();
        let of = |key: &Key, end| disk.path(key, end);
        let spoil: [&dyn Fn(); 6] = [
            &|| fs::write(of(&key("a"), VIDEO), "no video").unwrap(),
            &|| {
                let mut bytes = fs::read(of(&key("a"), VIDEO)).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(of(&key("a"), VIDEO), bytes).unwrap();
            },
            &|| fs::write(of(&key("a"), PICTURES), "no pictures").unwrap(),
            &|| fs::remove_file(of(&key("a"), PICTURES)).unwrap(),
            &|| assert!(fs::copy(of(&key("b"), VIDEO), of(&key("a"), VIDEO)).unwrap() > 0),
            &|| entry(&other, 2).to_store(&key("a")).save(of(&key("a"), VIDEO)).unwrap(),
        ];
        for (case, spoil) in spoil.iter().enumerate() {
            [key("a"), key("b")].iter().for_each(|key| disk.put(key, &entry(&model, 2)));
            spoil();
            assert!(disk.get(&key("a"), &model).is_none(), "{case}");
            assert_eq!(names(folder.path()).len(), 2, "{case}: what is damaged is gone, the other is not");
            assert!(disk.get(&key("b"), &model).is_some());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Disk::open(&folder.path().join("file"), 1).is_err());
    }
}
