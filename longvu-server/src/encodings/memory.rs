//! Encodings in memory, as many as there is room for; what was used least recently goes first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use crate::encodings::{entry::Entry, key::Key};

/// Encodings that are kept up to so many bytes, and those that others still hold.
#[derive(Debug, Default)]
pub(super) struct Memory {
    limit: u64,
    used: u64,
    /// Counts uses, which are in this order.
    uses: u64,
    kept: HashMap<Key, Kept>,
    by_use: BTreeMap<u64, Key>,
    /// All that were here, for what is in use costs nothing to give out again.
    alive: HashMap<Key, Weak<Entry>>,
}

#[derive(Debug)]
struct Kept {
    entry: Arc<Entry>,
    bytes: u64,
    used: u64,
}

impl Memory {
    /// Keeps up to `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// What is kept under `key`, which thereby was used, or is in use elsewhere.
    pub fn get(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let Some(kept) = self.kept.get_mut(key) else { return self.alive.get(key)?.upgrade() };
        self.uses += 1;
        self.by_use.remove(&kept.used);
        kept.used = self.uses;
        self.by_use.insert(self.uses, key.clone());
        Some(Arc::clone(&kept.entry))
    }

    /// Keeps `entry`, unless it alone is over the limit.
    pub fn put(&mut self, key: Key, entry: &Arc<Entry>) {
        self.remove(&key);
        self.alive.retain(|_, entry| entry.strong_count() > 0);
        self.alive.insert(key.clone(), Arc::downgrade(entry));
        // Nothing takes no memory at all; without this, a limit of 0 would keep it.
        let bytes = entry.memory().max(1);
        if bytes > self.limit {
            return;
        }
        while self.used > self.limit - bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.used += bytes;
        self.by_use.insert(self.uses, key.clone());
        self.kept.insert(key, Kept { entry: Arc::clone(entry), bytes, used: self.uses });
    }

    /// Bytes kept.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Lets go of what is under `key`; who uses it keeps it.
    pub fn forget(&mut self, key: &Key) {
        self.remove(key);
        self.alive.remove(key);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.kept.remove(key) {
            self.used -= kept.bytes;
            self.by_use.remove(&kept.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encodings::testing::{entry, key, model};

    #[test]
    fn the_least_recently_used_go_first_and_what_is_in_use_stays() {
        let model = model();
        let made = |frames| Arc::new(entry(&model, frames));
        let (size, mut memory) = (entry(&model, 2).memory(), Memory::default());
        memory.limit = 2 * size;
        for name in ["a", "b"] {
            memory.put(key(name), &made(2));
        }
        assert_eq!(memory.used(), 2 * size);
        let held = memory.get(&key("a")).unwrap();
        memory.put(key("c"), &made(2));
        assert!(memory.get(&key("b")).is_none(), "it was used longest ago");
        assert!(Arc::ptr_eq(&memory.get(&key("a")).unwrap(), &held));
        memory.put(key("d"), &made(2));
        memory.put(key("e"), &made(2));
        assert_eq!(memory.used(), 2 * size);
        assert!(Arc::ptr_eq(&memory.get(&key("a")).unwrap(), &held), "no longer kept, and in use");
        drop(held);
        assert!(memory.get(&key("a")).is_none());
        // The same key again replaces, and what is over the limit alone displaces nothing.
        memory.put(key("e"), &made(2));
        memory.put(key("large"), &made(6));
        assert_eq!((memory.used(), memory.kept.len(), memory.by_use.len()), (2 * size, 2, 2));
    }

    #[test]
    fn a_limit_of_nothing_keeps_nothing() {
        let mut memory = Memory::new(0);
        let held = Arc::new(entry(&model(), 1));
        memory.put(key("a"), &held);
        assert_eq!(memory.used(), 0);
        drop(held);
        assert!(memory.get(&key("a")).is_none());
    }
}
