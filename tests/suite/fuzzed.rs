//! Whatever stands in a file that a key is made of: no panic, and no file that silently counts for nothing.
//!
//! Seeds are files of every kind, mutated by pieces that mean something to their parsers. What once failed is kept in
//! `tests/fixtures/fuzz/kept/` and tried first. Invariant: a case is made of its number alone, so a failure can be had again.
//! 2,000 cases in `make test`; 200,000 with `OVENBIRD_PROOF=1`, which prints the longest time, too: that of a processor, because a
//! clock also tells what else the machine was doing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ovenbird::config::load::Loaded;
use ovenbird::inputs::{InputContext, collect};
use ovenbird::model::name::Name;
use ovenbird::plan::inputs::StageInputs;
use ovenbird::plan::manifest::InputManifest;

use crate::keys_tree::Keys;

/// What a mutated file is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Playbook,
    Tasks,
    Variables,
    Meta,
    Hcl,
    Json,
    Lock,
    Manifest,
}

const KINDS: [Kind; 8] = [Kind::Playbook, Kind::Tasks, Kind::Variables, Kind::Meta, Kind::Hcl, Kind::Json, Kind::Lock, Kind::Manifest];

const PIPELINE: &str = r#"pipeline "shop" { region = "ap-northeast-1" }
source "debian" {
  ami "x86_64" { id = "ami-0123456789abcdef0" }
  ssh_username = "admin"
}
stage "web" {
  from     = source.debian
  playbook = "ansible/web.yml"
}
stage "legacy" {
  from        = source.debian
  template    = "legacy/app.json"
  only        = ["amazon-ebs"]
  packer_vars = { source_ami = parent.id, ami_name = artifact.name }
}
"#;

const LOCK: &str = "format = 1\n\nsource \"debian\" \"x86_64\" {\n  region = \"ap-northeast-1\"\n  id     = \"ami-0123456789abcdef0\"\n  name   = \"n\"\n  pinned = \"2026-11-16\"\n}\n\nstage \"web\" {\n  generation = 2\n  freshness  = \"2026-11-16\"\n}\n";

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Playbook => "ansible/web.yml",
            Self::Tasks => "ansible/roles/nginx/tasks/main.yml",
            Self::Variables => "ansible/group_vars/all.yml",
            Self::Meta => "ansible/roles/nginx/meta/main.yml",
            Self::Hcl => "packer/image.pkr.hcl",
            Self::Json => "legacy/app.json",
            Self::Lock => "ovenbird.lock",
            Self::Manifest => "manifest",
        }
    }

    fn seed(self) -> &'static str {
        match self {
            Self::Playbook => {
                "- import_playbook: more.yml\n- hosts: all\n  vars: {which: &a [one, two], more: *a}\n  vars_files: [\"{{ which }}.yml\", [x.yml, y.yml]]\n  roles:\n    - role: nginx\n      when: x\n    - {name: tls, vars: {a: 1}}\n  tasks:\n    - include_tasks: \"{{ item }}.yml\"\n      loop: [a, b]\n"
            }
            Self::Tasks => {
                "- name: copy\n  copy: src={{ which }}.conf dest=/x mode=preserve\n- block:\n    - template:\n        src: \"{{ lookup('first_found', names) | default('a') }}\"\n  rescue:\n    - include_role: {name: \"{{ role }}\"}\n      with_items: \"{{ roles }}\"\n  vars:\n    names: {files: ['{{ ansible_distribution }}.yml', d.yml], paths: [vars]}\n- local_action: command true\n- !unsafe x: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    6161\n"
            }
            Self::Variables => {
                "which: one\nroles: [a, b, {c: d}]\nrole: \"{{ which }}{{ roles[0] }}\"\ndeep: {a: {b: [1, 1.10, yes, ~, 0644]}}\n<<: {merged: 1}\n"
            }
            Self::Meta => {
                "dependencies:\n  - role: tls\n    when: false\n  - {name: x, src: git+https://h/x, version: 1}\n  - acme.tools.y\ncollections: [acme.tools]\n"
            }
            Self::Hcl => {
                "variable \"source_ami\" { default = \"x\" }\nlocals {\n  files = [for f in fileset(path.root, \"*.sh\") : \"${path.root}/${f}\"]\n  one   = templatefile(\"${path.root}/t.tpl\", { a = var.source_ami })\n}\nsource \"docker\" \"image\" {\n  image  = var.source_ami\n  changes = [\"ENTRYPOINT [\\\"/sbin/init\\\"]\"]\n}\nbuild {\n  sources = [\"source.docker.image\"]\n  provisioner \"file\" {\n    source      = \"conf/${var.source_ami}.txt\"\n    destination = \"/x\"\n  }\n  dynamic \"provisioner\" {\n    labels   = [\"shell\"]\n    for_each = local.files\n    content { script = provisioner.value }\n  }\n  provisioner \"shell\" { inline = [<<-EOT\n    echo ${env(\"HOME\")}\n  EOT\n  ] }\n}\n"
            }
            Self::Json => {
                "{\"variables\": {\"source_ami\": \"\", \"ami_name\": \"{{env `NAME`}}\", \"d\": \"{{template_dir}}/x\"},\n \"builders\": [{\"type\": \"amazon-ebs\", \"source_ami\": \"{{user `source_ami`}}\", \"user_data_file\": \"{{user `d`}}.sh\"}],\n \"provisioners\": [{\"type\": \"file\", \"source\": \"files/{{user `d`}}\", \"destination\": \"/etc/motd\"},\n  {\"type\": \"shell\", \"scripts\": [\"a.sh\", \"{{build_name}}.sh\"], \"override\": {\"amazon-ebs\": {\"script\": \"b.sh\"}}},\n  {\"type\": \"ansible\", \"playbook_file\": \"ansible/web.yml\", \"extra_arguments\": [\"-e\", \"a=b\"]}],\n \"post-processors\": [[{\"type\": \"manifest\", \"output\": \"m.json\"}]]}\n"
            }
            Self::Lock => LOCK,
            Self::Manifest => include_str!("../fixtures/manifests/format-1/base.json"),
        }
    }
}

