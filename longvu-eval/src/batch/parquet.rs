//! Rows as a Parquet file.

use std::{io::BufWriter, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch,
    builder::{Float64Builder, Int32Builder, ListBuilder, StringBuilder},
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use longvu::checkpoint::atomic::FileDraft;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use super::BatchRow;
use crate::{Error, Result};

/// Version of the columns, which the file's metadata has under `longvu.schema`. It rises when a column changes its meaning;
/// more columns may come without.
pub const SCHEMA_VERSION: u32 = 1;

/// Rows that are put into columns at a time.
const ROWS: usize = 4096;

/// Writes the file, whole or not at all.
pub fn write(path: &Path, rows: &[BatchRow]) -> Result<()> {
    let draft = FileDraft::new(path).map_err(Error::write(path))?;
    write_to(BufWriter::new(draft.file()), rows).map_err(|error| Error::write(path)(io(error)))?;
    draft.commit().map_err(Error::write(path))
}

fn io(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => *source,
            Err(source) => std::io::Error::other(source),
        },
        error => std::io::Error::other(error),
    }
}

fn write_to(out: impl std::io::Write + Send, rows: &[BatchRow]) -> Result<(), ParquetError> {
    let metadata = vec![
        KeyValue::new("longvu.schema".to_owned(), SCHEMA_VERSION.to_string()),
        KeyValue::new("longvu.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut writer = ArrowWriter::try_new(out, Arc::new(schema()), Some(properties))?;
    for rows in rows.chunks(ROWS) {
        writer.write(&batch(rows)?)?;
    }
    writer.close()?;
    Ok(())
}

fn list(name: &str, of: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new_list_field(of, true))), false)
}

fn schema() -> Schema {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    let seconds = |name: &str| Field::new(name, DataType::Float64, false);
    Schema::new(vec![
        text("id", false),
        text("video", false),
        number("question_index"),
        text("question", false),
        text("answer", true),
        text("finish_reason", true),
        text("error", true),
        list("warnings", DataType::Utf8),
        number("sampled_frames"),
        number("repeated_frames"),
        list("kept_frames", DataType::Int32),
        list("kept_times", DataType::Float64),
        list("kept_tokens", DataType::Int32),
        number("full_frames"),
        number("visual_tokens"),
        number("prompt_tokens"),
        number("generated_tokens"),
        Field::new("video_bytes", DataType::Int64, false),
        seconds("encode_seconds"),
        seconds("answer_seconds"),
    ])
}

fn batch(rows: &[BatchRow]) -> Result<RecordBatch, ArrowError> {
    let columns = vec![
        texts(rows, |row| Some(&row.id)),
        texts(rows, |row| Some(&row.video)),
        numbers(rows, |row| row.question_index),
        texts(rows, |row| Some(&row.question)),
        texts(rows, |row| row.answer.as_ref()),
        texts(rows, |row| row.finish_reason.as_ref()),
        texts(rows, |row| row.error.as_ref()),
        warnings(rows),
        numbers(rows, |row| row.sampled_frames),
        numbers(rows, |row| row.repeated_frames),
        number_lists(rows, |row| &row.kept_frames),
        time_lists(rows, |row| &row.kept_times),
        number_lists(rows, |row| &row.kept_tokens),
        numbers(rows, |row| row.full_frames),
        numbers(rows, |row| row.visual_tokens),
        numbers(rows, |row| row.prompt_tokens),
        numbers(rows, |row| row.generated_tokens),
        bytes(rows),
        seconds(rows, |row| row.encode_seconds),
        seconds(rows, |row| row.answer_seconds),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns)
}

/// Counts of frames and tokens; none comes near the limit.
fn int(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn texts(rows: &[BatchRow], of: impl Fn(&BatchRow) -> Option<&String>) -> ArrayRef {
    let mut column = StringBuilder::new();
    rows.iter().for_each(|row| column.append_option(of(row)));
    Arc::new(column.finish())
}

fn numbers(rows: &[BatchRow], of: impl Fn(&BatchRow) -> usize) -> ArrayRef {
    let mut column = Int32Builder::new();
    rows.iter().for_each(|row| column.append_value(int(of(row))));
    Arc::new(column.finish())
}

fn bytes(rows: &[BatchRow]) -> ArrayRef {
    let sizes = rows.iter().map(|row| i64::try_from(row.video_bytes).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(sizes))
}

fn seconds(rows: &[BatchRow], of: impl Fn(&BatchRow) -> f64) -> ArrayRef {
    let mut column = Float64Builder::new();
    rows.iter().for_each(|row| column.append_value(of(row)));
    Arc::new(column.finish())
}

fn warnings(rows: &[BatchRow]) -> ArrayRef {
    let mut column = ListBuilder::new(StringBuilder::new());
    for row in rows {
        row.warnings.iter().for_each(|warning| column.values().append_value(warning));
        column.append(true);
    }
    Arc::new(column.finish())
}

fn number_lists(rows: &[BatchRow], of: impl Fn(&BatchRow) -> &Vec<usize>) -> ArrayRef {
    let mut column = ListBuilder::new(Int32Builder::new());
    for row in rows {
        of(row).iter().for_each(|&value| column.values().append_value(int(value)));
        column.append(true);
    }
    Arc::new(column.finish())
}

fn time_lists(rows: &[BatchRow], of: impl Fn(&BatchRow) -> &Vec<f64>) -> ArrayRef {
    let mut column = ListBuilder::new(Float64Builder::new());
    for row in rows {
        of(row).iter().for_each(|&value| column.values().append_value(value));
        column.append(true);
    }
    Arc::new(column.finish())
}
