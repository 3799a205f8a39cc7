//! What strace wrote → which paths were touched, and how.
//!
//! Must not know what counts. A line is one call: nothing is interleaved because each process has a file of its own (`-ff`). Invariant:
//! a call of a kind that names a path and is not understood fails the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::tree::normal;

/// How a path was touched; the strongest of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Asked for: stat, access, readlink, an open that failed.
    Asked,
    /// Its names were read.
    Listed,
    /// Its bytes were read, or it was started.
    Read,
}

/// Every path below the folders of interest, without `.` and `..`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) paths: BTreeMap<PathBuf, How>,
    /// Calls that were looked at.
    pub(crate) calls: usize,
}

impl Touched {
    pub(crate) fn add(&mut self, path: PathBuf, how: How) {
        let known = self.paths.entry(path).or_insert(how);
        *known = (*known).max(how);
    }

    /// What lies below a folder, seen from there.
    pub(crate) fn below(&self, folder: &Path) -> Self {
        let inside = |(path, how): (&PathBuf, &How)| Some((path.strip_prefix(folder).ok()?.to_owned(), *how));
        Self { paths: self.paths.iter().filter_map(inside).collect(), calls: self.calls }
    }
}

/// Reads the files `t.PID` of a folder; `cwd`: where the first process began.
pub(crate) fn read(folder: &Path, cwd: &Path) -> Touched {
    let mut touched = Touched::default();
    for entry in std::fs::read_dir(folder).expect("strace wrote there") {
        let bytes = std::fs::read(entry.expect("it can be listed").path()).expect("it can be read");
        let mut cwd = cwd.to_owned();
        for line in String::from_utf8_lossy(&bytes).lines() {
            touched.calls += 1;
            call(line, &mut cwd, &mut touched);
        }
    }
    assert!(touched.calls > 0, "strace wrote nothing");
    touched
}

fn call(line: &str, cwd: &mut PathBuf, touched: &mut Touched) {
    let Some((name, rest)) = line.split_once('(') else { return };
    if line.starts_with(['+', '-']) {
        return;
    }
    let failed = rest.rsplit_once(" = ").is_none_or(|(_, result)| result.starts_with('-') || result.starts_with('?'));
    if let Some(here) = rest.strip_prefix("AT_FDCWD<").and_then(bracketed) {
        *cwd = here;
    }
    match name {
        "getdents64" => {
            let folder = rest.split_once('<').and_then(|(_, rest)| bracketed(rest));
            touched.add(folder.unwrap_or_else(|| panic!("strace without -y: {line}")), How::Listed);
        }
        "getcwd" => {}
        "chdir" => {
            let path = seen_from(cwd, &strings(rest, 1)[0]);
            if !failed {
                cwd.clone_from(&path);
            }
            touched.add(path, How::Asked);
        }
        "rename" | "link" | "symlink" => {
            strings(rest, 2).into_iter().for_each(|path| touched.add(seen_from(cwd, &path), How::Asked));
        }
        _ => {
            // A call by descriptor alone has an empty path: that file was opened, which is a call of its own.
            let Some(path) = strings(rest, 1).into_iter().next().filter(|path| !path.as_os_str().is_empty()) else { return };
            let base = rest.split_once('"').map_or("", |(before, _)| before).split_once('<').and_then(|(_, rest)| bracketed(rest));
            let path = seen_from(base.as_ref().unwrap_or(cwd), &path);
            let how = match name {
                "open" | "openat" | "openat2" if !failed && !rest.contains("O_WRONLY") && !rest.contains("O_DIRECTORY") => How::Read,
                "execve" | "execveat" if !failed => How::Read,
                _ => How::Asked,
            };
            touched.add(path, how);
        }
    }
}

fn seen_from(base: &Path, path: &Path) -> PathBuf {
    normal(&base.join(path))
}

/// The text up to `>`, as a path.
fn bracketed(text: &str) -> Option<PathBuf> {
    let (inside, _) = text.split_once('>')?;
    Some(unescaped(inside).trim_end_matches(" (deleted)").into())
}

/// The first `count` quoted texts.
fn strings(text: &str, count: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < count {
        let Some((_, after)) = rest.split_once('"') else { break };
        let mut escaped = false;
        let Some(end) = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        }) else {
            break;
        };
        found.push(unescaped(&after[..end]).into());
        rest = &after[end + 1..];
    }
    found
}

/// strace's `\303\251`, `\"`, `\n`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let mut octal = 0_u32;
        let mut digits = 0;
        while digits < 3 && rest.peek().is_some_and(|b| (b'0'..=b'7').contains(b)) {
            octal = octal * 8 + u32::from(rest.next().expect("it was there") - b'0');
            digits += 1;
        }
        bytes.push(match digits {
            0 => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'f') => 12,
                Some(b'v') => 11,
                Some(other) => other,
                None => b'\\',
            },
            _ => u8::try_from(octal).unwrap_or(b'?'),
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn calls_of_every_form_are_read() {
    let lines = [
        r#"openat(AT_FDCWD</r>, "ansible.cfg", O_RDONLY|O_CLOEXEC) = 3</r/ansible.cfg>"#,
        r#"openat(4</r/roles>, "a", O_RDONLY|O_DIRECTORY) = -1 ENOENT (No such file or directory)"#,
        r#"newfstatat(3</r/ansible.cfg>, "", {st_mode=S_IFREG|0644, st_size=1, ...}, AT_EMPTY_PATH) = 0"#,
        r#"access("x/../caf\303\251", F_OK) = 0"#,
        "getdents64(5</r/roles/b>, 0x5581 /* 3 entries */, 32768) = 80",
        r#"chdir("/r/sub") = 0"#,
        r#"execve("./run.sh", ["./run.sh"], 0x7ff /* 9 vars */) = 0"#,
        r#"openat(AT_FDCWD</r>, "out", O_WRONLY|O_CREAT, 0666) = 4</r/out>"#,
        "+++ exited with 0 +++",
    ];
    let (mut cwd, mut touched) = (PathBuf::from("/r"), Touched::default());
    lines.iter().for_each(|line| call(line, &mut cwd, &mut touched));
    let found: Vec<_> = touched.paths.iter().map(|(p, how)| (p.to_str().expect("UTF-8"), *how)).collect();
    let expected = [
        ("/r/ansible.cfg", How::Read),
        ("/r/café", How::Asked),
        ("/r/out", How::Asked),
        ("/r/roles/a", How::Asked),
        ("/r/roles/b", How::Listed),
        ("/r/sub", How::Asked),
        ("/r/sub/run.sh", How::Read),
    ];
    assert_eq!(found, expected);
}
