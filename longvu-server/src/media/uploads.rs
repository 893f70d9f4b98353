//! The files of `/v1/files`: what each is called, and which goes when room is needed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{
    RngExt, SeedableRng,
    distr::Alphanumeric,
    rngs::{StdRng, SysRng},
};

use super::store::{self, Blob, MakeRoom};
use crate::{api_error::ApiError, protocol::response::unix_now};

const PREFIX: &str = "file-";
const RANDOM: usize = 24;

/// A file that was uploaded.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub id: String,
    pub filename: String,
    pub purpose: String,
    /// As the client said, where it is of a video or a picture.
    pub mime: Option<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    pub blob: Arc<Blob>,
}

/// All that were uploaded and not removed.
#[derive(Debug)]
pub(super) struct Uploads {
    most: usize,
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    files: HashMap<String, Entry>,
    /// Counts additions and uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    upload: Upload,
    added: u64,
    used: u64,
}

impl Uploads {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, listed: Mutex::default() })
    }

    /// Lists a file under a new id. Where there are too many, those go that were used longest ago.
    pub(super) fn add(
        &self,
        blob: Arc<Blob>,
        filename: String,
        purpose: String,
        mime: Option<String>,
    ) -> Result<Upload, ApiError> {
        let id = new_id().map_err(|error| ApiError::internal(&error))?;
        let created_at = unix_now();
        let upload = Upload { id: id.clone(), filename, purpose, mime, created_at, blob };
        let mut listed = self.lock();
        while listed.files.len() >= self.most {
            if !listed.remove_oldest() {
                return Err(store::full());
            }
        }
        let now = listed.tick();
        listed.files.insert(id, Entry { upload: upload.clone(), added: now, used: now });
        Ok(upload)
    }

    /// The file of an id, for use; any other text is an id that is not there.
    pub(super) fn get(&self, id: &str) -> Result<Upload, ApiError> {
        let mut listed = self.lock();
        let now = listed.tick();
        let entry = listed.files.get_mut(id).ok_or_else(unknown)?;
        entry.used = now;
        Ok(entry.upload.clone())
    }

    /// Takes a file off the list. Who uses it goes on.
    pub(super) fn remove(&self, id: &str) -> Result<Upload, ApiError> {
        self.lock().files.remove(id).map(|entry| entry.upload).ok_or_else(unknown)
    }

    /// All of them, in the order in which they were added.
    pub(super) fn list(&self) -> Vec<Upload> {
        let listed = self.lock();
        let mut entries: Vec<_> = listed.files.values().collect();
        entries.sort_by_key(|entry| entry.added);
        entries.into_iter().map(|entry| entry.upload.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MakeRoom for Uploads {
    fn make_room(&self) -> bool {
        self.lock().remove_oldest()
    }
}

impl Listed {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Removes what nobody uses and was used longest ago. Uses begin under the lock, so that none begins meanwhile.
    fn remove_oldest(&mut self) -> bool {
        let unused = self.files.values().filter(|entry| Arc::strong_count(&entry.upload.blob) == 1);
        let oldest = unused.min_by_key(|entry| entry.used).map(|entry| entry.upload.id.clone());
        oldest.is_some_and(|id| self.files.remove(&id).is_some())
    }
}

/// Whether a reference means a file of `/v1/files`.
pub(super) fn is_id(reference: &str) -> bool {
    reference.starts_with(PREFIX)
}

fn new_id() -> Result<String, rand::rngs::SysError> {
    let random = StdRng::try_from_rng(&mut SysRng)?.sample_iter(Alphanumeric).take(RANDOM);
    Ok(PREFIX.chars().chain(random.map(char::from)).collect())
}

fn unknown() -> ApiError {
    ApiError::not_found("no such file; it may have been deleted, or removed to make room for others: upload it again")
        .code("file_not_found")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::media::store::{Account, Writer};

    struct Fixture {
        folder: tempfile::TempDir,
        account: Arc<Account>,
        uploads: Arc<Uploads>,
    }

    impl Fixture {
        fn new(bytes: u64, files: usize) -> Self {
            Self { folder: tempfile::tempdir().unwrap(), account: Account::new(bytes), uploads: Uploads::new(files) }
        }

        fn add(&self, bytes: usize) -> Result<String, ApiError> {
            let mut writer = Writer::new(self.folder.path(), &self.account, u64::MAX, self.uploads.clone())?;
            writer.write(&vec![1; bytes])?;
            Ok(self.uploads.add(writer.finish()?, "a.mp4".into(), "user_data".into(), None)?.id)
        }
    }

    #[test]
    fn ids_are_many_and_of_one_form() {
        let ids: HashSet<_> = (0..1000).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let random = id.strip_prefix("file-").unwrap();
            assert!(random.len() == 24 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        }
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let fixture = Fixture::new(30, 100);
        let [a, b, c] = [10, 10, 10].map(|bytes| fixture.add(bytes).unwrap());
        fixture.uploads.get(&a).unwrap();
        let used = fixture.uploads.get(&b).unwrap();
        // Of the three, `c` is the one that was used longest ago; then `a`, since `b` is in use.
        let d = fixture.add(5).unwrap();
        assert_eq!(fixture.uploads.get(&c).unwrap_err().status, 404);
        assert!(fixture.uploads.get(&a).is_ok());
        let e = fixture.add(20).unwrap();
        for gone in [&a, &d] {
            assert!(fixture.uploads.get(gone).is_err());
        }
        assert_eq!(fixture.add(25).unwrap_err().status, 503);
        assert!(fixture.uploads.get(&e).is_err());
        drop(used);
        assert!(fixture.add(25).is_ok());
        assert_eq!(fixture.account.used(), 25);
    }

    #[test]
    fn only_so_many_are_kept() {
        let fixture = Fixture::new(u64::MAX, 2);
        let [_, b, c] = [1, 1, 1].map(|bytes| fixture.add(bytes).unwrap());
        let ids: Vec<_> = fixture.uploads.list().into_iter().map(|upload| upload.id).collect();
        assert_eq!(ids, [b.clone(), c.clone()]);
        let _in_use = [fixture.uploads.get(&b).unwrap(), fixture.uploads.get(&c).unwrap()];
        assert_eq!(fixture.add(1).unwrap_err().status, 503);
        assert_eq!(fixture.folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn who_uses_a_deleted_file_goes_on() {
        let fixture = Fixture::new(10, 2);
        let id = fixture.add(10).unwrap();
        let used = fixture.uploads.get(&id).unwrap();
        fixture.uploads.remove(&id).unwrap();
        assert!(fixture.uploads.get(&id).is_err() && fixture.uploads.remove(&id).is_err());
        assert_eq!(std::fs::read(used.blob.path()).unwrap(), [1; 10]);
        // It still takes room.
        assert_eq!(fixture.add(1).unwrap_err().status, 503);
        drop(used);
        assert!(fixture.add(10).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_other_text_is_an_id(text in ".*", path in "(file-)?(\\.\\./|/|%2e%2e%2f|\\PC){0,12}") {
            let fixture = Fixture::new(10, 2);
            fixture.add(1).unwrap();
            proptest::prop_assert!(fixture.uploads.get(&text).is_err());
            proptest::prop_assert_eq!(fixture.uploads.get(&path).unwrap_err().status, 404);
        }
    }
}
