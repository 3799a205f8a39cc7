//! A galaxy requirement file → what it asks for, and the same with exact versions.
//!
//! Reads text, asks nobody. Knows ansible-galaxy's own shorthand (`src,version,name`, `git+URL#path,version`), so that a version can
//! be put in its place. Invariant: with no version put in, what is asked for is what the file asks for.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::syntax::yaml::{self, Kind, Node};

/// What a requirement file asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Roles in order.
    pub roles: Vec<Requirement>,
    /// Collections in order.
    pub collections: Vec<Requirement>,
}

/// A role or a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// `role NAME`, `collection NAMESPACE.NAME`, or `git URL` for a collection whose name stands in its repository: what its version
    /// is filed under.
    pub key: String,
    /// Repository and branch, tag or commit, where it comes from git.
    pub git: Option<(String, String)>,
    /// Does its name say everything: it comes from a galaxy server.
    pub from_server: bool,
    /// File or folder that it comes from, as written: relative to the root, or absolute.
    pub local: Option<String>,
    /// What ansible-galaxy is told.
    fields: BTreeMap<String, Json>,
}

/// Why a file is no requirement file: one lowercase line, and the line in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequirementsError {
    /// What is wrong.
    pub message: String,
    /// 1-based.
    pub line: usize,
}

impl RequirementsError {
    fn at(node: &Node, message: impl Into<String>) -> Self {
        Self { message: message.into(), line: node.line }
    }
}

impl Requirements {
    /// Reads a requirement file: a map with `roles` and `collections`, or the old list of roles.
    ///
    /// # Errors
    /// No YAML, or something that ansible-galaxy would not take either.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequirementsError> {
        let documents = yaml::parse(bytes).map_err(|e| RequirementsError { message: e.message, line: e.line })?;
        let Some(top) = documents.first() else { return Ok(Self::default()) };
        let list = |node: &Node, of: fn(&Node) -> Result<Requirement, RequirementsError>| match &node.kind {
            Kind::Sequence(items) => items.iter().map(|item| of(item)).collect(),
            Kind::Scalar { .. } if node.text().is_none() => Ok(Vec::new()),
            Kind::Scalar { .. } | Kind::Mapping(_) => Err(RequirementsError::at(node, "a list of roles or collections is wanted here")),
        };
        if let Kind::Sequence(_) = top.kind {
            return Ok(Self { roles: list(top, role)?, collections: Vec::new() });
        }
        let mut found = Self::default();
        for (key, value) in top.entries() {
            match key.text() {
                Some("roles") => found.roles = list(value, role)?,
                Some("collections") => found.collections = list(value, collection)?,
                other => {
                    let name = other.unwrap_or_default().escape_debug().to_string();
                    return Err(RequirementsError::at(key, format!("`{name}` is none of `roles` and `collections`")));
                }
            }
        }
        match top.kind {
            Kind::Mapping(_) => Ok(found),
            Kind::Scalar { .. } if top.text().is_none() => Ok(found),
            Kind::Scalar { .. } | Kind::Sequence(_) => Err(RequirementsError::at(top, "no map with `roles` and `collections`")),
        }
    }

    /// Keys of all of them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().chain(&self.collections).map(|r| r.key.as_str())
    }

    /// The file that ansible-galaxy is given: JSON, which is YAML, with these versions in place of ranges and branches. What `exact`
    /// names and the file does not is what was pulled in by it: added, so that it does not float either.
    pub fn exact(&self, exact: &BTreeMap<String, String>) -> String {
        let put = |all: &[Requirement]| all.iter().map(|r| r.with(exact.get(&r.key))).collect::<Vec<Json>>();
        let named = |key: &str| self.keys().any(|known| known == key);
        let pulled = |kind: &str| {
            let found = exact.iter().filter(|(key, _)| !named(key)).filter_map(|(key, version)| {
                let name = key.strip_prefix(kind)?;
                (name.contains('.') && has_version(version)).then(|| serde_json::json!({ "name": name, "version": version }))
            });
            found.collect::<Vec<Json>>()
        };
        let mut roles = put(&self.roles);
        roles.extend(pulled("role "));
        let mut collections = put(&self.collections);
        // A collection from a repository or a file has a name that only its content says: it would be asked for twice.
        if self.collections.iter().all(|r| r.from_server) {
            collections.extend(pulled("collection "));
        }
        serde_json::json!({ "roles": roles, "collections": collections }).to_string()
    }
}

