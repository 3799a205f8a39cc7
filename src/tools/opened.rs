//! The record of our `sitecustomize.py`: one line a path → what a run of Ansible opened.
//!
//! The Python side owns the format, this file reads it; what may be opened is decided elsewhere. Invariant: a line that is not
//! understood makes the record worthless, and is an error: what it said may be the one path that matters.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File below a run's `plugins/` folder, and its text. Its folder goes first on PYTHONPATH.
pub const SITECUSTOMIZE: (&str, &str) = ("guard/sitecustomize.py", include_str!("../run/assets/guard/sitecustomize.py"));

/// What was done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Opened, and may have been read.
    Read,
    /// A folder was listed.
    List,
    /// Started as a process.
    Run,
    /// Named as an argument of a process, which may have read it.
    Name,
}

/// A path that was opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opened {
    /// Nanoseconds of the monotonic clock, the first time.
    pub at: u64,
    /// How, the first time.
    pub access: Access,
    /// Absolute, as it was given: `..` and links are still in it.
    pub path: PathBuf,
}

/// All that a record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// In the order of time, each path once for each access.
    pub opened: Vec<Opened>,
    /// Folders of the Pythons that ran (`sys.prefix`).
    pub pythons: Vec<PathBuf>,
}

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the record of opened files is damaged")]
pub struct Damaged {
    /// 1-based.
    pub line: usize,
}

impl Record {
    /// Collections of which a file was read, and their folders.
    pub fn collections(&self) -> BTreeMap<String, PathBuf> {
        let read = self.opened.iter().filter(|opened| opened.access == Access::Read);
        let one = |opened: &Opened| {
            let parts: Vec<_> = opened.path.components().collect();
            let at = parts.iter().position(|part| part.as_os_str() == "ansible_collections")?;
            let [namespace, name, _, ..] = parts.get(at + 1..)? else { return None };
            let full = format!("{}.{}", namespace.as_os_str().to_str()?, name.as_os_str().to_str()?);
            (!full.starts_with("ansible.")).then(|| (full, parts[..at + 3].iter().collect()))
        };
        read.filter_map(one).collect()
    }
}

/// Reads a record. What the run made itself before it read it is not in the answer.
///
/// # Errors
/// A line that is none.
pub fn parse(bytes: &[u8]) -> Result<Record, Damaged> {
    let mut record = Record::default();
    let (mut first, mut made) = (BTreeMap::<(PathBuf, Access), u64>::new(), BTreeMap::<PathBuf, u64>::new());
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for (at, line) in lines.iter().enumerate() {
        if line.is_empty() && at + 1 == lines.len() {
            break;
        }
        let damaged = Damaged { line: at + 1 };
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(time), Some(what), Some(path)) = (parts.next(), parts.next(), parts.next()) else { return Err(damaged) };
        let time: u64 = std::str::from_utf8(time).ok().and_then(|text| text.parse().ok()).ok_or(damaged.clone())?;
        let path = PathBuf::from(OsString::from_vec(unescaped(path)));
        let access = match what {
            b"read" => Access::Read,
            b"list" => Access::List,
            b"run" => Access::Run,
            b"name" => Access::Name,
            b"write" => {
                made.entry(path).and_modify(|known| *known = time.min(*known)).or_insert(time);
                continue;
            }
            b"python" => {
                record.pythons.push(path);
                continue;
            }
            _ => return Err(damaged),
        };
        first.entry((path, access)).and_modify(|known| *known = time.min(*known)).or_insert(time);
    }
    let by_the_run = |path: &Path, at: u64| made.get(path).is_some_and(|made| *made < at);
    record.opened = first
        .into_iter()
        .filter(|((path, _), at)| !by_the_run(path, *at))
        .map(|((path, access), at)| Opened { at, access, path })
        .collect();
    record.opened.sort();
    record.pythons.sort();
    record.pythons.dedup();
    Ok(record)
}

/// `\\` and `\n`, as the Python side writes them.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut text = text.iter();
    while let Some(byte) = text.next() {
        bytes.push(match (byte, byte == &b'\\') {
            (_, true) => match text.next() {
                Some(b'n') => b'\n',
                Some(other) => *other,
                None => b'\\',
            },
            (byte, false) => *byte,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_once_with_its_first_time_and_what_the_run_made_itself_is_not() {
        let text =
            b"5 python /venv\n9 read /r/a\n7 read /r/a\n8 list /r\n10 write /r/made\n11 read /r/made\n12 read /r/late\n13 write /r/late\n";
        let record = parse(text).unwrap();
        let told: Vec<_> = record.opened.iter().map(|o| (o.at, o.access, o.path.to_str().unwrap())).collect();
        assert_eq!(told, [(7, Access::Read, "/r/a"), (8, Access::List, "/r"), (12, Access::Read, "/r/late")]);
        assert_eq!(record.pythons, [PathBuf::from("/venv")]);
    }

    #[test]
    fn collections_are_known_by_the_files_that_were_read_of_them() {
        let read = |path: &str| format!("1 read /c/ansible_collections/{path}\n");
        let text = [read("acme/one/plugins/filter/x.py"), read("acme/one/meta/runtime.yml"), read("ansible/builtin/x"), read("acme/none")]
            .concat();
        let record = parse(format!("{text}1 list /c/ansible_collections/acme/listed/plugins\n").as_bytes()).unwrap();
        assert_eq!(record.collections(), BTreeMap::from([("acme.one".to_owned(), PathBuf::from("/c/ansible_collections/acme/one"))]));
    }

    #[test]
    fn a_name_may_hold_any_byte() {
        let record = parse(b"1 read /r/a b\\nc\\\\d\xff\n").unwrap();
        assert_eq!(record.opened[0].path.as_os_str().as_encoded_bytes(), b"/r/a b\nc\\d\xff");
    }

    #[test]
    fn a_damaged_line_is_an_error_and_never_a_file_less() {
        for text in [&b"1 read /r/a\nx"[..], b"read /r/a\n", b"1 seen /r/a\n", b"\n1 read /r/a\n", b"1 read"] {
            assert!(parse(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse(b"1 read /r/a\n2").unwrap_err().line, 2);
    }
}
