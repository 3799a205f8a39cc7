//! Random trees: a list of small steps, each of which adds something to a checkout.
//!
//! Names are few and stand in many places, so that search order decides; what is named may lie anywhere or nowhere. Must not know what
//! ovenbird makes of a tree. Invariants: a run ends (files of tasks and roles include only such of a higher grade), and what does not
//! exist fails a block, not the play.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

use crate::tree::Tree;

/// A step: what, where, and of what.
pub(crate) type Step = (u8, u8, u8, u8);

/// A tree, as the steps to it; fewer and smaller ones are simpler.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    layout: u8,
    steps: Vec<Step>,
}

pub(crate) fn steps() -> impl Strategy<Value = Steps> {
    let step = (0..KINDS, any::<u8>(), any::<u8>(), any::<u8>());
    (0..4_u8, vec(step, 1..24)).prop_map(|(layout, steps)| Steps { layout, steps })
}

const KINDS: u8 = 34;
const ROLES: [&str; 4] = ["r0", "r1", "net/r2", "r3"];
/// By grade: one includes only what stands behind it.
const TASKS: [&str; 3] = ["t0.yml", "t1.yml", "t2.yml"];
const SPELLED: [&[&str]; 3] =
    [&["t0.yml", "tasks/t0.yml", "sub/t0.yml"], &["t1.yml", "sub/t1.yml", "tasks/sub/t1.yml"], &["t2.yml", "../t2.yml", "sub/deep/t2.yml"]];

/// A list of tasks: of the play, a file of a grade beside it, a role's main, handlers or file of a grade.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Play,
    File(String, usize),
    Role(usize, String, usize),
}

struct Render {
    tree: Tree,
    /// Folder of the playbook with its slash, or nothing.
    base: &'static str,
    lists: BTreeMap<List, Vec<String>>,
    depends: BTreeMap<usize, BTreeSet<String>>,
    play_roles: Vec<String>,
    play_vars: BTreeMap<String, String>,
    imported: bool,
}

fn pick<T: Copy>(from: &[T], by: u8) -> T {
    from[usize::from(by) % from.len()]
}

/// The tree of some steps.
pub(crate) fn tree(name: &str, steps: &Steps) -> Tree {
    let base = if steps.layout & 1 == 0 { "" } else { "ansible/" };
    // `.txt`: what every pattern of the generator fits.
    let tree = Tree { name: name.to_owned(), playbook: format!("{base}site.yml"), newcomer: "zz_probe.txt", ..Tree::default() };
    let lists = BTreeMap::from([(List::Play, Vec::new())]);
    let imported = steps.layout & 2 != 0;
    let mut render = Render { tree, base, lists, depends: BTreeMap::new(), play_roles: Vec::new(), play_vars: BTreeMap::new(), imported };
    steps.steps.iter().for_each(|step| render.step(*step));
    render.finish()
}

impl Render {
    /// Where a step's task goes. Every place can be reached.
    fn list(&mut self, at: u8) -> List {
        let base = self.base;
        let list = match at % 12 {
            0..=2 => List::Play,
            3 => List::File(format!("{base}tasks/t0.yml"), 1),
            4 => List::File(format!("{base}sub/t1.yml"), 2),
            5 => List::File(format!("{base}tasks/sub/t1.yml"), 2),
            6 => List::Role(usize::from(at / 12) % 4, "tasks/t0.yml".to_owned(), 1),
            7 => List::Role(usize::from(at / 12) % 4, "tasks/sub/t1.yml".to_owned(), 2),
            8 => List::Role(usize::from(at / 12) % 4, "handlers/main.yml".to_owned(), 3),
            _ => List::Role(usize::from(at / 12) % 4, "tasks/main.yml".to_owned(), 0),
        };
        self.reach(&list);
        list
    }

