//! Videos and pictures to frames, in a process of their own.
