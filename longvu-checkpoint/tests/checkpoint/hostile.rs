//! Files that are made to do harm: refused before they cost memory or time.

use std::{fs, path::Path};

use longvu_checkpoint::{Checkpoint, Limits, Mapping, Repo, RepoOptions, TensorSource};
use longvu_core::Dtype;
use zip::CompressionMethod;

use crate::{pickle, support::*};

/// The message for an archive of `program`, packed.
fn refusal(program: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    pickle::archive(&path, program, &[], CompressionMethod::Deflated);
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20, "the file itself is small");
    failure(folder.path(), &layout(&small()))
}

#[test]
fn pickles_of_too_many_objects_are_refused_before_they_are_made() {
    let count = 30_000_000;
    let repeated = |start: &[u8], part: &[u8], count: usize, end: &[u8]| {
        [b"\x80\x02", start, &part.repeat(count), end, b"."].concat()
    };
    for (program, name) in [
        (repeated(b"(", b"N", count, b"l"), "a list"),
        (repeated(b"", b"(", count, b"t"), "marks"),
        (repeated(b"", b"}", count, b""), "dictionaries"),
        (repeated(b"N", b"q\x00", count, b""), "memos"),
        (repeated(b"N", b"\x94", count, b""), "memos of protocol 4"),
        (repeated(b"]", b"2", count, b""), "copies"),
        (repeated(b"]", b"\x85", count, b""), "nesting"),
        (repeated(b"(", b"K\x01", count, b"l"), "numbers"),
        (repeated(b"(", b"I1\n", count / 2, b"l"), "numbers as text"),
    ] {
        let start = std::time::Instant::now();
        let message = refusal(&program);
        assert!(message.contains("more than 2000000 objects") && message.contains("trust"), "{name}: {message}");
        assert!(start.elapsed().as_secs() < 10, "{name}");
    }
}

#[test]
fn pickles_of_too_many_bytes_are_refused_before_they_are_read() {
    let text = |count: usize| [b"\x80\x02X", &(count as u32).to_le_bytes()[..], &vec![b'a'; count], b"."].concat();
    let line = [b"\x80\x02V", &vec![b'a'; 70 << 20][..], b"\n."].concat();
    let number = [b"\x80\x02\x8b", &(70u32 << 20).to_le_bytes()[..], &vec![1; 70 << 20], b"."].concat();
    for program in [text(70 << 20), text(120 << 20), line, number] {
        let message = refusal(&program);
        assert!(message.contains("more than 67108864 bytes of objects"), "{message}");
    }
}

#[test]
fn pickles_that_state_what_does_not_follow_are_errors() {
    for program in [
        &b"\x80\x02X\xff\xff\xff\x03abc."[..],
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x02Vabc",
        b"\x80\x02(",
        b"\x80\x02\xff.",
        b"",
    ] {
        let message = refusal(program);
        assert!(message.contains("pytorch_model.bin"), "{message}");
    }
    // Deeply nested, and within the number of objects.
    for part in [&b"\x85"[..], b"]", b"}"] {
        let program = [b"\x80\x02]", &part.repeat(1_000_000)[..], b"."].concat();
        refusal(&program);
    }
    // Copies of copies.
    let bomb = [b"\x80\x02(NNNNNNNNNNl", &b"2(222222222l"[..].repeat(1000)[..], b"."].concat();
    refusal(&bomb);
}

#[test]
fn older_files_are_looked_at_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let bomb = [b"(", &b"N".repeat(3_000_000)[..], b"l."].concat();
    let legacy = [&b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."[..], &bomb].concat();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, expected) in [(&bomb, "2000000 objects"), (&legacy, "2000000 objects"), (&tar, "TAR archive")] {
        fs::write(&path, bytes).unwrap();
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn limits_can_be_raised_and_lowered() {
    let folder = tempfile::tempdir().unwrap();
    pickle::write(&folder.path().join("pytorch_model.bin"), &small(), Dtype::F32);
    let open = |limits: Limits| {
        let options = RepoOptions::default().with_limits(limits);
        Checkpoint::open(&Repo::folder(folder.path()).with_options(&options)).map(|c| c.names().len())
    };
    let mut limits = Limits::default();
    assert_eq!(open(limits).unwrap(), small().len());
    limits.pickle_objects = 20;
    assert!(open(limits).unwrap_err().to_string().contains("more than 20 objects"));
    limits = Limits::default();
    limits.pickle_bytes = 20;
    assert!(open(limits).unwrap_err().to_string().contains("more than 20 bytes"));
    write_safetensors(&folder.path().join("model.safetensors"), &small(), Dtype::F32);
    limits = Limits::default();
    limits.header_bytes = 20;
    assert!(open(limits).unwrap_err().to_string().contains("more than the 20 allowed"));
}

/// Files of a gigabyte and more, of which nothing is on the disk.
#[test]
fn vast_sparse_files_are_refused_unread() {
    let sparse = |path: &Path, start: &[u8]| {
        fs::write(path, start).unwrap();
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3 << 30).unwrap();
    };
    for (name, start, expected) in [
        ("model.safetensors", (90u64 << 20).to_le_bytes().to_vec(), "its header has 94371840 bytes"),
        ("model.safetensors", (2u64 << 30).to_le_bytes().to_vec(), "its header has 2147483648 bytes"),
        ("model.safetensors", Vec::new(), "header"),
        ("model.safetensors.index.json", b"{".to_vec(), "3221225472 bytes"),
        ("pytorch_model.bin.index.json", b"{".to_vec(), "3221225472 bytes"),
        ("pytorch_model.bin", b"\x80\x02".to_vec(), "0x00"),
        ("pytorch_model.bin", b"\x80\x02V".to_vec(), "67108864 bytes"),
        ("pytorch_model.bin", b"PK\x03\x04".to_vec(), "pytorch_model.bin"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        sparse(&folder.path().join(name), &start);
        let start = std::time::Instant::now();
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains(expected) && message.contains(name), "{message}");
        assert!(start.elapsed().as_secs() < 10, "{name}");
    }
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_are_refused_at_once() {
    for name in ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "a-1.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        if name.starts_with('a') {
            let index = format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#);
            fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        }
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains("a named pipe") && message.contains(name), "{message}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains("a device") && message.contains(name), "{message}");
    }
}