    /// Makes the list, and lets something include it.
    fn reach(&mut self, list: &List) {
        if self.lists.contains_key(list) {
            return;
        }
        self.lists.insert(list.clone(), Vec::new());
        match list {
            List::Play => {}
            List::File(path, _) => {
                let name = path.strip_prefix(self.base).unwrap_or(path).to_owned();
                self.task(&List::Play, &format!("include_tasks: {name}"));
            }
            List::Role(role, file, _) => {
                if !self.play_roles.contains(&ROLES[*role].to_owned()) {
                    self.play_roles.push(ROLES[*role].to_owned());
                }
                let main = List::Role(*role, "tasks/main.yml".to_owned(), 0);
                if let (Some(name), true) = (file.strip_prefix("tasks/"), file != "tasks/main.yml") {
                    self.reach(&main);
                    self.task(&main, &format!("include_tasks: {name}"));
                }
            }
        }
    }

    fn task(&mut self, list: &List, task: &str) {
        let handler = matches!(list, List::Role(_, file, _) if file.starts_with("handlers"));
        let text = if handler {
            format!("- name: handler\n  {}\n", task.replace("\n      ", "\n  "))
        } else {
            format!("- block:\n    - {task}\n  rescue:\n    - debug: {{ msg: rescued }}\n")
        };
        self.lists.get_mut(list).expect("it was made").push(text);
    }

    /// A file of a kind at one of the places that are searched for it.
    fn place(&mut self, name: &str, at: u8, text: &str) {
        let base = self.base;
        let role = ROLES[usize::from(at / 16) % 4];
        let folder = match at % 16 {
            0 => format!("{base}files"),
            1 => format!("{base}templates"),
            2 => format!("{base}vars"),
            3 => base.trim_end_matches('/').to_owned(),
            4 => format!("{base}tasks"),
            5 => format!("{base}sub"),
            6 => "files".to_owned(),
            7 => "tasks".to_owned(),
            8 => format!("{base}roles/{role}/files"),
            9 => format!("{base}roles/{role}/templates"),
            10 => format!("{base}roles/{role}/vars"),
            11 => format!("{base}roles/{role}/tasks"),
            12 => format!("{base}roles/{role}"),
            13 => format!("{base}roles/{role}/tasks/sub"),
            14 => format!("{base}sub/files"),
            _ => String::new(),
        };
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        if !self.tree.pieces.contains_key(&path) {
            self.tree.file(&path, text);
        }
    }

    fn step(&mut self, (kind, at, a, b): Step) {
        let (file, template, vars) =
            (pick(&["f0.txt", "f1.txt", "d/f2.txt"], a), pick(&["p0.j2", "p1.j2"], a), pick(&["m0.yml", "m1.yml"], a));
        let grade = usize::from(a) % 3;
        let named = pick(SPELLED[grade], b);
        match kind {
            0..=3 => self.placed_or_assigned(kind, at, a, b),
            4 | 5 => self.place(file, at, "text\n"),
            6 | 7 => {
                let body = pick(
                    &[
                        "plain\n",
                        "{% include 'p1.j2' ignore missing %}\n",
                        "{{ lookup('file', 'f0.txt', errors='ignore') }}\n",
                        "{% if false %}{% import 'p1.j2' as m %}{% endif %}{{ lookup('first_found', ['f1.txt', 'f0.txt'], skip=true) }}\n",
                    ],
                    b,
                );
                self.place(template, at, if template == "p1.j2" && body.contains("p1") { "plain\n" } else { body });
            }
            8 => self.place(vars, at, "vf: f1.txt\nvp: p1.j2\n"),
            9 => self.place(TASKS[2], at, "- debug: { msg: t2 }\n"),
            10 if b & 1 == 0 => {
                let (from, to) = (usize::from(at) % 4, usize::from(a) % 4);
                if from < to {
                    self.depends.entry(from).or_default().insert(format!("{{ role: {}, when: {} }}", ROLES[to], b & 2 == 0));
                    self.reach(&List::Role(from, "tasks/main.yml".to_owned(), 0));
                    self.lists.entry(List::Role(to, "tasks/main.yml".to_owned(), 0)).or_default();
                }
            }
            10 | 11 => self.role_step(at, a, b),
            12..=15 => {
                let list = self.list(at);
                if matches!(&list, List::File(_, least) | List::Role(_, _, least) if grade < *least) {
                    return;
                }
                let task = match b & 3 {
                    0 => format!("include_tasks: {named}"),
                    1 => format!("include_tasks: \"{{{{ item }}}}\"\n      loop: [{named}, t2.yml]"),
                    2 => format!("include_tasks: {{ file: \"{{{{ name_of_tasks | default('{named}') }}}}\" }}"),
                    _ => format!("include_tasks: \"{{{{ item }}}}\"\n      with_first_found: [{named}, none.yml, t2.yml]"),
                };
                self.task(&list, &task);
            }
            _ => self.reading(kind, at, file, template, vars, b),
        }
    }

