//! YAML as Ansible writes it: text → [`Node`]s with tags, lines and byte spans.
//!
//! Scalars stay text (`0644`, `yes`, `1.10` are what stands there; YAML 1.1 would make 420, true and 1.1 of them), tags are kept
//! (`!vault`, `!unsafe`), Jinja is text. Invariant: bounded in time, memory and depth whatever the input, and no input panics; what
//! two parsers refuse is a [`YamlError`] with its line, and the caller takes more than it can read instead of failing.

mod fallback;
mod plain;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// Largest YAML file that is read. Ansible's own files stay below a hundredth of it.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting. Hand-written files stay below 30; both parsers and our readers of trees recurse no deeper than this.
pub const MAX_DEPTH: usize = 250;
/// Most nodes of a file with every alias written out: an alias bomb is refused before anybody walks it.
pub const MAX_NODES: u32 = 1_000_000;

/// Why a text is no YAML that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// One lowercase line.
    pub message: String,
    /// 1-based line.
    pub line: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Tag as resolved: `!vault`, `!unsafe`, `tag:yaml.org,2002:str` ….
    pub tag: Option<Box<str>>,
    /// 1-based line of its first character.
    pub line: usize,
    /// [`Self::span`], in half the space: a plan holds some hundred thousand nodes, none of a text beyond [`MAX_BYTES`].
    bytes: (u32, u32),
    /// Nodes in it, itself included, aliases written out.
    weight: u32,
}

/// Kinds of nodes. Children are shared where an alias repeats them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text after unescaping; `plain` when it stands without quotes and is no block.
    Scalar {
        /// The text.
        text: Box<str>,
        /// Without quotes.
        plain: bool,
    },
    /// In order.
    Sequence(Box<[Arc<Node>]>),
    /// In the order of the file, doubled keys included.
    Mapping(Box<[(Arc<Node>, Arc<Node>)]>),
}

impl Node {
    /// Bytes of a scalar in the text without its byte order mark; empty for anything else, and where the parser could not say.
    pub fn span(&self) -> Range<usize> {
        self.bytes.0 as usize..self.bytes.1 as usize
    }

    /// Text of a scalar; a plain `null`, `~` or nothing is none.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL") => None,
            Kind::Scalar { text, .. } => Some(text),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }

    /// Items of a sequence; nothing for anything else.
    pub fn items(&self) -> &[Arc<Self>] {
        match &self.kind {
            Kind::Sequence(items) => items,
            Kind::Scalar { .. } | Kind::Mapping(_) => &[],
        }
    }

    /// A sequence's items, or the thing itself: Ansible takes one where it takes a list.
    pub fn one_or_many(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Sequence(items) => items.iter().map(AsRef::as_ref).collect(),
            Kind::Scalar { .. } | Kind::Mapping(_) => vec![self],
        }
    }

    /// Pairs of a mapping with `<<` written out behind its own; nothing for anything else.
    pub fn entries(&self) -> Vec<(&Self, &Self)> {
        let Kind::Mapping(pairs) = &self.kind else { return Vec::new() };
        let mut merged = Vec::new();
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            if key.is("<<") {
                merged.extend(value.one_or_many().into_iter().flat_map(Self::entries));
            } else {
                entries.push((key.as_ref(), value.as_ref()));
            }
        }
        entries.append(&mut merged);
        entries
    }

    /// Values of a key: more than one when the key is doubled or merged in (which of them wins is not modelled).
    pub fn get_all<'n, 'k>(&'n self, key: &'k str) -> impl Iterator<Item = &'n Self> + use<'n, 'k> {
        let pairs = if let Kind::Mapping(pairs) = &self.kind { &**pairs } else { &[] };
        let own = pairs.iter().filter(move |(k, _)| key != "<<" && k.is(key)).map(|(_, value)| value.as_ref());
        let merged = pairs.iter().filter(|(k, _)| k.is("<<")).flat_map(|(_, value)| value.one_or_many()).flat_map(Self::entries);
        own.chain(merged.filter(move |(k, _)| k.is(key)).map(|(_, value)| value))
    }

    fn is(&self, key: &str) -> bool {
        matches!(&self.kind, Kind::Scalar { text, .. } if **text == *key) && self.text().is_some()
    }

    /// The value of a key, the first where there are more.
    pub fn get<'n>(&'n self, key: &str) -> Option<&'n Self> {
        self.get_all(key).next()
    }

    /// Calls `see` for every scalar, keys included.
    pub fn scalars<'n>(&'n self, see: &mut dyn FnMut(&'n Self, &'n str)) {
        match &self.kind {
            Kind::Scalar { text, .. } => see(self, text),
            Kind::Sequence(items) => items.iter().for_each(|item| item.scalars(see)),
            Kind::Mapping(pairs) => {
                for (key, value) in pairs {
                    key.scalars(see);
                    value.scalars(see);
                }
            }
        }
    }
}

