//! Extra arguments of ansible-playbook: what they read, and the variables that they set.
//!
//! Invariant: an argument is understood in every spelling that Python's argparse takes: `--flag value`, `--flag=value`, an
//! abbreviated flag, `-fvalue`.

use super::known::Known;
use super::reach::{Reach, Scope};
use super::{jinja, named, names};

/// Options whose value matters here: short, long.
const OPTIONS: &[(&str, &str)] = &[
    ("-e", "--extra-vars"),
    ("-i", "--inventory"),
    ("-i", "--inventory-file"),
    ("-M", "--module-path"),
    ("-c", "--connection"),
    ("-l", "--limit"),
    ("", "--playbook-dir"),
];

/// Letters of options without a value, which may stand before another one: `-De@x.yml`.
const FLAGS: &[char] = &['D', 'C', 'b', 'v', 'k', 'K', 'J', 'h'];

/// The short name and the value of an option; the bool says whether the value was the next word.
fn option(word: &str, next: Option<&String>) -> Option<(&'static str, String, bool)> {
    if let Some(long) = word.strip_prefix("--") {
        let (flag, value) = long.split_once('=').map_or((long, None), |(flag, value)| (flag, Some(value.to_owned())));
        let exact = OPTIONS.iter().find(|(_, name)| name[2..] == *flag);
        let (short, _) = exact.or_else(|| OPTIONS.iter().find(|(_, name)| !flag.is_empty() && name[2..].starts_with(flag)))?;
        let taken = value.is_none();
        return Some((short, value.or_else(|| next.cloned())?, taken));
    }
    let letters = word.strip_prefix('-').filter(|rest| !rest.is_empty())?.trim_start_matches(FLAGS);
    let word = &format!("-{letters}");
    let (short, _) = OPTIONS.iter().find(|(short, _)| !short.is_empty() && word.starts_with(short))?;
    match &word[short.len()..] {
        "" => Some((short, next.cloned()?, true)),
        value => Some((short, value.strip_prefix('=').unwrap_or(value).to_owned(), false)),
    }
}

/// Options whose value is a file with a password or a key: read by every run, and never hashed.
const SECRETS: &[&str] = &[
    "--vault-password-file",
    "--vault-pass-file",
    "--vault-id",
    "--become-password-file",
    "--become-pass-file",
    "--connection-password-file",
    "--conn-pass-file",
    "--private-key",
    "--key-file",
];

/// Files with passwords that arguments name.
pub(super) fn password_files(arguments: &[String]) -> Vec<String> {
    let mut files = Vec::new();
    for (at, word) in arguments.iter().enumerate() {
        let (flag, value) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        if flag.len() > 4 && SECRETS.iter().any(|name| name.starts_with(flag)) {
            let value = value.or_else(|| arguments.get(at + 1).map(String::as_str)).unwrap_or_default();
            // `--vault-id dev@file`.
            files.push(value.rsplit('@').next().unwrap_or(value).to_owned());
        }
    }
    files.retain(|file| !file.is_empty() && file != "prompt");
    files
}

impl Reach<'_> {
    /// Files that extra arguments of ansible-playbook name.
    pub(super) fn arguments(&mut self, arguments: &[String], scope: &Scope) {
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            at += 1;
            let Some((flag, value, took_next)) = option(word, arguments.get(at)) else {
                continue;
            };
            at += usize::from(took_next);
            match flag {
                "-e" => self.extra_variables(&value, scope),
                "-i" => self.inventory(&value, scope),
                "-l" => {
                    for file in value.split([',', ':', ';']).filter_map(|part| part.strip_prefix('@')) {
                        let why = self.because(scope, "hosts that it is limited to", 1);
                        self.take(&names::join(&self.world.root, file), why);
                    }
                }
                "-c" if named::is_here(&value) => self.widen(None, "plays run on this machine", scope, 1),
                "-M" => {
                    for part in value.split(':') {
                        let why = self.because(scope, "module path", 1);
                        self.take(&names::join(&self.world.root.clone(), part), why);
                    }
                }
                "" => self.widen(None, "`--playbook-dir` is given", scope, 1),
                _ => {}
            }
        }
    }

    fn extra_variables(&mut self, value: &str, scope: &Scope) {
        if let Some(file) = value.strip_prefix('@') {
            let path = names::join(&self.world.root, file);
            let why = self.because(scope, format!("extra variables {file}"), 1);
            self.take(&path, why.clone());
            self.vars(&path, scope, &why);
        } else if value.trim_start().starts_with(['{', '[']) {
            match crate::syntax::yaml::parse(value.as_bytes()) {
                Ok(documents) => {
                    for document in &documents {
                        self.variables.assign_all(document);
                        // As in a file of variables: any task may use it.
                        self.lookups_in(document, &Scope { tasks: None, ..scope.clone() });
                    }
                }
                Err(_) => self.variables.blind = Some("extra variables that cannot be read".to_owned()),
            }
        } else {
            self.jinja(value, &Scope { tasks: None, ..scope.clone() }, 1);
            for (key, text) in jinja::words(value) {
                if let Some(key) = key {
                    self.variables.assign(&key, Known::Text(text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_passwords_are_known_in_every_spelling() {
        let words = ["--vault-password-file", "a", "--vault-id=dev@b", "--become-pass=c", "--vault-id", "x@prompt", "--tags", "d"];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(password_files(&words), ["a", "b", "c"]);
    }

    #[test]
    fn an_option_is_known_in_every_spelling() {
        let next = "v".to_owned();
        for word in ["-e", "-ev", "-Dev", "-vvve", "--extra-vars", "--extra-vars=v", "--ex=v", "--extra"] {
            assert_eq!(option(word, Some(&next)).map(|(flag, value, _)| (flag, value)), Some(("-e", "v".to_owned())), "{word}");
        }
        assert_eq!(option("--diff", Some(&next)), None);
        assert_eq!(option("--skip-tags", Some(&next)), None);
        assert_eq!(option("-v", Some(&next)), None);
    }
}
