//! One numpy array (`.npy`) as the input of a network.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use vbd_net::data::Samples;

use super::npz::npy;
use crate::error::{Error, Result};

/// Reads samples of the shape `input` from an array of `uint8` or `float32`: one sample or, with one
/// more dimension in front, several. A sample has the network's shape, or is flat; that of a grey
/// image may lack the channel.
///
/// # Errors
/// [`Error::Net`] if the file cannot be read; [`Error::DataFile`] if it is not a whole numpy array,
/// or its type, shape or a value is wrong.
pub fn read_array(path: &Path, input: &[usize]) -> Result<Samples> {
    let file = File::open(path).map_err(Error::io(path))?;
    let problem = |field: &str, found: String, expected: String| Error::DataFile {
        path: path.to_owned(),
        field: field.to_owned(),
        found,
        expected,
    };
    let in_array =
        |found: npy::Problem| problem(found.field, found.found, found.expected.to_owned());
    let array = npy::read(BufReader::new(file)).map_err(in_array)?;
    let len: usize = input.iter().product();
    let shapes = shapes_of(input);
    let is_one = shapes.contains(&array.shape);
    let are_some = array
        .shape
        .split_first()
        .is_some_and(|(&n, sample)| n > 0 && shapes.iter().any(|shape| shape == sample));
    if !is_one && !are_some {
        let shapes: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
        let expected = format!(
            "{}, or several of them with their number in front",
            shapes.join(" or ")
        );
        return Err(problem("shape", format!("{:?}", array.shape), expected));
    }
    let inputs = array.into_inputs(len).map_err(in_array)?;
    Ok(Samples::unlabelled(inputs, len)?)
}

/// Returns the shapes that a sample may have.
fn shapes_of(input: &[usize]) -> Vec<Vec<usize>> {
    let mut shapes = vec![input.to_vec()];
    if let [1, rows, columns] = *input {
        shapes.push(vec![rows, columns]);
    }
    let flat = vec![input.iter().product()];
    if !shapes.contains(&flat) {
        shapes.push(flat);
    }
    shapes
}

#[cfg(test)]
mod tests {
    use vbd_net::data::Values;
    use vbd_net::file::write_atomic;

    use super::*;

    /// An array as numpy writes it.
    fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), values].concat()
    }

    fn read(bytes: &[u8], input: &[usize]) -> Result<Samples> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write_atomic(&path, bytes).unwrap();
        read_array(&path, input)
    }

    #[test]
    fn one_sample_or_several_are_read_flat_or_in_the_networks_shape() {
        let bytes: Vec<u8> = (0..12).collect();
        for (shape, input, n) in [
            ("(12,)", &[12][..], 1),
            ("(3, 4)", &[4], 3),
            ("(3, 4)", &[1, 2, 2], 3),
            ("(3, 2, 2)", &[1, 2, 2], 3),
            ("(3, 1, 2, 2)", &[1, 2, 2], 3),
            ("(3, 4)", &[1, 3, 4], 1),
            ("(1, 3, 4)", &[1, 3, 4], 1),
            ("(3, 2, 2)", &[3, 2, 2], 1),
            ("(1, 3, 2, 2)", &[3, 2, 2], 1),
        ] {
            let samples = read(&npy("|u1", shape, &bytes), input).unwrap();
            assert_eq!(samples.len(), n, "{shape} {input:?}");
            assert_eq!(samples.inputs(), Values::U8(&bytes), "{shape} {input:?}");
        }
        let floats: Vec<u8> = [0.5_f32, -2.0]
            .iter()
            .flat_map(|x| x.to_be_bytes())
            .collect();
        let samples = read(&npy(">f4", "(2,)", &floats), &[2]).unwrap();
        assert_eq!(samples.inputs(), Values::F32(&[0.5, -2.0]));
    }

    #[test]
    fn arrays_that_are_no_samples_name_the_part_and_what_would_be_right() {
        let nan: Vec<u8> = [1.0, f32::NAN]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        for (bytes, words) in [
            (
                npy("|u1", "(5,)", &[0; 5]),
                "shape is [5]: expected [1, 1, 2] or [1, 2] or [2]",
            ),
            (npy("|u1", "(0, 2)", &[]), "shape is [0, 2]"),
            (npy("|u1", "()", &[0]), "shape is []"),
            (npy("<f8", "(2,)", &[0; 16]), ".astype(\"float32\")"),
            (npy("<f4", "(2,)", &nan), "NaN"),
            (npy("|u1", "(2, 2)", &[0; 3]), "cut off after 3 bytes"),
            (npy("|u1", "(99999999, 2)", &[0; 3]), "cut off"),
            (b"PK\x03\x04 archive".to_vec(), "magic number"),
        ] {
            let error = read(&bytes, &[1, 1, 2]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("x.npy"), "{error}");
        }
    }
}