/// Every document of `bytes`; an empty file has none.
///
/// # Errors
/// [`YamlError`] when the bytes are too many, not UTF-8, nested too deep, an alias bomb, or refused by both parsers.
pub fn parse(bytes: &[u8]) -> Result<Vec<Arc<Node>>, YamlError> {
    if bytes.len() > MAX_BYTES {
        return Err(YamlError { message: format!("{} bytes, at most {MAX_BYTES} are read", bytes.len()), line: 1 });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| YamlError {
        message: "not UTF-8".to_owned(),
        line: 1 + memchr::memchr_iter(b'\n', &bytes[..e.valid_up_to()]).count(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(documents) = plain::parse(text) {
        return Ok(documents);
    }
    match with_granit(text) {
        Ok(documents) => Ok(documents),
        Err(Refusal::Limit(error)) => Err(error),
        // Real files hold what one parser reads and the other does not. libyaml is what Ansible itself uses; its port may panic.
        Err(Refusal::Syntax(error)) => match fallback::parse(text) {
            Ok(Ok(documents)) => Ok(documents),
            Ok(Err(Refusal::Limit(limit))) => Err(limit),
            Ok(Err(Refusal::Syntax(_))) | Err(_) => Err(error),
        },
    }
}

enum Refusal {
    /// Another parser would refuse it too, or should not try.
    Limit(YamlError),
    Syntax(YamlError),
}

/// What both parsers' events have in common.
enum Step {
    Scalar { text: Box<str>, plain: bool },
    Open { mapping: bool },
    Close,
    Alias(String),
    EndOfDocument,
}

struct Open {
    mapping: bool,
    anchor: Option<String>,
    tag: Option<String>,
    line: usize,
    children: Vec<Arc<Node>>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Arc<Node>>,
    open: Vec<Open>,
    anchors: BTreeMap<String, Arc<Node>>,
    total: u32,
}

impl Builder {
    fn step(&mut self, step: Step, anchor: Option<String>, tag: Option<String>, line: usize, span: Range<usize>) -> Result<(), Refusal> {
        match step {
            Step::Scalar { text, plain } => {
                let node =
                    Node { kind: Kind::Scalar { text, plain }, tag: tag.map(String::into_boxed_str), line, bytes: small(&span), weight: 1 };
                self.add(Arc::new(node), anchor, line)
            }
            Step::Open { mapping } => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(Refusal::Limit(YamlError { message: format!("nested deeper than {MAX_DEPTH}"), line }));
                }
                self.open.push(Open { mapping, anchor, tag, line, children: Vec::new() });
                Ok(())
            }
            Step::Close => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let weight = open.children.iter().fold(1_u32, |sum, child| sum.saturating_add(child.weight));
                let kind = if open.mapping {
                    let mut pairs = Vec::with_capacity(open.children.len() / 2);
                    let mut children = open.children.into_iter();
                    while let (Some(key), Some(value)) = (children.next(), children.next()) {
                        pairs.push((key, value));
                    }
                    Kind::Mapping(pairs.into_boxed_slice())
                } else {
                    Kind::Sequence(open.children.into_boxed_slice())
                };
                let tag = open.tag.map(String::into_boxed_str);
                self.add(Arc::new(Node { kind, tag, line: open.line, bytes: (0, 0), weight }), open.anchor, line)
            }
            Step::Alias(name) => {
                let Some(node) = self.anchors.get(&name).cloned() else {
                    return Err(Refusal::Syntax(YamlError { message: "an alias stands before the end of what it names".to_owned(), line }));
                };
                self.add(node, None, line)
            }
            Step::EndOfDocument => {
                self.anchors.clear();
                Ok(())
            }
        }
    }

    fn add(&mut self, node: Arc<Node>, anchor: Option<String>, line: usize) -> Result<(), Refusal> {
        if node.weight > MAX_NODES {
            return Err(too_many(line));
        }
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        if let Some(open) = self.open.last_mut() {
            open.children.push(node);
        } else {
            self.total = self.total.saturating_add(node.weight);
            if self.total > MAX_NODES {
                return Err(too_many(line));
            }
            self.documents.push(node);
        }
        Ok(())
    }
}

/// Empty where it is beyond what is read.
fn small(span: &Range<usize>) -> (u32, u32) {
    u32::try_from(span.start).ok().zip(u32::try_from(span.end).ok()).unwrap_or_default()
}

fn too_many(line: usize) -> Refusal {
    Refusal::Limit(YamlError { message: format!("more than {MAX_NODES} values with its aliases written out"), line })
}

