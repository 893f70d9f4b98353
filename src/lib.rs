//! stub
pub use longvu_compress as compress;
pub use longvu_core as core;
pub use longvu_llm as llm;
pub use longvu_vision as vision;
