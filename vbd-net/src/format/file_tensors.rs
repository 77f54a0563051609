//! Takes tensors out of an untrusted file, checking type, shape and finiteness.

use std::path::Path;

use crate::tensor_file::{RawTensor, Tensors};
use safetensors::Dtype;

use super::ValueType;
use crate::error::{Error, Result};
use crate::problem::Problem;

/// The remaining tensors of a file.
pub(crate) struct FileTensors<'a> {
    pub(crate) path: &'a Path,
    pub(crate) tensors: Tensors,
    /// Type of the file's weights and biases.
    pub(crate) values: ValueType,
    /// Bytes of the tensors taken so far.
    pub(crate) bytes_taken: usize,
}

/// A weight with its layout and the sizes given by the network. The file has as many biases as the
/// weight has rows, so memory per row is bounded by the file.
pub(crate) struct WeightTensor<'a> {
    /// Name of the weight, such as `fc1.weight`.
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl FileTensors<'_> {
    /// Takes a tensor of one of `types`. Without a `shape`, any one-dimensional shape is accepted.
    pub(crate) fn take(
        &mut self,
        tensor: &str,
        types: &[Dtype],
        shape: Option<&[usize]>,
    ) -> Result<RawTensor> {
        let path = || self.path.to_path_buf();
        let raw = self
            .tensors
            .remove(tensor)
            .ok_or_else(|| Error::MissingTensor {
                path: path(),
                tensor: tensor.to_owned(),
            })?;
        if !types.contains(&raw.dtype) {
            let words: Vec<String> = types.iter().map(Dtype::to_string).collect();
            return Err(Error::Dtype {
                path: path(),
                tensor: tensor.to_owned(),
                found: raw.dtype.to_string(),
                expected: words.join(" or "),
            });
        }
        let fits = shape.map_or(raw.shape.len() == 1, |shape| raw.shape == shape);
        if !fits {
            return Err(Error::Shape {
                path: path(),
                tensor: tensor.to_owned(),
                expected: shape.map_or_else(
                    || vec![raw.bytes.len() * 8 / raw.dtype.bitsize()],
                    <[usize]>::to_vec,
                ),
                found: raw.shape,
            });
        }
        self.bytes_taken += raw.bytes.len();
        Ok(raw)
    }

    /// Takes the values of a sparse layout and checks that they are finite and nonzero.
    pub(crate) fn take_entries(&mut self, tensor: &str) -> Result<RawTensor> {
        let raw = self.take(tensor, &[self.values.dtype()], None)?;
        self.check_finite(tensor, &raw)?;
        let zero = self
            .values
            .values(&raw.bytes)
            .position(|value| value == 0.0);
        match zero {
            Some(index) => Err(self.problem(tensor, Problem::StoredZero { index })),
            None => Ok(raw),
        }
    }

    /// Takes a tensor of type `values`.
    pub(crate) fn take_values(
        &mut self,
        tensor: &str,
        values: ValueType,
        shape: &[usize],
    ) -> Result<Vec<f32>> {
        let raw = self.take(tensor, &[values.dtype()], Some(shape))?;
        let numbers: Vec<f32> = values.values(&raw.bytes).collect();
        self.check_all_finite(tensor, numbers.iter().copied())?;
        Ok(numbers)
    }

    /// Rejects NaN and infinities.
    pub(crate) fn check_finite(&self, tensor: &str, raw: &RawTensor) -> Result<()> {
        self.check_all_finite(tensor, self.values.values(&raw.bytes))
    }

    fn check_all_finite(&self, tensor: &str, values: impl Iterator<Item = f32>) -> Result<()> {
        match values.enumerate().find(|(_, value)| !value.is_finite()) {
            Some((index, value)) => Err(self.problem(tensor, Problem::NotFinite { index, value })),
            None => Ok(()),
        }
    }

    /// Rejects a number of values other than that of their positions.
    pub(crate) fn check_count(
        &self,
        tensor: &str,
        places: usize,
        values: &RawTensor,
    ) -> Result<()> {
        let expected = values.shape[0];
        if places == expected {
            return Ok(());
        }
        Err(self.problem(
            tensor,
            Problem::Count {
                found: places,
                expected,
            },
        ))
    }

    /// Returns the error for a tensor's content.
    pub(crate) fn problem(&self, tensor: &str, problem: Problem) -> Error {
        Error::Content {
            path: self.path.to_path_buf(),
            tensor: tensor.to_owned(),
            problem: Box::new(problem),
        }
    }
}
