//! Atomic file writes: write to a temporary file, fsync, rename.

use std::fs::{File, Permissions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::foreign;

/// Start of the name of a temporary file.
const PREFIX: &str = ".vbd-";
/// End of the name of a temporary file.
const SUFFIX: &str = ".tmp";

/// Writes `bytes` to `path` atomically: readers see the old file or the new one, never a part. A
/// symbolic link stays a link, to the file that is written. An existing file keeps its permissions.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::NotWritable`] if it is a directory, device, pipe or socket,
/// or a file without write permission. An existing file is left unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    if ["/dev", "/proc"]
        .iter()
        .any(|system| path.starts_with(system))
    {
        let (path, what) = (path.to_path_buf(), "a device, pipe or socket");
        return Err(Error::NotWritable { path, what });
    }
    let path = &end_of_links(path)?;
    let existing = check_writable(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::metadata(folder).map_err(Error::io(path))?;
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            // The permissions of a normal file, restricted by the umask.
            use std::os::unix::fs::PermissionsExt;
            let permissions = || Permissions::from_mode(0o666);
            builder.permissions(existing.clone().unwrap_or_else(permissions));
        }
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        if let Some(permissions) = &existing {
            // The umask has taken some away.
            file.as_file().set_permissions(permissions.clone())?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The rename itself must reach the disk too; not every file system lets a folder be synced.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    // tempfile's errors contain the name of the temporary file, which is useless to a user.
    let plain = |error: std::io::Error| match error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    };
    write().map_err(plain).map_err(Error::io(path))
}

/// Follows symbolic links to the path that they lead to, which may not exist.
fn end_of_links(path: &Path) -> Result<PathBuf> {
    /// Links that Linux follows in a path.
    const MOST: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST {
        let is_link = path
            .symlink_metadata()
            .is_ok_and(|found| found.is_symlink());
        if !is_link {
            return Ok(path);
        }
        let target = std::fs::read_link(&path).map_err(Error::io(&path))?;
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    Err(Error::io(path)(std::io::Error::other(
        "too many symbolic links",
    )))
}

/// Returns the permissions of an existing file.
///
/// # Errors
/// [`Error::NotWritable`] if it is no regular file or has no write permission.
fn check_writable(path: &Path) -> Result<Option<Permissions>> {
    let Ok(found) = path.metadata() else {
        return Ok(None);
    };
    let refused = |what| Error::NotWritable {
        path: path.to_path_buf(),
        what,
    };
    if found.is_dir() {
        return Err(refused("a directory"));
    }
    if !found.is_file() {
        return Err(refused("a device, pipe or socket"));
    }
    let permissions = found.permissions();
    if permissions.readonly() {
        return Err(refused("a file without write permission"));
    }
    Ok(Some(permissions))
}

/// Removes the temporary files that [`write_atomic`] leaves in a directory if its process is killed.
/// Requires that no other process is writing there.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn sweep(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_ours = name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_ours && path.is_file() {
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Reads a text file.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Foreign`] if it is a file of another program, or no text.
pub fn read_to_string(path: &Path) -> Result<String> {
    let bytes = read(path)?;
    let kind = foreign::kind_of(&bytes).filter(|_| !bytes.is_empty());
    let refused = |kind| Error::Foreign {
        path: path.to_path_buf(),
        kind,
    };
    if let Some(kind) = kind {
        return Err(refused(kind));
    }
    String::from_utf8(bytes).map_err(|_| refused("not UTF-8"))
}

/// Reads a file.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(path))
}

#[cfg(test)]
#[cfg_attr(
    unix,
    expect(
        clippy::disallowed_methods,
        reason = "tests write what an atomic write would refuse or take too long for"
    )
)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link_to_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("far")).unwrap();
        std::fs::write(at("far/real"), b"old").unwrap();
        std::os::unix::fs::symlink("far/real", at("link")).unwrap();
        std::os::unix::fs::symlink("link", at("second")).unwrap();
        std::os::unix::fs::symlink("far/new", at("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        write_atomic(&at("second"), b"new").unwrap();
        write_atomic(&at("dangling"), b"made").unwrap();
        assert_eq!(read(&at("far/real")).unwrap(), b"new");
        assert_eq!(read(&at("far/new")).unwrap(), b"made");
        for link in ["link", "second", "dangling"] {
            assert!(at(link).symlink_metadata().unwrap().is_symlink(), "{link}");
        }
        assert!(write_atomic(&at("loop"), b"x").is_err());
    }

    #[test]
    #[cfg(unix)]
    fn permissions_are_kept_and_what_is_no_writable_file_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let set = |mode| {
            let permissions = Permissions::from_mode(mode);
            std::fs::set_permissions(at("a"), permissions).unwrap();
        };
        std::fs::write(at("a"), b"old").unwrap();
        set(0o666);
        write_atomic(&at("a"), b"new").unwrap();
        let mode = at("a").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        set(0o444);
        for (path, what) in [
            (at("a"), "without write permission"),
            (folder.path().to_path_buf(), "a directory"),
            ("/dev/null".into(), "a device"),
        ] {
            let message = write_atomic(&path, b"x").unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        }
        assert_eq!(read(&at("a")).unwrap(), b"new");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"old").unwrap();
        assert!(write_atomic(&folder.path().join("no/b"), b"new").is_err());
        write_atomic(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
