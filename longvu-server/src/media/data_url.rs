//! `data:` URLs.

use std::sync::Arc;

use data_url::{DataUrl, DataUrlError, forgiving_base64::DecodeError};

use super::store::{Blob, Writer};
use crate::api_error::ApiError;

/// What is decoded before it is written; the decoder gives three bytes at a time.
const PIECE: usize = 1 << 16;

pub(super) fn is_data_url(reference: &str) -> bool {
    reference.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Writes the content of a `data:` URL. Its media type says nothing, since content is told by itself.
pub(super) fn receive(url: &str, mut writer: Writer) -> Result<Arc<Blob>, ApiError> {
    let url = DataUrl::process(url).map_err(|error| match error {
        DataUrlError::NoComma => ApiError::bad_request("the data: URL has no comma, after which its content stands"),
        DataUrlError::NotADataUrl => ApiError::bad_request("this is no data: URL"),
    })?;
    let mut gathered = Vec::with_capacity(PIECE);
    let decoded = url.decode(|bytes| {
        gathered.extend_from_slice(bytes);
        if gathered.len() < PIECE {
            return Ok(());
        }
        let written = writer.write(&gathered);
        gathered.clear();
        written
    });
    match decoded {
        Ok(None) => {}
        Ok(Some(_)) => {
            return Err(ApiError::bad_request("the data: URL has a `#`, which ends it; in content it is `%23`"));
        }
        Err(DecodeError::WriteError(error)) => return Err(error),
        Err(DecodeError::InvalidBase64(error)) => {
            return Err(ApiError::bad_request(format!("the data: URL's base64 cannot be read: {error}")));
        }
    }
    writer.write(&gathered)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{store::Account, uploads::Uploads};

    fn decode(url: &str, limit: u64) -> Result<Vec<u8>, ApiError> {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::new(u64::MAX);
        let writer = Writer::new(folder.path(), &account, limit, Uploads::new(1)).unwrap();
        let content = receive(url, writer).map(|blob| std::fs::read(blob.path()).unwrap());
        assert_eq!((folder.path().read_dir().unwrap().count(), account.used()), (0, 0));
        content
    }

    #[test]
    fn both_forms_and_white_space() {
        for url in [
            "data:video/mp4;base64,aGVsbG8=",
            "data:;base64,aGVsbG8",
            "DATA:video/mp4;charset=x;BASE64,aGVs\n bG8=\t",
            "data:,hello",
            "data:text/plain,%68el%6co",
            "  data:video/mp4;base64,aGVsbG8%3D  ",
        ] {
            assert_eq!(decode(url, 5).unwrap(), b"hello", "{url}");
        }
    }

    #[test]
    fn large_content_is_whole() {
        let text = "0123456789abcdef".repeat(20_000);
        assert_eq!(decode(&format!("data:,{text}"), u64::MAX).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_cannot_be_read_or_is_too_long() {
        for (url, status) in [
            ("data:video/mp4;base64", 400),
            ("data:", 400),
            ("data:,", 400),
            ("data:;base64,", 400),
            ("data:;base64,a", 400),
            ("data:;base64,aGVs!G8=", 400),
            ("data:;base64,aGVsbG8=aGVs", 400),
            ("data:,hello#5", 400),
            ("data:,hello!", 413),
            ("data:;base64,aGVsbG8hIQ==", 413),
        ] {
            assert_eq!(decode(url, 5).unwrap_err().status.as_u16(), status, "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(rest in "(;base64|,|=|%|#|[A-Za-z0-9+/]|\\PC){0,30}") {
            let _ = decode(&format!("data:{rest}"), 100);
        }
    }
}
