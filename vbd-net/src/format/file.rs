//! A pruned file: a net with its value type, layouts and size on disk.

use std::path::Path;

use crate::file;
use crate::spec::NetSpec;

use super::choose;
use super::metadata::version_of;
use super::reader;
use super::size::{DeclaredSize, file_size};
use super::writer::Content;
use super::{Layout, LayoutTensor, ValueType};
use crate::error::Result;
use crate::net::PrunedNet;

/// How a file stores one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Layout of the weight.
    pub layout: Layout,
    /// Bytes of the weight's tensors, without header entries.
    pub bytes: u64,
}

/// A pruned net as stored in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedFile {
    net: PrunedNet,
    values: ValueType,
    storage: Vec<Storage>,
    bytes: u64,
}

impl PrunedFile {
    /// Encodes `net` with all weights in `layout`, or if `None` in the layouts that give the
    /// smallest file. Values are rounded to `values`, ties to even; weights that round to zero are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Overflow`](crate::Error::Overflow) or
    /// [`Error::NotFinite`](crate::Error::NotFinite), naming the tensor.
    pub fn new(net: &PrunedNet, layout: Option<Layout>, values: ValueType) -> Result<Self> {
        let net = net.rounded(values)?;
        let content = Content { net: &net, values };
        let layouts = choose::layouts(&content, layout);
        let storage = layouts.iter().enumerate().map(|(index, &layout)| {
            let bytes = choose::weight_bytes(&content.weight(index, layout)) as u64;
            Storage { layout, bytes }
        });
        let storage = storage.collect();
        let bytes = file_size(&content.declared(&layouts), content.json_len()) as u64;
        Ok(Self {
            net,
            values,
            storage,
            bytes,
        })
    }

    /// Reads a pruned file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read, or those of
    /// [`PrunedFile::from_bytes`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&file::read(path)?, path)
    }

    /// Decodes the bytes of a pruned file. `path` is used in errors.
    ///
    /// # Errors
    /// An [`Error`](crate::Error) with the path and the tensor or field if the bytes are not a
    /// valid file.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let read = reader::read(bytes, path)?;
        let storage = read.storage.into_iter();
        Ok(Self {
            net: read.net,
            values: read.values,
            storage: storage
                .map(|(layout, bytes)| Storage {
                    layout,
                    bytes: bytes as u64,
                })
                .collect(),
            bytes: bytes.len() as u64,
        })
    }

    /// Returns the bytes of the file. The same net, layouts and value type give the same bytes.
    ///
    /// # Errors
    /// [`Error::Unwritable`](crate::Error::Unwritable) if the header exceeds safetensors' limit of
    /// 100 MB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let layouts: Vec<Layout> = self.storage.iter().map(|storage| storage.layout).collect();
        Content {
            net: &self.net,
            values: self.values,
        }
        .to_bytes(&layouts)
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// Those of [`PrunedFile::to_bytes`], and [`Error::Io`](crate::Error::Io) if writing fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        file::write_atomic(path, &self.to_bytes()?)
    }

    /// Returns the net.
    pub fn net(&self) -> &PrunedNet {
        &self.net
    }

    /// Returns the type of weights and biases.
    pub fn values(&self) -> ValueType {
        self.values
    }

    /// Returns the version of the format.
    pub fn version(&self) -> u32 {
        version_of(&self.net)
    }

    /// Returns the storage of each weight, in layer order.
    pub fn storage(&self) -> &[Storage] {
        &self.storage
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Returns the size of the original net as a dense f32 file, in bytes.
///
/// # Errors
/// None for a net created by this crate.
pub fn dense_bytes(net: &PrunedNet) -> Result<u64> {
    let values = ValueType::F32;
    let whole = PrunedNet {
        spec: NetSpec {
            normalize: net.spec.normalize.clone(),
            ..net.original().clone()
        },
        layers: Vec::new(),
        selections: Vec::new(),
        scales: Vec::new(),
        before: None,
        ..net.clone()
    };
    let content = Content {
        net: &whole,
        values,
    };
    let dtype = values.dtype();
    let mut declared = content.declared_images();
    for weight in net.original().weights()? {
        let name = |what| format!("{}.{what}", weight.layer);
        let part = |shape: &[usize]| LayoutTensor::new("", dtype, shape);
        declared.push(DeclaredSize::part(&name("weight"), &part(&weight.shape)));
        if weight.has_bias {
            declared.push(DeclaredSize::part(&name("bias"), &part(&weight.shape[..1])));
        }
    }
    Ok(file_size(&declared, content.json_len()) as u64)
}
