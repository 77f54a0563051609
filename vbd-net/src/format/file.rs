//! A pruned file: a net, the type of its values, the layout of each weight, the size on disk.

use std::path::Path;

use crate::file;
use crate::spec::NetSpec;

use super::choose;
use super::metadata::version_of;
use super::reader;
use super::size::{Declared, file_size};
use super::writer::Content;
use super::{Layout, Part, ValueType};
use crate::error::Result;
use crate::net::PrunedNet;

/// How a file stores one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The layout.
    pub layout: Layout,
    /// Bytes of the weight's tensors, their header entries aside.
    pub bytes: u64,
}

/// A pruned net as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedFile {
    net: PrunedNet,
    values: ValueType,
    storage: Vec<Storage>,
    bytes: u64,
}

impl PrunedFile {
    /// The file that `net` becomes with all weights in `layout`, or with `None` each in the one that
    /// makes the file smallest. Values are rounded to their type, ties to even; weights too small for
    /// it are dropped.
    ///
    /// # Errors
    /// [`Error::Overflow`](crate::Error::Overflow) or
    /// [`Error::NotFinite`](crate::Error::NotFinite) naming the tensor that has such a value.
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
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read, else as
    /// [`PrunedFile::from_bytes`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&file::read(path)?, path)
    }

    /// Reads a pruned file's bytes; `path` names it in errors.
    ///
    /// # Errors
    /// A variant of [`Error`](crate::Error) with the path and the tensor or field, whatever the bytes
    /// are.
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

    /// The bytes of the file; the same net, layouts and values give the same bytes.
    ///
    /// # Errors
    /// [`Error::Unwritable`](crate::Error::Unwritable) if the header passes safetensors' 100 MB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let layouts: Vec<Layout> = self.storage.iter().map(|storage| storage.layout).collect();
        Content {
            net: &self.net,
            values: self.values,
        }
        .to_bytes(&layouts)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// As [`PrunedFile::to_bytes`], and [`Error::Io`](crate::Error::Io) if the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        file::write_atomic(path, &self.to_bytes()?)
    }

    /// The net.
    pub fn net(&self) -> &PrunedNet {
        &self.net
    }

    /// The type of weights and biases.
    pub fn values(&self) -> ValueType {
        self.values
    }

    /// Version of the format.
    pub fn version(&self) -> u32 {
        version_of(&self.net)
    }

    /// How each weight is stored, in the order of the layers.
    pub fn storage(&self) -> &[Storage] {
        &self.storage
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Size of the net that `net` was made from as a dense file with f32 values.
///
/// # Errors
/// None of a net that was read or made by this crate.
pub fn dense_bytes(net: &PrunedNet) -> Result<u64> {
    let values = ValueType::F32;
    let whole = PrunedNet {
        spec: NetSpec {
            normalize: net.spec.normalize.clone(),
            ..net.before().clone()
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
    for weight in net.before().weights()? {
        let name = |what| format!("{}.{what}", weight.layer);
        let part = |shape: &[usize]| Part::new("", dtype, shape);
        declared.push(Declared::part(&name("weight"), &part(&weight.shape)));
        declared.push(Declared::part(&name("bias"), &part(&weight.shape[..1])));
    }
    Ok(file_size(&declared, content.json_len()) as u64)
}