fn with_granit(text: &str) -> Result<Vec<Arc<Node>>, Refusal> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let refused = YamlError { message: error.info().to_lowercase(), line: error.marker().line() };
            match error.kind() {
                granit_parser::ErrorKind::RecursionLimitExceeded => Refusal::Limit(refused),
                _ => Refusal::Syntax(refused),
            }
        })?;
        let line = span.start.line();
        let bytes = bytes_of(&span);
        let name = |anchor: usize| (anchor != 0).then(|| anchor.to_string());
        let tag = |tag: Option<std::borrow::Cow<'_, granit_parser::Tag>>| tag.map(|t| format!("{}{}", t.handle(), t.suffix()));
        match event {
            Event::Scalar(value, style, anchor, its) => {
                let step = Step::Scalar { text: value.into_owned().into_boxed_str(), plain: style == ScalarStyle::Plain };
                builder.step(step, name(anchor), tag(its), line, bytes)?;
            }
            Event::SequenceStart(_, anchor, its) => builder.step(Step::Open { mapping: false }, name(anchor), tag(its), line, bytes)?,
            Event::MappingStart(_, anchor, its) => builder.step(Step::Open { mapping: true }, name(anchor), tag(its), line, bytes)?,
            Event::SequenceEnd | Event::MappingEnd => builder.step(Step::Close, None, None, line, bytes)?,
            Event::Alias(id) => builder.step(Step::Alias(id.to_string()), None, None, line, bytes)?,
            Event::DocumentEnd => builder.step(Step::EndOfDocument, None, None, line, bytes)?,
            _ => {}
        }
    }
    Ok(builder.documents)
}

fn bytes_of(span: &Span) -> Range<usize> {
    match (span.start.byte_offset(), span.end.byte_offset()) {
        (Some(start), Some(end)) if start < end => start..end,
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Arc<Node> {
        let documents = parse(text.as_bytes()).unwrap();
        assert_eq!(documents.len(), 1, "{text}");
        Arc::clone(&documents[0])
    }

    #[test]
    fn scalars_stay_the_text_that_stands_there_and_tags_are_kept() {
        let node = one("mode: 0644\non: yes\nv: 1.10\nsecret: !vault |\n  $ANSIBLE_VAULT;1.1\nraw: !unsafe '{{ x }}'\nnone: ~\nq: '~'\n");
        assert_eq!(node.get("mode").and_then(Node::text), Some("0644"));
        assert_eq!(node.get("on").and_then(Node::text), Some("yes"));
        assert_eq!(node.get("v").and_then(Node::text), Some("1.10"));
        assert_eq!(node.get("secret").unwrap().tag.as_deref(), Some("!vault"));
        assert_eq!(node.get("raw").unwrap().tag.as_deref(), Some("!unsafe"));
        assert_eq!(node.get("none").and_then(Node::text), None);
        assert_eq!(node.get("q").and_then(Node::text), Some("~"));
    }

    #[test]
    fn lines_and_spans_point_at_the_value() {
        let text = "# ä\n- name: a\n  roles:\n    - nginx\n";
        let node = one(text);
        let role = &node.items()[0].get("roles").unwrap().items()[0];
        assert_eq!((role.line, &text[role.span()]), (4, "nginx"));
    }

    #[test]
    fn several_documents_a_byte_order_mark_crlf_and_nothing_are_read() {
        assert_eq!(parse("\u{feff}---\r\na: 1\r\n---\r\n- b\r\n".as_bytes()).unwrap().len(), 2);
        assert_eq!(parse(b"").unwrap().len(), 0);
        assert_eq!(parse(b"# nothing\n").unwrap().len(), 0);
    }

    #[test]
    fn aliases_and_merges_are_seen_through() {
        let node = one("base: &b {src: x, mode: 1}\nuse:\n  <<: *b\n  mode: 2\n");
        let merged = node.get("use").unwrap();
        assert_eq!(merged.get("src").and_then(Node::text), Some("x"));
        assert_eq!(merged.get("mode").and_then(Node::text), Some("2"));
        assert_eq!(merged.get_all("mode").count(), 2);
    }

    #[test]
    fn an_alias_bomb_deep_nesting_and_size_are_refused_quickly() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            use std::fmt::Write as _;
            let list = vec![format!("*a{}", level - 1); 10].join(",");
            writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
        }
        assert!(parse(bomb.as_bytes()).unwrap_err().message.contains("aliases"));
        let steps = (0..3_000).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n");
        for deep in ["[".repeat(10_000), "- ".repeat(10_000), steps] {
            assert!(parse(deep.as_bytes()).is_err());
        }
        assert!(parse(&vec![b' '; MAX_BYTES + 1]).is_err());
        assert!(parse(b"a: &a [*a]\n").is_err());
    }

    #[test]
    fn broken_text_is_an_error_with_its_line() {
        assert_eq!(parse(b"a: 1\nb: }\n").unwrap_err().line, 2);
        assert_eq!(parse(b"a: 1\nb: \xff\n").unwrap_err(), YamlError { message: "not UTF-8".to_owned(), line: 2 });
    }
}