/// Pieces that mean something to YAML, Jinja, HCL or JSON.
const PIECES: &[&str] = &[
    "",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "{%",
    "%}",
    "${",
    "%{",
    "<<EOT\n",
    "EOT\n",
    "\n",
    "\n\n",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    ",",
    "#",
    "&a ",
    "*a",
    "!vault ",
    "!!str ",
    "|\n",
    ">-\n",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "\\",
    "\u{e9}",
    "\0",
    "\u{feff}",
    "\r\n",
    "null",
    "~",
    "1e9",
    "-",
    "/",
    "../",
    "/etc/",
    "/dev/zero",
    "lookup('pipe', 'x')",
    "lookup(",
    "include_tasks: ",
    "include_role: ",
    "roles:\n",
    "item",
    "<<: *a",
    "@",
    "`",
    "user `",
    "env `",
    "\u{1f980}",
    "\\u0000",
    "[[[[[[[[[[",
    "{{{{{{{{{{",
    "0x",
    ".inf",
    "=",
    "src=",
];

struct Numbers(u64);

impl Numbers {
    /// `SplitMix64`: the same on every machine.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// The case of a number.
fn case(number: u64) -> (Kind, Vec<u8>) {
    let mut numbers = Numbers(number);
    let kind = KINDS[numbers.below(KINDS.len())];
    let mut bytes = kind.seed().as_bytes().to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(12)).min(bytes.len());
        match numbers.below(4) {
            // One bit, a piece in place of a run, a run once more, everything behind it gone.
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 => {
                let run = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, run);
            }
            2 if numbers.below(8) == 0 => bytes.truncate(at),
            _ => drop(bytes.splice(at..end, PIECES[numbers.below(PIECES.len())].bytes())),
        }
    }
    (kind, bytes)
}

fn tree() -> Keys {
    let keys = Keys::empty();
    keys.write("ovenbird.hcl", PIPELINE).write("ovenbird.lock", LOCK);
    for kind in KINDS {
        if !matches!(kind, Kind::Lock | Kind::Manifest) {
            keys.write(kind.path(), kind.seed());
        }
    }
    for name in ["more", "one", "a", "b"] {
        keys.write(&format!("ansible/{name}.yml"), "- hosts: all\n");
    }
    keys.write("ansible/roles/tls/tasks/main.yml", "- ping:\n").write("README", "x");
    keys
}

