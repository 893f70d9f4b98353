//! Encoded videos that are kept, in memory and on disk, and encodings that several requests wait for.
