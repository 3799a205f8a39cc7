//! [`World`]: what all stages of one call share: root, environment as data, ansible.cfg, and each file parsed once.
//!
//! Invariant: a file is read and parsed at most once a call, so all stages see the same bytes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hcl_edit::structure::Body;

use super::ansible_cfg::AnsibleConfig;
use super::assigned::Assigned;
use super::shared::Roles;
use super::snapshot::{Kind, Map, Snapshot};
use super::{InputContext, names, never};
use crate::config::pipeline::{Pipeline, Recipe};
use crate::model::problem::SourceText;
use crate::syntax::hcl;
use crate::syntax::yaml::{self, Node};

/// Largest template or script that is searched for look-ups.
const MAX_TEXT: usize = yaml::MAX_BYTES;

/// Most entries of a folder outside the root that a name with unknown parts leads to.
const MOST_OUTSIDE: usize = 5_000;

/// Most links to folders that are followed when names are read below one folder.
const MAX_LINKS: usize = 1_000;

/// A file that was read.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Nothing is there.
    Absent,
    /// One lowercase line that reads well behind the file's name, and the line in the file.
    Refused(String, usize),
    /// Its documents.
    Yaml(Vec<Arc<Node>>),
}

/// A file of a Packer template that was read.
#[derive(Debug)]
pub(super) enum Hcl {
    /// Nothing is there.
    Absent,
    /// Why it widens, and the line in the file.
    Refused(String, usize),
    /// Its text, and what stands in it.
    Body(Arc<SourceText>, Body),
}

/// Shared by all stages of one call.
pub(super) struct World<'a> {
    /// Canonical.
    pub(super) root: PathBuf,
    pub(super) pipeline: &'a Pipeline,
    pub(super) context: &'a InputContext,
    pub(super) config: AnsibleConfig,
    /// Files that are no inputs wherever they lie, with what they are called in the count.
    pub(super) never: BTreeMap<PathBuf, &'static str>,
    pub(super) roles: Roles,
    pub(super) disk: Snapshot,
    /// Collections beside the playbooks that runs begin with, for all playbooks that these import.
    pub(super) begun: BTreeSet<PathBuf>,
    parsed: Mutex<Map<Arc<Parsed>>>,
    templates: Mutex<Map<Arc<Hcl>>>,
    texts: Mutex<Map<Arc<str>>>,
    quiet: Mutex<Map<bool>>,
    assigned: Mutex<Map<Arc<Assigned>>>,
    below: Mutex<Map<Arc<[PathBuf]>>>,
    alike: Mutex<BTreeMap<Alike, Arc<[PathBuf]>>>,
}

/// A folder, how names in it begin and end, and whether only files that assign something are meant.
type Alike = (OsString, String, String, bool);

impl<'a> World<'a> {
    pub(super) fn new(root: PathBuf, pipeline: &'a Pipeline, context: &'a InputContext) -> Self {
        let disk = Snapshot::new(&root);
        Self::on(disk, root, pipeline, context)
    }

    /// The same, of which nothing has been asked yet.
    pub(super) fn afresh(self) -> Self {
        Self::on(self.disk.afresh(), self.root, self.pipeline, self.context)
    }

    /// What was seen of the disk, and everything that was parsed, to be thrown away.
    pub(super) fn into_disk(self) -> (Snapshot, impl Send + use<>) {
        let Self { disk, roles, parsed, templates, texts, quiet, assigned, below, alike, .. } = self;
        (disk, (roles, parsed, templates, texts, quiet, assigned, below, alike))
    }

    fn on(disk: Snapshot, root: PathBuf, pipeline: &'a Pipeline, context: &'a InputContext) -> Self {
        let config = AnsibleConfig::in_force(&root, context);
        let never = never::never(&root, pipeline, &config);
        let begun = pipeline.stages.iter().filter_map(|stage| match &stage.recipe {
            Recipe::Playbook { playbook, .. } => root.join(playbook).parent().map(|folder| folder.join("collections")),
            Recipe::Template { .. } => None,
        });
        let begun = begun.collect();
        Self {
            root,
            pipeline,
            context,
            config,
            never,
            roles: Roles::default(),
            disk,
            begun,
            parsed: Mutex::default(),
            templates: Mutex::default(),
            texts: Mutex::default(),
            quiet: Mutex::default(),
            assigned: Mutex::default(),
            below: Mutex::default(),
            alike: Mutex::default(),
        }
    }

