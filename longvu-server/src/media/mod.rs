//! What a request names, as a file: uploads, `data:` URLs, URLs of allowed hosts, files of allowed folders.
