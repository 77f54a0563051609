//! Mutated files are refused or read as Pillow reads them. `scripts/pictures_property` makes the
//! cases.
