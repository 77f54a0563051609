//! A file of a data set, gzipped or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use vbd_net::foreign;

use crate::error::{Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reader that unpacks gzip.
pub(super) struct PackedFile<'a> {
    path: &'a Path,
    is_gzipped: bool,
    /// What the file is, if it is of another program.
    foreign: Option<&'static str>,
    source: Box<dyn Read>,
}

impl<'a> PackedFile<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        // One fill of the buffer contains the first two bytes, if the file has them.
        let start = file.fill_buf().map_err(Error::io(path))?;
        let is_gzipped = start.starts_with(GZIP);
        let foreign = foreign::kind_of(start).filter(|_| !is_gzipped);
        let source: Box<dyn Read> = if is_gzipped {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        Ok(Self {
            path,
            is_gzipped,
            foreign,
            source,
        })
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// Returns what the file is instead, if it is of another program.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        self.foreign
    }

    /// Appends the next bytes, at most so many. Memory grows with the data actually read.
    pub(super) fn read(&mut self, into: &mut Vec<u8>, most: u64) -> Result<()> {
        let source = &mut self.source;
        match source.take(most).read_to_end(into) {
            Ok(_) => Ok(()),
            Err(source) if self.is_gzipped => Err(Error::Gzip {
                path: self.path.to_owned(),
                source,
            }),
            Err(source) => Err(Error::io(self.path)(source)),
        }
    }
}

/// Returns the path of a file in a folder, or else of its gzipped form, if there is one.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let forms = [folder.join(name), folder.join(format!("{name}.gz"))];
    forms.into_iter().find(|path| path.is_file())
}
