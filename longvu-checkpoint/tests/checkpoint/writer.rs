//! Writing safetensors files.

use std::path::Path;

use longvu_checkpoint::SafetensorsWriter;
use longvu_core::Dtype;

use crate::support::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let tensors = small();
    for dtype in Dtype::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut writer = SafetensorsWriter::create(&path, &specs(&tensors), dtype).unwrap();
        tensors.values().for_each(|t| writer.write(&t.values).unwrap());
        assert!(!path.exists(), "the name appears with the last byte");
        writer.finish().unwrap();
        assert_eq!(names(folder.path()), ["model.safetensors"]);
        check_folder(folder.path(), &tensors, dtype);
        // The reference reader agrees, and finds the data aligned.
        let bytes = std::fs::read(&path).unwrap();
        let (header, _) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert!((header + 8).is_multiple_of(8));
        assert_eq!(safetensors::SafeTensors::deserialize(&bytes).unwrap().len(), tensors.len());
    }
}

#[test]
fn an_interrupted_file_leaves_nothing_under_its_name() {
    let tensors = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, "what was there before").unwrap();
    let mut writer = SafetensorsWriter::create(&path, &specs(&tensors), Dtype::F32).unwrap();
    writer.write(&tensors["a.bias"].values).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "what was there before");
    assert_eq!(names(folder.path()), ["model.safetensors"]);
}

#[test]
fn misuse_is_an_error_and_leaves_no_file() {
    let tensors = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let create = || SafetensorsWriter::create(&path, &specs(&tensors), Dtype::F32).unwrap();

    let mut writer = create();
    let error = writer.write(&[1.0]).unwrap_err().to_string();
    assert!(error.contains("1 values were given for a.bias of shape [4]"), "{error}");
    tensors.values().skip(1).for_each(|t| writer.write(&t.values).unwrap());
    assert!(writer.finish().is_err(), "a tensor is missing");

    let mut writer = create();
    tensors.values().for_each(|t| writer.write(&t.values).unwrap());
    assert!(writer.write(&[]).is_err(), "one too many");
    assert!(writer.finish().is_err());

    let error = create().finish().unwrap_err().to_string();
    assert!(error.contains("4 tensors were announced"), "{error}");

    let mut doubled = specs(&tensors);
    doubled.extend(specs(&tensors));
    assert!(SafetensorsWriter::create(&path, &doubled, Dtype::F32).is_err());
    let mut huge = specs(&tensors);
    huge[0].shape = vec![usize::MAX, 2];
    assert!(SafetensorsWriter::create(&path, &huge, Dtype::F32).is_err());
    assert!(SafetensorsWriter::create(Path::new("/no/such/folder/x"), &specs(&tensors), Dtype::F32).is_err());
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

/// Writes a file where none can grow; `a_disk_that_takes_no_more_is_an_error_and_leaves_no_file` runs it.
#[test]
#[ignore = "started by another test"]
fn write_where_files_cannot_grow() {
    let Some(folder) = std::env::var_os("LONGVU_TEST_FOLDER").map(std::path::PathBuf::from) else { return };
    let path = folder.join("model.safetensors");
    let mut tensors = small();
    for elements in [3, 1 << 20] {
        tensors.insert("large".into(), Values { shape: vec![elements], values: vec![0.5; elements] });
        let mut writer = SafetensorsWriter::create(&path, &specs(&tensors), Dtype::F32).unwrap();
        let written: Result<Vec<()>, _> = tensors.values().map(|t| writer.write(&t.values)).collect();
        let finished = writer.finish();
        let error = said(&written.err().or(finished.err()).unwrap());
        assert!(error.contains("model.safetensors") && error.contains("File too large"), "{error}");
        assert!(names(&folder).is_empty());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_takes_no_more_is_an_error_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    // The limit is a whole process's; without the signal, it is an error of the write.
    let run = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" --exact writer::write_where_files_cannot_grow --ignored"])
        .arg(std::env::current_exe().unwrap())
        .env("LONGVU_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && report.contains("1 passed"), "{report}");
}
