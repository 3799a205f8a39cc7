//! [`CommandLine`]: what is started, as data that can be compared and shown.
//!
//! Starts nothing. Invariant: the environment is complete (the child gets these variables and no others), and no secret stands in
//! arguments or environment: those are for everybody who can run `ps`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A child process that has not been started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CommandLine {
    /// Name that is looked up in the `PATH` of [`Self::env`], or an absolute path.
    pub program: OsString,
    /// Arguments without the program.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Working folder, absolute.
    pub cwd: PathBuf,
}

impl CommandLine {
    /// `program` in `cwd`, without arguments, in an empty environment.
    pub fn new(program: impl Into<OsString>, cwd: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: BTreeMap::new(), cwd: cwd.into() }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets variables.
    pub fn envs<N: Into<OsString>, V: Into<OsString>>(mut self, env: impl IntoIterator<Item = (N, V)>) -> Self {
        self.env.extend(env.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The program's last path segment, for messages.
    pub fn name(&self) -> String {
        std::path::Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy().into_owned()
    }
}

impl fmt::Display for CommandLine {
    /// As one would type it into a shell, without the environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.program.to_string_lossy()))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(&arg.to_string_lossy())))
    }
}

/// `text` as one word of a POSIX shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Where a program is, by the folders of a `PATH`.
pub fn find(program: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |file: &PathBuf| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    path.split(':').filter(|folder| !folder.is_empty()).map(|folder| PathBuf::from(folder).join(program)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_display_back_as_the_same_words() {
        let line = CommandLine::new("docker", "/").args(["exec", "a b", "it's", ""]).arg("a=$HOME");
        assert_eq!(line.to_string(), r"docker exec 'a b' 'it'\''s' '' 'a=$HOME'");
    }
}