#[test]
fn names_of_tensors_do_not_move_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "\u{1b}[31mx\u{7}\n\u{202e}";
    let tensors: Tensors = small().into_iter().map(|(name, t)| (format!("{hostile}{name}"), t)).collect();
    write_safetensors(&folder.path().join("model.safetensors"), &tensors, Dtype::F32);
    let message = failure(folder.path(), &layout(&small()));
    assert!(message.contains(r"\u{1b}[31mx\u{7}\n\u{202e}"), "{message:?}");
    assert!(!message.contains(|c: char| c != '\n' && c.is_control()), "{message:?}");
    let index = format!("{{\"weight_map\": {{\"a\": {:?}}}}}", "\\u001b[31m/x");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    fs::write(folder.path().join("model.safetensors.index.json"), index.replace("\\\\", "\\")).unwrap();
    let message = failure(folder.path(), &layout(&small()));
    assert!(message.contains(r"`\u{1b}[31m/x`"), "{message:?}");
}

fn open_with(path: &Path, mapping: Mapping) -> Checkpoint {
    Checkpoint::open_files_with("test".into(), vec![path.to_owned()], &Limits::default(), mapping).unwrap()
}

#[test]
fn weights_that_are_read_are_the_weights_that_are_mapped() {
    let folder = tempfile::tempdir().unwrap();
    for stored in Dtype::ALL {
        let path = folder.path().join(format!("{stored}.safetensors"));
        write_safetensors(&path, &small(), stored);
        let (read, mapped) = (open_with(&path, Mapping::Read), open_with(&path, Mapping::Map));
        for (name, values) in small() {
            for dtype in Dtype::ALL {
                let data = read.read(&name, &values.shape, dtype).unwrap();
                assert_eq!(data, mapped.read(&name, &values.shape, dtype).unwrap(), "{name}: {stored} as {dtype}");
                let expected = values.values.iter().map(|&v| rounded(rounded(v, stored), dtype));
                assert!(data.iter::<f32>().eq(expected), "{name}: {stored} as {dtype}");
            }
        }
    }
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_an_error() {
    for mapping in [Mapping::Map, Mapping::Read] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write_safetensors(&path, &small(), Dtype::F32);
        let checkpoint = open_with(&path, mapping);
        let bytes = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 + 1).unwrap();
        let mut sampled = 0;
        for error in [
            checkpoint.read("a.weight", &[4, 3], Dtype::F32).map(drop),
            checkpoint.read("a.weight", &[4, 3], Dtype::F16).map(drop),
            checkpoint.sample(["a.weight"], |bytes| sampled += bytes.len()),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("was written to after it was opened"), "{error}");
        }
        file.set_len(100).unwrap();
        let error = checkpoint.read("none", &[0, 3], Dtype::F32).map(drop).unwrap_err().to_string();
        assert!(error.contains("cut short to 100 bytes after it was opened"), "{error}");
        // A new file under the name does no harm: the old one is still open.
        let path = folder.path().join("b.safetensors");
        fs::write(&path, &bytes).unwrap();
        let checkpoint = open_with(&path, mapping);
        fs::write(folder.path().join("new"), b"other").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(checkpoint.read("a.weight", &[4, 3], Dtype::F32).is_ok());
    }
}

/// A process that reads its weights lives on when they are cut short under it; one that maps them is told before it touches
/// what is gone.
#[test]
fn a_model_that_was_read_outlives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &small(), Dtype::F32);
    let data = open_with(&path, Mapping::Read).read("a.weight", &[4, 3], Dtype::F32).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(data.iter::<f32>().eq(small()["a.weight"].values.iter().copied()));
}

#[test]
fn names_without_end_cost_no_time() {
    let tensor = || small()["a.bias"].clone();
    let wrapped: Tensors = [(format!("{}weight", "module.".repeat(1_000_000)), tensor())].into();
    let many = (0..50_000).map(|i| (format!("x{i}.a.bias"), tensor())).collect();
    for tensors in [wrapped, many] {
        let folder = tempfile::tempdir().unwrap();
        write_safetensors(&folder.path().join("model.safetensors"), &tensors, Dtype::F32);
        let start = std::time::Instant::now();
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains("missing") && message.len() < 20_000, "{} bytes", message.len());
        assert!(start.elapsed().as_secs() < 10);
    }
}