    fn placed_or_assigned(&mut self, kind: u8, at: u8, a: u8, b: u8) {
        let (name, value) = pick(
            &[("vf", "f0.txt"), ("vf", "f1.txt"), ("vp", "p0.j2"), ("vp", "p1.j2"), ("vm", "m1.yml"), ("vr", "r3"), ("vr", "net/r2")],
            a,
        );
        let text = match b & 3 {
            0 if name == "vf" => format!("{name}: \"{{{{ other_{name} | default('{value}') }}}}\"\n"),
            1 if name == "vp" => format!("{name}: \"{{{{ '{}' ~ '.j2' }}}}\"\n", value.trim_end_matches(".j2")),
            _ => format!("{name}: {value}\n"),
        };
        let role = ROLES[usize::from(at) % 4];
        let path = match kind {
            0 => format!("{}group_vars/all{}", self.base, pick(&[".yml", "/a.yml", ""], b)),
            1 => format!("{}roles/{role}/defaults/main{}", self.base, pick(&[".yml", "/x.yaml"], b)),
            2 => format!("{}roles/{role}/vars/main.yml", self.base),
            _ => {
                self.play_vars.insert(name.to_owned(), text);
                return;
            }
        };
        let below = |other: &String| other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"));
        if !self.tree.pieces.keys().any(below) {
            self.tree.file(&path, text);
        }
    }

    fn role_step(&mut self, at: u8, a: u8, b: u8) {
        let list = self.list(at);
        let least = match &list {
            List::Play => 0,
            List::Role(role, file, _) if !file.starts_with("handlers") => role + 1,
            List::Role(..) | List::File(..) => 3,
        };
        let to = usize::from(a) % 4;
        // Only the last role includes no other one; a file beside the play may be included from anywhere.
        if to < least || matches!(list, List::Role(_, ref file, _) if file.starts_with("handlers")) || matches!(list, List::Role(3, ..)) {
            return;
        }
        self.lists.entry(List::Role(to, "tasks/main.yml".to_owned(), 0)).or_default();
        let role = ROLES[to];
        let task = match b % 6 {
            0 => format!("import_role: {{ name: {role} }}"),
            1 => format!("include_role: {{ name: {role} }}"),
            2 => format!("include_role: {{ name: \"{{{{ item }}}}\" }}\n      loop: [{role}, r3]"),
            3 if least <= 2 => format!("include_role: {{ name: \"{{{{ vr | default('{role}') }}}}\" }}"),
            4 => {
                self.lists.entry(List::Role(to, "tasks/t0.yml".to_owned(), 1)).or_default();
                format!("include_role: {{ name: {role}, tasks_from: t0 }}")
            }
            _ => format!("ansible.builtin.include_role: name={role}"),
        };
        self.task(&list, &task);
    }

