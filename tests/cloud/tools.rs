//! [`tools`]: the environment of the tools that `make tools` installs, for every test that starts one.
//!
//! Invariant: nothing of the person who runs the tests is in it but the search path; where the tools are not installed, the test fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment that `.tools/env.sh` sets, without anything of the person who runs the tests but the search path.
#[expect(clippy::disallowed_methods, reason = "where the tools are, who runs the tests may say")]
pub(crate) fn tools() -> &'static BTreeMap<String, String> {
    static TOOLS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder =
            std::env::var_os("OVENBIRD_TOOLS_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools"), PathBuf::from);
        set_by(&folder.join("env.sh"))
    })
}

/// The environment after a shell has read this file, which `make tools` wrote.
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a shell reads the file, and finds itself on PATH")]
pub(crate) fn set_by(file: &Path) -> BTreeMap<String, String> {
    assert!(file.is_file(), "`{}` is not there: the tools are not installed; run `make tools`", file.display());
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new("bash")
        .args(["-c", ". \"$0\" && exec env -0"])
        .arg(file)
        .env_clear()
        .env("PATH", path)
        .output()
        .expect("bash starts");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the environment is UTF-8");
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| !matches!(*name, "_" | "SHLVL" | "PWD" | "OLDPWD")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}
