//! What is odd about images that can be read.

use std::path::{Path, PathBuf};

use crate::picture::Raster;

/// Largest highest value of a 16-bit image that uses a sixteenth of its range.
const FAINT: u16 = u16::MAX / 16;

/// What is odd about an image.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddities {
    is_transparent: bool,
    is_faint: bool,
}

impl Oddities {
    pub(super) fn of(raster: &Raster) -> Self {
        Self {
            is_transparent: !raster.is_opaque(),
            is_faint: raster.highest.is_some_and(|highest| highest <= FAINT),
        }
    }
}

/// Odd images of a data set, counted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    transparent: Count,
    faint: Count,
}

/// A number of images.
#[derive(Debug, Default)]
struct Count {
    images: usize,
    /// Path of the first image.
    first: PathBuf,
}

impl Count {
    fn add(&mut self, path: &Path) {
        if self.images == 0 {
            path.clone_into(&mut self.first);
        }
        self.images += 1;
    }

    /// Logs what the images are, if there are any.
    fn warn(&self, what: &str) {
        let first = self.first.display();
        match self.images {
            0 => {}
            1 => tracing::warn!("{first}: {what}"),
            images => tracing::warn!("{first} and {} other images: {what}", images - 1),
        }
    }
}

impl Notes {
    pub(super) fn add(&mut self, path: &Path, oddities: Oddities) {
        if oddities.is_transparent {
            self.transparent.add(path);
        }
        if oddities.is_faint {
            self.faint.add(path);
        }
    }

    /// Logs what was found.
    pub(super) fn warn(&self) {
        self.transparent
            .warn("transparent pixels are read on white");
        self.faint.warn(
            "at most a sixteenth of the 16-bit range is used, of which 8 bits are read: multiply the \
             values to use all of it",
        );
    }
}
