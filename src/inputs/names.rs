//! Paths ↔ names in a key: relative to the root, `/` between parts, `\xNN` for bytes that are not UTF-8.
//!
//! Reads no disk. Invariant: two different paths never get one name, and no name holds an absolute path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Bytes of a path as a name: UTF-8, `\xNN` for bytes that are not, `\\` for a backslash.
pub(super) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    // Nearly every name is its own text.
    if let Ok(text) = std::str::from_utf8(bytes)
        && memchr::memchr(b'\\', bytes).is_none()
    {
        return text.to_owned();
    }
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                name.push_str("\\\\");
            } else {
                name.push(c);
            }
        }
        for byte in chunk.invalid() {
            write!(name, "\\x{byte:02x}").expect("writing to a String cannot fail");
        }
    }
    name
}

/// The way back from [`encode`].
pub(super) fn decode(name: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = || u8::from_str_radix(std::str::from_utf8(after.get(1..3)?).ok()?, 16).ok();
        match (byte, after.first()) {
            (b'\\', Some(b'x')) if hex().is_some() => {
                bytes.extend(hex());
                rest = &after[3..];
            }
            (b'\\', Some(b'\\')) => {
                bytes.push(byte);
                rest = &after[1..];
            }
            _ => bytes.push(byte),
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// `path` without `.` and `..`, by its text alone: what Ansible's `unfrackpath(follow=False)` does. Links are not looked at.
pub(super) fn normal(path: &Path) -> PathBuf {
    if is_plain(path.as_os_str().as_bytes()) {
        return path.to_owned();
    }
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
        }
    }
    normal
}

/// Is it normal as it stands: no part is empty, none begins with a dot, no slash stands last. By its bytes, because to go through a
/// path part by part costs twenty times as much, and that for some hundred thousand paths a plan.
fn is_plain(path: &[u8]) -> bool {
    path.last().is_some_and(|last| *last != b'/')
        && path.first() != Some(&b'.')
        && memchr::memchr_iter(b'/', path).all(|at| !matches!(path.get(at + 1), Some(b'/' | b'.')))
}

/// [`Path::join`], faster: the place for both is made at once.
pub(super) fn below(folder: &Path, name: impl AsRef<OsStr>) -> PathBuf {
    let name = name.as_ref();
    let mut path = OsString::with_capacity(folder.as_os_str().len() + 1 + name.len());
    path.push(folder);
    let mut path = PathBuf::from(path);
    path.push(name);
    path
}

/// `text` as a path, seen from `folder`; absolute ones stay. Normalised.
pub(super) fn join(folder: &Path, text: &str) -> PathBuf {
    let joined = below(folder, text);
    if is_plain(joined.as_os_str().as_bytes()) { joined } else { normal(&joined) }
}

/// The folder that a path stands in, and its last part. `None`: it has none, or its text is not enough to tell.
pub(super) fn apart(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let at = memchr::memrchr(b'/', bytes)?;
    let (folder, name) = (&bytes[..at], &bytes[at + 1..]);
    let told = !folder.is_empty() && !folder.ends_with(b"/") && !folder.ends_with(b"/.") && !matches!(name, b"" | b"." | b"..");
    told.then(|| (Path::new(OsStr::from_bytes(folder)), OsStr::from_bytes(name)))
}

/// What is left of `path` behind `folder` and a slash, by the bytes of both. `None`: it does not lie in it, or it is written otherwise.
pub(super) fn behind<'p>(path: &'p Path, folder: &Path) -> Option<&'p Path> {
    let rest = path.as_os_str().as_bytes().strip_prefix(folder.as_os_str().as_bytes())?.strip_prefix(b"/")?;
    (!folder.as_os_str().is_empty() && !rest.starts_with(b"/") && is_plain(rest)).then(|| Path::new(OsStr::from_bytes(rest)))
}

/// [`Path::starts_with`], faster for paths that are written alike.
pub(super) fn is_in(path: &Path, folder: &Path) -> bool {
    behind(path, folder).is_some() || path.starts_with(folder)
}

/// Name of a path inside `root`; the root itself is `.`; `None`: outside.
pub(super) fn inside(root: &Path, path: &Path) -> Option<String> {
    let relative = match behind(path, root) {
        Some(rest) => rest,
        None => path.strip_prefix(root).ok()?,
    };
    if relative.as_os_str().is_empty() {
        return Some(".".to_owned());
    }
    Some(encode(relative.as_os_str().as_bytes()))
}

/// Last part of a path as a name.
pub(super) fn last(path: &Path) -> String {
    encode(path.file_name().unwrap_or(OsStr::new("")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_never_get_one_name() {
        assert_eq!(encode(b"a\xffb"), "a\\xffb");
        assert_eq!(encode(b"a\\xffb"), "a\\\\xffb");
        assert_eq!(encode("設定".as_bytes()), "設定");
        for bytes in [&b"a\xffb"[..], b"a\\xffb", "設定/a".as_bytes(), b"\\\xfe\\"] {
            assert_eq!(decode(&encode(bytes)).as_os_str().as_bytes(), bytes);
        }
    }

    #[test]
    fn by_bytes_a_path_is_taken_apart_as_part_by_part() {
        let texts =
            ["/", "/a", "/a/", "/a/b", "a/b", "//a", "/a//b", "/a/./b", "/a/.", "/a/..", "/a/../b", "/a/.b", ".a", "", "/a/b.c", "/ab/c"];
        for text in texts {
            let path = Path::new(text);
            if let Some(parts) = apart(path) {
                assert_eq!(Some(parts), path.parent().zip(path.file_name()), "{text}");
            }
            let slowly = path.components().fold(PathBuf::new(), |mut normal, part| {
                match part {
                    Component::ParentDir => drop(normal.pop()),
                    Component::CurDir => {}
                    other => normal.push(other),
                }
                normal
            });
            assert_eq!(normal(path).as_os_str(), slowly.as_os_str(), "{text}");
            for folder in texts.map(Path::new) {
                assert_eq!(is_in(path, folder), path.starts_with(folder), "{text} in {folder:?}");
                if let Some(rest) = behind(path, folder) {
                    assert_eq!(Ok(rest), path.strip_prefix(folder), "{text} in {folder:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_relative_to_the_root_or_there_are_none() {
        let root = Path::new("/r");
        assert_eq!(inside(root, &join(Path::new("/r/a"), "../b/./c")).as_deref(), Some("b/c"));
        assert_eq!(inside(root, root).as_deref(), Some("."));
        assert_eq!(inside(root, &join(root, "../x")), None);
        assert_eq!(inside(root, &join(root, "/etc/passwd")), None);
    }
}
