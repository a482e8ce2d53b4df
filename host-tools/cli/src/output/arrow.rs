//! Writing Arrow files.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{FixedSizeListArray, Float32Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use flashvec_support::files::OutputFile;

use super::FileOutput;
use crate::error::{Error, Result};

/// An Arrow IPC file on its way out.
pub struct Arrow {
    path: PathBuf,
    dims: i32,
    item: FieldRef,
    writer: FileWriter<BufWriter<OutputFile>>,
}

impl Arrow {
    pub fn new(output: FileOutput, dims: usize) -> Result<Self> {
        let FileOutput { path, writer } = output;
        // Dimensions are at most 4,096.
        let dims = i32::try_from(dims).unwrap_or(i32::MAX);
        let item = FieldRef::new(Field::new_list_field(DataType::Float32, false));
        let column = DataType::FixedSizeList(item.clone(), dims);
        let schema = Schema::new(vec![Field::new("embedding", column, false)]);
        let writer = FileWriter::try_new(writer, &schema).map_err(arrow(&path))?;
        Ok(Self {
            path,
            dims,
            item,
            writer,
        })
    }

    pub fn write(&mut self, values: Vec<f32>) -> Result<()> {
        let values = Arc::new(Float32Array::from(values));
        FixedSizeListArray::try_new(self.item.clone(), self.dims, values, None)
            .and_then(|lists| {
                RecordBatch::try_new(self.writer.schema().clone(), vec![Arc::new(lists)])
            })
            .and_then(|batch| self.writer.write(&batch))
            .map_err(arrow(&self.path))
    }

    pub fn finish(self) -> Result<()> {
        let Self { path, writer, .. } = self;
        // Writes the footer too.
        let writer = writer.into_inner().map_err(arrow(&path))?;
        FileOutput { path, writer }.finish()
    }
}

/// What the library complains of is the file, since the batches are ours.
fn arrow(path: &Path) -> impl FnOnce(ArrowError) -> Error {
    move |error| {
        Error::io(path)(match error {
            ArrowError::IoError(_, error) => error,
            other => std::io::Error::other(other),
        })
    }
}