    /// Is it a folder, or a link to one.
    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.disk.is_folder(path)
    }

    /// Name of a path in the key. Outside the root: `outside:` and how it was written (`text`), or the way from the root; never an
    /// absolute path.
    pub(super) fn label(&self, path: &Path, text: &str) -> String {
        if let Some(name) = names::inside(&self.root, path) {
            return name;
        }
        if text.starts_with('/') || text.starts_with('~') {
            return format!("outside:{}", text.trim_start_matches('/'));
        }
        let (mut up, mut base) = (String::new(), self.root.as_path());
        while !path.starts_with(base) {
            up.push_str("../");
            base = base.parent().unwrap_or(Path::new("/"));
        }
        let rest = names::inside(base, path).unwrap_or_default();
        format!("outside:{up}{rest}")
    }

    /// The documents of a YAML file.
    pub(super) fn yaml(&self, path: &Path) -> Arc<Parsed> {
        if let Some(known) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()) {
            return Arc::clone(known);
        }
        let parsed = Arc::new(match self.disk.read(path, yaml::MAX_BYTES) {
            Err(None) => Parsed::Absent,
            Err(Some(why)) => Parsed::Refused(why, 1),
            Ok(bytes) if bytes.starts_with(b"$ANSIBLE_VAULT;") => Parsed::Refused("is encrypted by ansible-vault".to_owned(), 1),
            Ok(bytes) => match yaml::parse(&bytes) {
                Ok(documents) => Parsed::Yaml(documents),
                Err(error) => Parsed::Refused(format!("is not YAML that can be read: {}", error.message), error.line),
            },
        });
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_os_str().to_owned(), Arc::clone(&parsed));
        parsed
    }

    /// A file of a Packer template: fifty stages mostly have the same one.
    pub(super) fn hcl(&self, path: &Path) -> Arc<Hcl> {
        if let Some(known) = self.templates.lock().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()) {
            return Arc::clone(known);
        }
        let shown = PathBuf::from(self.label(path, ""));
        let read = match self.disk.read(path, hcl::MAX_BYTES) {
            Err(None) => Hcl::Absent,
            Err(Some(problem)) => Hcl::Refused(format!("a template that {problem}"), 1),
            Ok(bytes) => match hcl::decode(shown, &bytes).and_then(|source| hcl::parse(&source).map(|body| (source, body))) {
                Ok((source, body)) => Hcl::Body(source, body),
                Err(problem) => {
                    let line = problem.places.first().map_or(1, |p| p.source.line_column(p.span.start).0);
                    Hcl::Refused(format!("a template that cannot be read: {}", problem.summary), line)
                }
            },
        };
        let read = Arc::new(read);
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_os_str().to_owned(), Arc::clone(&read));
        read
    }

    /// A file as text with bytes that are not UTF-8 replaced; empty when it cannot be read or has nothing for anybody to find.
    pub(super) fn text(&self, path: &Path) -> Arc<str> {
        if let Some(known) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()) {
            return Arc::clone(known);
        }
        self.keep_text(path, self.read_text(path))
    }

    fn read_text(&self, path: &Path) -> String {
        let bytes = self.disk.read(path, MAX_TEXT).unwrap_or_default();
        // A file without one brace has nothing for Jinja; a font among the templates is not worth decoding.
        if memchr::memchr(b'{', &bytes).is_none() && bytes.contains(&0) && !bytes.starts_with(b"#jinja2:") {
            return String::new();
        }
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn keep_text(&self, path: &Path, text: String) -> Arc<str> {
        let text: Arc<str> = text.into();
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_os_str().to_owned(), Arc::clone(&text));
        text
    }

    /// Has a template nothing to follow, by `judge`. The text of one that has not is of no more use.
    pub(super) fn is_quiet(&self, path: &Path, judge: impl FnOnce(&str) -> bool) -> bool {
        if let Some(known) = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()) {
            return *known;
        }
        let text = self.read_text(path);
        let quiet = judge(&text) && !(text.is_empty() && self.is_large(path));
        if !quiet {
            self.keep_text(path, text);
        }
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_os_str().to_owned(), quiet);
        quiet
    }

    /// Is it more than is searched as text.
    pub(super) fn is_large(&self, path: &Path) -> bool {
        self.disk.is_larger_than(path, MAX_TEXT)
    }

    /// What a file of variables assigns; these are its documents.
    pub(super) fn assigned(&self, path: &Path, documents: &[Arc<Node>]) -> Arc<Assigned> {
        if let Some(known) = self.assigned.lock().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()) {
            return Arc::clone(known);
        }
        let assigned = Arc::new(Assigned::by(documents));
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner).insert(path.as_os_str().to_owned(), Arc::clone(&assigned));
        assigned
    }

    /// Is it a file of which everything is known, and in which nothing is assigned or looked up.
    pub(super) fn assigns_nothing(&self, file: &Path) -> bool {
        if !self.disk.is_file(file) {
            return false;
        }
        if let Some(known) = self.assigned.lock().unwrap_or_else(PoisonError::into_inner).get(file.as_os_str()) {
            return known.is_nothing();
        }
        matches!(&*self.yaml(file), Parsed::Yaml(documents) if self.assigned(file, documents).is_nothing())
    }

    /// What stands directly in a folder by names that begin and end so; with `assigning`, of files of variables those that assign
    /// something. Fifty playbooks beside each other may all be meant by a name with a fact in it, in each of two hundred roles.
    pub(super) fn alike(&self, folder: &Path, start: &str, end: &str, assigning: bool) -> Arc<[PathBuf]> {
        let wanted = (folder.as_os_str().to_owned(), start.to_owned(), end.to_owned(), assigning);
        if let Some(known) = self.alike.lock().unwrap_or_else(PoisonError::into_inner).get(&wanted) {
            return Arc::clone(known);
        }
        let fits = |path: &PathBuf| {
            let name = names::last(path);
            name.starts_with(start) && name.ends_with(end) && !(assigning && self.assigns_nothing(path))
        };
        let found: Arc<[PathBuf]> = self.disk.paths_in(folder).into_iter().filter(fits).collect();
        self.alike.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted, Arc::clone(&found));
        found
    }

    /// Where a path ends when links are followed; `None`: there, as it stands. Outside of the root only its last part is looked at.
    pub(super) fn end(&self, path: &Path) -> Option<PathBuf> {
        let (mut at, mut moved) = (path.to_owned(), false);
        for _ in 0..40 {
            let inner = at.ancestors().take_while(|part| *part == at || part.starts_with(&self.root) && *part != self.root);
            let Some(link) = inner.filter(|part| self.disk.kind(part) == Some(Kind::Link)).last() else { break };
            let (end, _) = self.disk.link(link).end?;
            let rest = at.strip_prefix(link).unwrap_or(Path::new(""));
            at = if rest.as_os_str().is_empty() { end } else { end.join(rest) };
            moved = true;
        }
        moved.then_some(at)
    }

    /// The folder that is taken and read where a name may mean anything in `folder`: the root in place of one that holds it, or of one
    /// outside with more than anybody keeps beside a checkout. `/usr` is this machine.
    pub(super) fn within_reason<'p>(&'p self, folder: &'p Path) -> &'p Path {
        let vast = !names::is_in(folder, &self.root) && (self.root.starts_with(folder) || self.is_vast(folder));
        if vast { &self.root } else { folder }
    }

    /// Every file that a name may mean which may be anything in `folder`.
    pub(super) fn files_within_reason(&self, folder: &Path) -> Arc<[PathBuf]> {
        self.files_below(self.within_reason(folder))
    }

    fn is_vast(&self, folder: &Path) -> bool {
        // What the kernel makes up has no end.
        if ["/proc", "/sys"].iter().any(|kernel| folder.starts_with(kernel)) {
            return true;
        }
        let (mut entries, mut waiting) = (0, vec![folder.to_owned()]);
        while let Some(folder) = waiting.pop() {
            for (name, kind) in self.disk.folder(&folder).iter().flat_map(|listed| listed.entries()) {
                entries += 1;
                if entries > MOST_OUTSIDE {
                    return true;
                }
                if kind == Kind::Folder {
                    waiting.push(folder.join(name));
                }
            }
        }
        false
    }

    /// Every file below a folder, sorted, without the fixed list. For reading names; what counts is listed by the walker.
    pub(super) fn files_below(&self, folder: &Path) -> Arc<[PathBuf]> {
        if let Some(known) = self.below.lock().unwrap_or_else(PoisonError::into_inner).get(folder.as_os_str()) {
            return Arc::clone(known);
        }
        let files: Arc<[PathBuf]> = files_below(&self.disk, folder).into();
        self.below.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.as_os_str().to_owned(), Arc::clone(&files));
        files
    }
}

fn files_below(disk: &Snapshot, folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut waiting, mut followed) = (Vec::new(), vec![folder.to_owned()], BTreeSet::new());
    while let Some(folder) = waiting.pop() {
        let Ok(listed) = disk.folder(&folder) else { continue };
        for (name, kind) in listed.entries() {
            let path = names::below(&folder, name);
            if super::walk::fixed(&path, disk).is_some() {
                continue;
            }
            match kind {
                Kind::Folder => waiting.push(path),
                // A link to a folder is looked into once a walk, so it ends; and not when it leads up to where the walk came from.
                Kind::Link => match disk.link(&path).end {
                    Some((end, Kind::Folder)) => {
                        if !path.starts_with(&end) && followed.len() < MAX_LINKS && followed.insert(end) {
                            waiting.push(path);
                        }
                    }
                    Some(_) | None => files.push(path),
                },
                Kind::File | Kind::Fifo | Kind::Socket | Kind::Device => files.push(path),
            }
        }
    }
    files.sort();
    files
}