/// Is this something to ask for. `-` stands in the lock file for a source that has no versions.
fn has_version(version: &str) -> bool {
    !matches!(version, "" | "-" | "*")
}

impl Requirement {
    fn with(&self, version: Option<&String>) -> Json {
        let mut fields: Map<String, Json> = self.fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        if let Some(version) = version.filter(|v| (self.git.is_some() || self.from_server) && has_version(v)) {
            fields.insert("version".to_owned(), Json::String(version.clone()));
        }
        Json::Object(fields)
    }
}

/// Scalars of a map as JSON, every one a string: `version: 1.10` is not the number 1.1.
fn fields(node: &Node) -> Result<BTreeMap<String, Json>, RequirementsError> {
    let json = |value: &Node| match &value.kind {
        Kind::Sequence(items) => Json::Array(items.iter().filter_map(|i| Some(Json::String(i.text()?.to_owned()))).collect()),
        Kind::Scalar { .. } | Kind::Mapping(_) => value.text().map_or(Json::Null, |text| Json::String(text.to_owned())),
    };
    let mut fields = BTreeMap::new();
    for (key, value) in node.entries() {
        let Some(name) = key.text() else { return Err(RequirementsError::at(key, "a name is wanted here")) };
        if name == "include" {
            return Err(RequirementsError::at(key, "`include` is not followed: name that file in the stage's `galaxy` too"));
        }
        if matches!(value.kind, Kind::Mapping(_)) {
            return Err(RequirementsError::at(value, format!("`{name}` takes no map")));
        }
        fields.insert(name.to_owned(), json(value));
    }
    Ok(fields)
}

fn text<'f>(fields: &'f BTreeMap<String, Json>, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Json::as_str).filter(|text| !text.is_empty())
}

fn set(fields: &mut BTreeMap<String, Json>, name: &str, value: &str) {
    fields.insert(name.to_owned(), Json::String(value.to_owned()));
}

/// As ansible-galaxy's `RoleRequirement` reads it.
fn role(node: &Node) -> Result<Requirement, RequirementsError> {
    let mut fields = if let Some(line) = node.text() {
        let mut parts = line.split(',').map(str::trim);
        let mut fields = BTreeMap::new();
        for name in ["src", "version", "name"] {
            if let Some(part) = parts.next().filter(|p| !p.is_empty()) {
                set(&mut fields, name, part);
            }
        }
        fields
    } else {
        fields(node)?
    };
    let src = text(&fields, "src").or_else(|| text(&fields, "name")).or_else(|| text(&fields, "role"));
    let Some(src) = src.map(str::to_owned) else { return Err(RequirementsError::at(node, "a role without `src` and `name`")) };
    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "as ansible-galaxy compares")]
    let archive = src.ends_with(".tar.gz") || src.ends_with(".tgz");
    let (scm, url) = match src.split_once('+') {
        Some((scm @ ("git" | "hg"), url)) => (Some(scm), url),
        _ if src.contains("github.com") && src.contains("://") && !archive => (Some("git"), src.as_str()),
        _ => (text(&fields, "scm"), src.as_str()),
    };
    let (scm, url) = (scm.map(str::to_owned), url.to_owned());
    let name = text(&fields, "name").map_or_else(|| role_name(&src), str::to_owned);
    let version = text(&fields, "version").unwrap_or("HEAD").to_owned();
    set(&mut fields, "src", &url);
    set(&mut fields, "name", &name);
    if let Some(scm) = &scm {
        set(&mut fields, "scm", scm);
    }
    let from_server = scm.is_none() && !url.contains('/');
    let local = (scm.is_none() && !from_server).then(|| local_path(&url)).flatten();
    Ok(Requirement {
        key: format!("role {name}"),
        git: (scm.as_deref() == Some("git")).then_some((url, version)),
        from_server,
        local,
        fields,
    })
}

