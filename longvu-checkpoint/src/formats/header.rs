//! The header of a safetensors file: eight bytes that state a length, then so many bytes of JSON, which tell of the tensors.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

/// What a safetensors file holds, and where.
#[derive(Debug)]
pub struct SafetensorsHeader {
    metadata: Metadata,
}

/// What is wrong with the length that a file states for its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// The file ends before.
    Truncated {
        /// The stated length in bytes.
        stated: u64,
    },
    /// It is more than is allowed.
    TooLong {
        /// The stated length in bytes.
        stated: u64,
    },
}

impl SafetensorsHeader {
    /// Bytes that state the length of the JSON behind them.
    pub const STATED: usize = 8;

    /// Places tensors, of the given names, element types and shapes, one after the other. `note` is a key of the file's
    /// metadata, and its value.
    ///
    /// # Errors
    /// Why there can be no such file: two tensors of one name, or more bytes than a file has.
    pub fn new(
        note: (&str, &str),
        tensors: impl IntoIterator<Item = (String, Dtype, Vec<usize>)>,
    ) -> Result<Self, String> {
        let (mut placed, mut names, mut start) = (Vec::new(), HashSet::new(), 0usize);
        for (name, dtype, shape) in tensors {
            if !names.insert(name.clone()) {
                return Err(format!("two tensors are to be called {name}; names must differ"));
            }
            let bits = shape.iter().try_fold(dtype.bitsize(), |product, &side| product.checked_mul(side));
            let end = bits.and_then(|bits| start.checked_add(bits / 8));
            let end = end.ok_or_else(|| format!("{name} of shape {shape:?} is larger than a file can be"))?;
            placed.push((name, TensorInfo { dtype, shape, data_offsets: (start, end) }));
            start = end;
        }
        let note = HashMap::from([(note.0.to_owned(), note.1.to_owned())]);
        let metadata = Metadata::new(Some(note), placed).map_err(|error| error.to_string())?;
        Ok(Self { metadata })
    }

    /// Writes the header; the tensors' bytes follow it in their order, without gaps.
    ///
    /// # Errors
    /// Whatever `out` says.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut json = serde_json::to_string(&self.metadata)?;
        // Readers that map the file want the tensors aligned.
        json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
        out.write_all(&(json.len() as u64).to_le_bytes())?;
        out.write_all(json.as_bytes())
    }

    /// The length of the JSON in a file of `size` bytes that begins with `first`, unless that is over `limit`.
    ///
    /// # Errors
    /// A length that no file of that size has, or that is over the limit.
    pub fn stated_len(first: [u8; Self::STATED], size: u64, limit: u64) -> Result<usize, HeaderFault> {
        let stated = u64::from_le_bytes(first);
        if stated > size.saturating_sub(Self::STATED as u64) {
            return Err(HeaderFault::Truncated { stated });
        }
        usize::try_from(stated).ok().filter(|_| stated <= limit).ok_or(HeaderFault::TooLong { stated })
    }

    /// Reads the JSON, in which every tensor's bytes must begin where those of another end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json).map(|metadata| Self { metadata })
    }

    /// The value of a key of the metadata.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The tensors by name, in the order of their bytes. Offsets are from the end of the header on.
    pub fn tensors(&self) -> Vec<(String, TensorInfo)> {
        let names = self.metadata.offset_keys().into_iter();
        names.filter_map(|name| self.metadata.info(&name).cloned().map(|info| (name, info))).collect()
    }

    /// Bytes of all tensors, with which the file ends.
    pub fn data_len(&self) -> usize {
        self.metadata.data_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dtype: Dtype, shape: &[usize]) -> (String, Dtype, Vec<usize>) {
        (name.to_owned(), dtype, shape.to_vec())
    }

    #[test]
    fn what_is_written_is_read() {
        let tensors = [tensor("b", Dtype::F64, &[2]), tensor("a", Dtype::BF16, &[3, 1]), tensor("c", Dtype::F32, &[0])];
        let mut bytes = Vec::new();
        SafetensorsHeader::new(("key", "\"value\""), tensors.clone()).unwrap().write(&mut bytes).unwrap();
        let len = SafetensorsHeader::stated_len(*bytes.first_chunk().unwrap(), 1 << 10, 1 << 10).unwrap();
        assert!(
            len + 8 == bytes.len()
                && len.is_multiple_of(8)
                && bytes.starts_with(&[len as u8, 0, 0, 0, 0, 0, 0, 0, b'{'])
        );
        let header = SafetensorsHeader::parse(&bytes[8..]).unwrap();
        let found = header.tensors().into_iter().map(|(name, info)| (name, info.dtype, info.shape));
        assert_eq!(found.collect::<Vec<_>>(), tensors);
        assert_eq!((header.note("key"), header.note("other"), header.data_len()), (Some("\"value\""), None, 22));
        assert_eq!(header.tensors()[1].1.data_offsets, (16, 22));
    }

    #[test]
    fn what_no_file_holds_is_refused() {
        let new = |tensors: Vec<_>| SafetensorsHeader::new(("format", "pt"), tensors).unwrap_err();
        let twice = vec![tensor("a", Dtype::F32, &[1]), tensor("b", Dtype::F32, &[1]), tensor("a", Dtype::F32, &[1])];
        assert!(new(twice).contains("two tensors are to be called a"));
        for shape in [[usize::MAX, 2], [usize::MAX / 2, 1]] {
            assert!(new(vec![tensor("a", Dtype::F32, &shape)]).contains("larger than a file can be"));
        }
        let stated = |stated: u64| SafetensorsHeader::stated_len(stated.to_le_bytes(), 1 << 20, 100);
        assert_eq!(stated(100), Ok(100));
        assert_eq!(stated(101), Err(HeaderFault::TooLong { stated: 101 }));
        for beyond in [(1 << 20) - 7, u64::MAX] {
            assert_eq!(stated(beyond), Err(HeaderFault::Truncated { stated: beyond }));
        }
    }
}