/// Is the file in, whatever is in it, and is it said when it could not be understood.
fn holds(keys: &Keys, loaded: &Loaded, kind: Kind, bytes: &[u8]) {
    let path = kind.path();
    match kind {
        Kind::Manifest => {
            if let Ok(manifest) = serde_json::from_slice::<InputManifest>(bytes) {
                let back: InputManifest = serde_json::from_str(&serde_json::to_string(&manifest).unwrap()).unwrap();
                assert_eq!(back.key(), manifest.key());
            }
            return;
        }
        Kind::Lock => {
            keys.write(path, bytes);
            let _either = keys.try_load().map(|_| ());
            keys.write(path, LOCK);
            return;
        }
        _ => {}
    }
    keys.write(path, bytes);
    let name = Name::new(if matches!(kind, Kind::Json) { "legacy" } else { "web" }).unwrap();
    let context = InputContext { only: Some([name.clone()].into()), ..InputContext::default() };
    let found = collect(&loaded.pipeline, &context).map(|read| read.inputs);
    keys.write(path, kind.seed());
    // Roles that depend on each other in a circle are a problem of their own.
    let Ok(found) = found else { return };
    let stage: &StageInputs = &found[&name];
    assert!(Keys::present(stage).contains_key(path), "{path} is no input");
    let understood = match kind {
        Kind::Hcl => {
            ovenbird::syntax::hcl::decode(PathBuf::from(path), bytes).and_then(|source| ovenbird::syntax::hcl::parse(&source)).is_ok()
        }
        Kind::Json => serde_json::from_slice::<serde_json::Value>(bytes).is_ok(),
        _ => bytes.starts_with(b"$ANSIBLE_VAULT;") || ovenbird::syntax::yaml::parse(bytes).is_ok(),
    };
    // Variables that cannot be read widen where one of them makes a name, which both other files do.
    assert!(understood || !stage.imprecise.is_empty(), "{path} is not understood, and nobody says so");
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz/kept")
}

/// How long this thread has had a processor (to a few milliseconds).
fn worked() -> Duration {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    Duration::from_nanos(counted.split(' ').next().unwrap().parse().expect("nanoseconds stand first"))
}

fn kind_named(name: &str) -> Kind {
    let named = |kind: &Kind| name.starts_with(&format!("{kind:?}-").to_lowercase());
    KINDS.into_iter().find(named).unwrap_or_else(|| panic!("`{name}` begins with no kind"))
}

#[test]
fn what_once_failed_holds() {
    let keys = tree();
    let loaded = keys.load();
    for entry in std::fs::read_dir(kept()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name != "README.md" {
            holds(&keys, &loaded, kind_named(&name), &std::fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "proofs are asked for by the environment, and what fails is kept")]
fn mutated_files_never_panic_and_never_count_for_nothing() {
    let proof = std::env::var("OVENBIRD_PROOF").is_ok_and(|value| value == "1");
    let cases: u64 = if proof { 200_000 } else { 2_000 };
    let threads: u64 = 2;
    let longest = std::thread::scope(|scope| {
        let run = |from: u64| {
            let all = move || {
                let keys = tree();
                let loaded = keys.load();
                let mut longest = (Duration::ZERO, 0, 0);
                for number in (from..cases).step_by(usize::try_from(threads).unwrap()) {
                    let (kind, bytes) = case(number);
                    let before = proof.then(worked);
                    let result = catch_unwind(AssertUnwindSafe(|| holds(&keys, &loaded, kind, &bytes)));
                    if let Some(before) = before.filter(|_| bytes.len() <= 6_000) {
                        longest = longest.max((worked().saturating_sub(before), number, bytes.len()));
                    }
                    if let Err(panic) = result {
                        let file = kept().join(format!("{kind:?}-{number}").to_lowercase());
                        std::fs::write(&file, &bytes).unwrap();
                        eprintln!("case {number} fails and is kept as {}", file.display());
                        std::panic::resume_unwind(panic);
                    }
                }
                longest
            };
            // A pool of its own: what a case hands to other threads is done by this one, and counted.
            move || rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(all)
        };
        let runs: Vec<_> = (0..threads).map(|from| scope.spawn(run(from))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).max().unwrap()
    });
    if proof {
        let (time, number, bytes) = longest;
        println!("{cases} mutated files; the longest, case {number} of {bytes} bytes, took {} ms of a processor", time.as_millis());
    }
}