/// `https://host/ansible-role-x.git` → `ansible-role-x`, as ansible-galaxy names it.
fn role_name(src: &str) -> String {
    if !src.contains("://") && !src.contains('@') {
        return src.to_owned();
    }
    let last = src.rsplit('/').next().unwrap_or(src);
    let last = last.strip_suffix(".git").or_else(|| last.strip_suffix(".tar.gz")).unwrap_or(last);
    last.split(',').next().unwrap_or(last).to_owned()
}

/// As ansible-galaxy's `Requirement.from_requirement_dict` reads it.
fn collection(node: &Node) -> Result<Requirement, RequirementsError> {
    let mut fields = if let Some(line) = node.text() {
        let mut fields = BTreeMap::new();
        match line.rsplit_once(':') {
            Some((name, version)) if is_fqcn(name) => {
                set(&mut fields, "name", name);
                set(&mut fields, "version", version);
            }
            _ => set(&mut fields, "name", line),
        }
        fields
    } else {
        fields(node)?
    };
    let Some(name) = text(&fields, "name").or_else(|| text(&fields, "source")).map(str::to_owned) else {
        return Err(RequirementsError::at(node, "a collection without `name`"));
    };
    let kind = text(&fields, "type").map(str::to_owned);
    let is_git = kind.as_deref() == Some("git") || (kind.is_none() && (name.starts_with("git+") || name.starts_with("git@")));
    if !is_git {
        let from_server = is_fqcn(&name) && kind.as_deref().is_none_or(|kind| kind == "galaxy");
        let key = if is_fqcn(&name) { format!("collection {name}") } else { format!("file {}", without_password(&name)) };
        let place = text(&fields, "source").filter(|_| is_fqcn(&name)).unwrap_or(&name);
        let local = (!from_server && !is_fqcn(place)).then(|| local_path(place)).flatten();
        return Ok(Requirement { key, git: None, from_server, local, fields });
    }
    // The comma in the name wins over `version`; so the reference is taken out of the name.
    let place = text(&fields, "source").filter(|_| is_fqcn(&name)).unwrap_or(&name).to_owned();
    let (place, comma) = place.split_once(',').map_or((place.as_str(), None), |(place, version)| (place, Some(version)));
    let version = comma.or_else(|| text(&fields, "version").filter(|v| has_version(v))).unwrap_or("HEAD").to_owned();
    let url = place.strip_prefix("git+").unwrap_or(place);
    let url = url.split('#').next().unwrap_or(url).to_owned();
    let key = format!("git {}", without_password(place.strip_prefix("git+").unwrap_or(place)));
    let place = place.to_owned();
    set(&mut fields, "name", &place);
    set(&mut fields, "type", "git");
    set(&mut fields, "version", &version);
    fields.remove("source");
    Ok(Requirement { key, git: Some((url, version)), from_server: false, local: None, fields })
}

/// A path, or a `file://` URL; anything else is on another machine.
fn local_path(place: &str) -> Option<String> {
    let path = place.strip_prefix("file://").unwrap_or(place);
    (!path.contains("://")).then(|| path.to_owned())
}

fn is_fqcn(name: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    name.split_once('.').is_some_and(|(namespace, name)| word(namespace) && word(name))
}