    fn reading(&mut self, kind: u8, at: u8, file: &str, template: &str, vars: &str, b: u8) {
        let list = self.list(at);
        let task = match kind {
            16 | 17 => format!("copy: {{ src: {file}, dest: /x }}"),
            18 => "copy: { src: \"{{ vf | default('f0.txt') }}\", dest: /x }".to_owned(),
            19 => format!("copy: {{ src: d{}, dest: /x }}", if b & 1 == 0 { "/" } else { "" }),
            20 | 21 => format!("template: {{ src: {template}, dest: /x }}"),
            22 => "template: { src: \"{{ vp | default('p0.j2') }}\", dest: /x }".to_owned(),
            23 => format!("debug: {{ msg: \"{{{{ lookup('file', '{file}') }}}}\" }}"),
            24 => format!("debug: {{ msg: \"{{{{ lookup('template', '{template}') }}}}\" }}"),
            25 => format!("include_vars: {vars}"),
            26 => format!("include_vars: \"{{{{ item }}}}\"\n      with_first_found: [{{ files: [none.yml, {vars}], paths: [vars, .] }}]"),
            27 => format!("debug: {{ msg: \"{{{{ q('fileglob', '{}') }}}}\" }}", pick(&["d/*", "*.txt", "files/*.txt"], b)),
            28 => format!("copy: {{ src: \"{{{{ item }}}}\", dest: /x }}\n      with_fileglob: {}", pick(&["d/*", "sub/*"], b)),
            29 => format!("set_fact: {{ {} }}", pick(&["vf: f1.txt", "vp: p1.j2", "vr: r3", "name_of_tasks: t2.yml"], b)),
            30 => format!("debug: {{ msg: \"{{{{ item }}}}\" }}\n      with_file: [{file}]"),
            31 => format!("script: {file} --flag"),
            32 => format!("debug: {{ msg: \"{{{{ lookup('first_found', ['none', '{file}'], skip=true) }}}}\" }}"),
            _ => "debug: { msg: changed }\n      changed_when: true\n      notify: handler".to_owned(),
        };
        self.task(&list, &task);
    }

    fn finish(mut self) -> Tree {
        let base = self.base;
        let play = self.lists.remove(&List::Play).unwrap_or_default();
        for (list, tasks) in &self.lists {
            let path = match list {
                List::Play => continue,
                List::File(path, _) => path.clone(),
                List::Role(role, file, _) => format!("{base}roles/{}/{file}", ROLES[*role]),
            };
            let text = if tasks.is_empty() { "- debug: { msg: nothing }\n".to_owned() } else { tasks.concat() };
            self.tree.pieces.entry(path).or_insert(crate::tree::Piece::File { text, executable: false });
        }
        for (role, depends) in &self.depends {
            let list: String = depends.iter().map(|entry| format!("  - {entry}\n")).collect();
            self.tree.file(&format!("{base}roles/{}/meta/main.yml", ROLES[*role]), format!("dependencies:\n{list}"));
        }
        let mut text = "- hosts: all\n  gather_facts: false\n".to_owned();
        if !self.play_vars.is_empty() {
            text.push_str("  vars:\n");
            self.play_vars.values().for_each(|line| write!(text, "    {line}").expect("a String takes it"));
        }
        if !self.play_roles.is_empty() {
            writeln!(text, "  roles: [{}]", self.play_roles.join(", ")).expect("a String takes it");
        }
        text.push_str("  handlers:\n    - { name: handler, debug: { msg: of the play } }\n");
        if !play.is_empty() {
            text.push_str("  tasks:\n");
            play.concat().lines().for_each(|line| writeln!(text, "    {line}").expect("a String takes it"));
        }
        if self.imported {
            self.tree.file(&format!("{base}plays/real.yml"), text.replace("include_tasks: t", "include_tasks: ../t"));
            self.tree.file(&format!("{base}site.yml"), "- import_playbook: plays/real.yml\n");
            // Roles of an imported playbook lie beside that one.
            let pieces: Vec<(String, crate::tree::Piece)> = self.tree.pieces.clone().into_iter().collect();
            for (path, piece) in pieces {
                if let Some(rest) = path.strip_prefix(&format!("{base}roles/")) {
                    self.tree.pieces.remove(&path);
                    self.tree.pieces.insert(format!("{base}plays/roles/{rest}"), piece);
                }
            }
        } else {
            self.tree.file(&format!("{base}site.yml"), text);
        }
        self.tree
    }
}
