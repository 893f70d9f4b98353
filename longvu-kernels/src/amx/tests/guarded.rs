//! Memory whose next byte nobody may touch.

use std::ops::{Deref, DerefMut};

const PAGE: usize = 4096;

/// Elements that end where the memory of this process does.
pub(super) struct Guarded<T> {
    pages: *mut libc::c_void,
    size: usize,
    len: usize,
    elements: *mut T,
}

impl<T: Copy> Guarded<T> {
    pub(super) fn new(elements: &[T]) -> Self {
        let bytes = size_of_val(elements);
        let filled = bytes.next_multiple_of(PAGE);
        let size = filled + PAGE;
        // SAFETY: new pages, whose last is closed; the elements end where it begins, which is aligned for them.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let pages = libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(pages.byte_add(filled), PAGE, libc::PROT_NONE), 0);
            let start = pages.byte_add(filled - bytes).cast::<T>();
            start.copy_from_nonoverlapping(elements.as_ptr(), elements.len());
            Self { pages, size, len: elements.len(), elements: start }
        }
    }
}

impl<T> Deref for Guarded<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `new` has written so many elements there.
        unsafe { std::slice::from_raw_parts(self.elements, self.len) }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nothing else points there.
        unsafe { std::slice::from_raw_parts_mut(self.elements, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the pages that `new` got.
        unsafe { libc::munmap(self.pages, self.size) };
    }
}
