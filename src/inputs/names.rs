//! Paths ↔ names in a key: relative to the root, `/` between parts, `\xNN` for bytes that are not UTF-8.
//!
//! Reads no disk. Invariant: two different paths never get one name, and no name holds an absolute path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Bytes of a path as a name: UTF-8, `\xNN` for bytes that are not, `\\` for a backslash.
pub(super) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
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

/// `text` as a path, seen from `folder`; absolute ones stay. Normalised.
pub(super) fn join(folder: &Path, text: &str) -> PathBuf {
    normal(&folder.join(text))
}

/// Name of a path inside `root`; the root itself is `.`; `None`: outside.
pub(super) fn inside(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).ok()?;
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
    fn names_are_relative_to_the_root_or_there_are_none() {
        let root = Path::new("/r");
        assert_eq!(inside(root, &join(Path::new("/r/a"), "../b/./c")).as_deref(), Some("b/c"));
        assert_eq!(inside(root, root).as_deref(), Some("."));
        assert_eq!(inside(root, &join(root, "../x")), None);
        assert_eq!(inside(root, &join(root, "/etc/passwd")), None);
    }
}