/// A URL as it may stand in the lock file: somebody's token is often in front of the host.
fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Requirements {
        Requirements::parse(text.as_bytes()).unwrap()
    }

    fn git(found: &Requirement) -> Option<(&str, &str)> {
        found.git.as_ref().map(|(url, version)| (url.as_str(), version.as_str()))
    }

    #[test]
    fn roles_are_read_as_ansible_galaxy_reads_them() {
        let found = parse(
            "roles:\n- geerlingguy.nginx,3.1.0\n- src: https://github.com/acme/ansible-role-x.git\n  version: main\n\
             - {src: 'git+file:///srv/y', name: y}\n- src: /srv/z.tar.gz\n  name: z\n- name: k\n  src: git@host:k.git\n  scm: git\n",
        );
        let keys: Vec<&str> = found.keys().collect();
        assert_eq!(keys, ["role geerlingguy.nginx", "role ansible-role-x", "role y", "role z", "role k"]);
        assert_eq!(git(&found.roles[1]), Some(("https://github.com/acme/ansible-role-x.git", "main")));
        assert_eq!(git(&found.roles[2]), Some(("file:///srv/y", "HEAD")));
        assert_eq!((git(&found.roles[3]), found.roles[3].from_server, found.roles[0].from_server), (None, false, true));
        assert_eq!((found.roles[3].local.as_deref(), &found.roles[0].local), (Some("/srv/z.tar.gz"), &None));
        assert_eq!(git(&found.roles[4]), Some(("git@host:k.git", "HEAD")));
        assert_eq!(parse("- a.b\n- c.d,1\n").roles.len(), 2, "the old form is a list of roles");
    }

    #[test]
    fn collections_are_read_as_ansible_galaxy_reads_them() {
        let found = parse(
            "collections:\n- community.docker:4.1.0\n- name: ansible.posix\n  version: '>=1.5'\n\
             - git+https://token@host/acme/tools.git#/sub,v1\n- {name: 'file:///srv/t', type: git, version: dev}\n- ./acme-tools-1.0.0.tar.gz\n",
        );
        let keys: Vec<&str> = found.keys().collect();
        assert_eq!(
            keys,
            [
                "collection community.docker",
                "collection ansible.posix",
                "git https://host/acme/tools.git#/sub",
                "git file:///srv/t",
                "file ./acme-tools-1.0.0.tar.gz"
            ]
        );
        assert_eq!(git(&found.collections[2]), Some(("https://token@host/acme/tools.git", "v1")));
        assert_eq!(git(&found.collections[3]), Some(("file:///srv/t", "dev")));
        assert_eq!(found.collections[4].local.as_deref(), Some("./acme-tools-1.0.0.tar.gz"));
        assert!(found.collections[..4].iter().all(|c| c.local.is_none()));
    }

    #[test]
    fn exact_versions_take_the_place_of_ranges_and_branches() {
        let found = parse("roles:\n- {src: 'git+file:///srv/y', name: y}\ncollections:\n- name: ansible.posix\n  version: '>=1.5'\n");
        let pairs = [("role y", "c0ffee"), ("collection ansible.posix", "1.6.2"), ("collection ansible.utils", "5.0.0"), ("role dep", "-")];
        let exact = found.exact(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert_eq!(
            exact,
            r#"{"collections":[{"name":"ansible.posix","version":"1.6.2"},{"name":"ansible.utils","version":"5.0.0"}],"roles":[{"name":"y","scm":"git","src":"file:///srv/y","version":"c0ffee"}]}"#
        );
        assert!(found.exact(&BTreeMap::new()).contains(">=1.5"), "without a pin the file's own range holds");
    }

    #[test]
    fn what_is_no_requirement_file_is_refused_with_its_line() {
        for (text, line, said) in [
            ("a: [", 1, ""),
            ("roles:\n- {}\n", 2, "a role without `src` and `name`"),
            ("tasks: []\n", 1, "`tasks` is none of `roles` and `collections`"),
            ("roles:\n- include: x.yml\n", 2, "`include` is not followed: name that file in the stage's `galaxy` too"),
            ("roles: geerlingguy.nginx\n", 1, "a list of roles or collections is wanted here"),
        ] {
            let error = Requirements::parse(text.as_bytes()).unwrap_err();
            assert!(error.message.contains(said), "{text}: {error}");
            assert!(said.is_empty() || error.line == line, "{text}: {}", error.line);
        }
        assert_eq!(parse(""), Requirements::default());
        assert_eq!(parse("roles: []\n"), Requirements::default());
    }
}
