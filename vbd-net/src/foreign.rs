//! Names files of other programs by how they begin.

/// What to do about a pickle.
pub(crate) const PICKLE_HINT: &str = "convert it: python -c \"import sys, torch; from safetensors.torch import \
     save_file; save_file({name: tensor.contiguous() for name, tensor in torch.load(sys.argv[1], \
     map_location='cpu', weights_only=True).items()}, sys.argv[2])\" OLD.pt NEW.safetensors";

/// Returns what a file is that begins like this and cannot be a safetensors or IDX file, with what to
/// do about it where that helps; `None` if its kind is unknown.
///
/// ```
/// use vbd_net::foreign::kind_of;
///
/// assert!(kind_of(b"GGUF\x03").is_some_and(|kind| kind.starts_with("a GGUF file")));
/// assert_eq!(kind_of(b"no known kind"), None);
/// ```
pub fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let starts = |start: &[u8]| bytes.starts_with(start);
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if starts(b"version https://git-lfs") {
        return Some("a Git LFS pointer: fetch the file itself with `git lfs pull`");
    }
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return Some(if is_torch_zip(bytes) {
            "a PyTorch checkpoint, which is a pickle in a zip archive"
        } else {
            "a zip archive, such as a PyTorch checkpoint or a numpy .npz"
        });
    }
    // A pickle of protocol 2 to 5.
    if let [0x80, 2..=5, ..] = bytes {
        return Some("a Python pickle, such as an old PyTorch checkpoint");
    }
    let known: [(&[u8], &str); 12] = [
        (b"\x1f\x8b", "a gzip file: unpack it with `gunzip`"),
        (b"BZh", "a bzip2 file: unpack it first"),
        (b"\xfd7zXZ\0", "an xz file: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
        (b"GGUF", "a GGUF file"),
        (b"\x89HDF\r\n", "an HDF5 file, such as a Keras model"),
        (b"\x93NUMPY", "a numpy .npy file"),
        (b"\x89PNG\r\n", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"%PDF", "a PDF file"),
        (b"\x7fELF", "a program"),
        (b"TFL3", "a TensorFlow Lite file"),
    ];
    let found = known.into_iter().find(|(start, _)| starts(start));
    if let Some((_, kind)) = found {
        return Some(kind);
    }
    // TensorFlow Lite's mark follows an offset.
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite file");
    }
    is_html(bytes).then_some("an HTML page, such as a login or error page saved in place of a file")
}

/// Returns whether a zip archive's first file is that of `torch.save`: `NAME/data.pkl`, or, in newer
/// versions, `NAME/.format_version` or `NAME/.storage_alignment`.
fn is_torch_zip(bytes: &[u8]) -> bool {
    // A local file header has its name's length at 26, and the name at 30.
    let Some(&[low, high]) = bytes.get(26..28) else {
        return false;
    };
    let name = bytes.get(30..30 + usize::from(u16::from_le_bytes([low, high])));
    let has = |end: &str| name.is_some_and(|name| name.ends_with(end.as_bytes()));
    has("/data.pkl") || has("/.format_version") || has("/.storage_alignment")
}

fn is_html(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let starts = |tag: &[u8]| {
        text.get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag))
    };
    starts(b"<!doctype html") || starts(b"<html") || starts(b"<head") || starts(b"<?xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_are_named() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid",
                "Git LFS",
            ),
            (b"PK\x03\x04rest", "zip"),
            (b"\x80\x02}q\0", "pickle"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"GGUF\x03\0", "GGUF"),
            (b"\n <!DOCTYPE html><html>", "HTML"),
            (b"<HTML>", "HTML"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
        ] {
            let kind = kind_of(bytes).unwrap();
            assert!(kind.contains(word), "{kind}");
        }
    }

    #[test]
    fn a_safetensors_file_and_an_idx_file_are_not_foreign() {
        let file = crate::tensor_file::to_bytes(&crate::tensor_file::Tensors::new(), "{}".into());
        assert_eq!(kind_of(&file.unwrap()), None);
        assert_eq!(kind_of(&[0, 0, 8, 3, 0, 0]), None);
    }
}
