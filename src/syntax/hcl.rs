//! HCL text: [`decode`] bytes, [`parse`] with spans, [`splice`] values without touching any other byte.
//!
//! `hcl-edit` keeps a span on every node but does not print back what it read (line ends, `\u` escapes and heredocs change), so
//! nothing here prints a tree: an edit replaces bytes, and the result is parsed again and compared. Invariant: what [`splice`]
//! returns differs from its input in the given spans only, as bytes and as values.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};

use crate::model::problem::{Problem, SourceText};
use crate::syntax::scan;

/// Largest HCL file that is read. Hand-written ones stay below a tenth of it.
pub const MAX_BYTES: usize = 1 << 20;

/// Where a parsed node stands. Every node that the parser made has a span; one without gets the start of the file.
pub fn span_of(node: &impl Span) -> Range<usize> {
    node.span().unwrap_or(0..0)
}

/// The problem of a file that is larger than [`MAX_BYTES`]; for callers that ask for the size before they read.
pub fn too_large(path: PathBuf, bytes: u64) -> Problem {
    let source = Arc::new(SourceText { path, text: String::new() });
    Problem::error(format!("file has {bytes} bytes, at most {MAX_BYTES} are read")).at(&source, 0..0, "").help("is this the right file?")
}

/// Bytes → text: refuses files that are too large, binary, not UTF-8, or that start with a byte order mark.
///
/// # Errors
/// One [`Problem`] with its place.
pub fn decode(path: PathBuf, bytes: &[u8]) -> Result<Arc<SourceText>, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large(path, bytes.len() as u64));
    }
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let nul = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    if nul.min(valid) < bytes.len() {
        let (at, what) = if nul < valid { (nul, "a NUL byte") } else { (valid, "a byte that is not UTF-8") };
        return Err(not_text(path, bytes, at, what));
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    let source = Arc::new(SourceText { path, text });
    if source.text.starts_with('\u{feff}') {
        return Err(Problem::error("file starts with a byte order mark")
            .at(&source, 0..'\u{feff}'.len_utf8(), "these three bytes")
            .help(format!("save it as UTF-8 without one: `sed -i '1s/^\\xEF\\xBB\\xBF//' {}`", source.path.display())));
    }
    Ok(source)
}

/// A place in a file that is no text: what stands before it, with control characters replaced, so that it can be shown.
fn not_text(path: PathBuf, bytes: &[u8], at: usize, what: &str) -> Problem {
    let before: String = String::from_utf8_lossy(&bytes[..at])
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    let start = before.len();
    let source = Arc::new(SourceText { path, text: format!("{before}\u{fffd}") });
    Problem::error(format!("file is not text: {what} (0x{:02x}) at offset {at}", bytes[at]))
        .at(&source, start..start + '\u{fffd}'.len_utf8(), "")
        .help("HCL is UTF-8 text; is this the right file?")
}

/// The first line that ends in CR LF, for files in which that is not wanted.
pub fn first_crlf(source: &Arc<SourceText>) -> Option<Range<usize>> {
    memchr::memmem::find(source.text.as_bytes(), b"\r\n").map(|at| at..at + 1)
}

/// Text → tree.
///
/// # Errors
/// One [`Problem`] with the place of the first thing that is not HCL.
pub fn parse(source: &Arc<SourceText>) -> Result<Body, Problem> {
    if let Some(finding) = scan::scan(&source.text) {
        let problem = Problem::error(finding.summary).at(source, finding.span, finding.label);
        return Err(match finding.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
    hcl_edit::parser::parse_body(&source.text).map_err(|error| syntax_problem(source, &error))
}

fn syntax_problem(source: &Arc<SourceText>, error: &hcl_edit::parser::Error) -> Problem {
    let text = &source.text;
    let mut at = error.location().offset().min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let word = text[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(text.len(), |end| at + end);
    let end = if word > at { word } else { text[at..].chars().next().map_or(at, |c| at + c.len_utf8()) };
    if error.message().contains("redefined attribute") {
        return Problem::error(format!("attribute `{}` is set twice", &text[at..end])).at(source, at..end, "second time");
    }
    if error.message().contains("redefined object key") {
        return Problem::error(format!("key `{}` is set twice", &text[at..end])).at(source, at..end, "second time");
    }
    let problem = Problem::error(format!("not HCL: {}", error.message())).at(source, at..end, "");
    if text[at..end].starts_with(':') { problem.help("HCL sets a value with `=` and opens a block with `{`") } else { problem }
}

/// A string as HCL writes it, quotes included.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if text[at + 1..].starts_with('{') => quoted.extend([c, c]),
            c if c.is_control() => {
                use std::fmt::Write as _;
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A top-level `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopAttribute<'b> {
    /// Name.
    pub name: &'b str,
    /// Where the name stands.
    pub name_span: Range<usize>,
    /// Value, comparable and with spans inside.
    pub value: &'b Expression,
    /// Where the value stands: exactly the bytes that [`splice`] replaces.
    pub value_span: Range<usize>,
}

/// The top-level attributes in the order of the file.
pub fn attributes(body: &Body) -> impl Iterator<Item = TopAttribute<'_>> {
    body.iter().filter_map(Structure::as_attribute).map(|attribute| TopAttribute {
        name: attribute.key.as_str(),
        name_span: span_of(&attribute.key),
        value: &attribute.value,
        value_span: span_of(&attribute.value),
    })
}

/// New text for the value of a top-level attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The attribute's name.
    pub name: String,
    /// HCL of the new value.
    pub value: String,
}

/// Replaces the values of top-level attributes that exist, and checks the result: parsed again it holds the same things in the
/// same order, equal apart from the edited values, and these read back as the text that was asked for.
///
/// # Errors
/// A [`Problem`] when an attribute is not there, or when the result would not be what was asked for.
pub fn splice(source: &Arc<SourceText>, edits: &[Edit]) -> Result<String, Problem> {
    let before = parse(source)?;
    let mut replacements: Vec<(Range<usize>, &str)> = Vec::new();
    for edit in edits {
        let Some(attribute) = attributes(&before).find(|a| a.name == edit.name) else {
            return Err(Problem::error(format!("`{}` is not set here", edit.name)).at(source, 0..0, ""));
        };
        replacements.push((attribute.value_span, &edit.value));
    }
    replacements.sort_by_key(|(span, _)| span.start);
    let mut text = String::with_capacity(source.text.len());
    let mut at = 0;
    for (span, value) in &replacements {
        let unchanged =
            source.text.get(at..span.start).ok_or_else(|| Problem::error("one value is edited twice").at(source, span.clone(), ""))?;
        text.push_str(unchanged);
        text.push_str(value);
        at = span.end;
    }
    text.push_str(&source.text[at..]);

    let result = Arc::new(SourceText { path: source.path.clone(), text });
    let after = parse(&result)?;
    let unsafe_edit = |name: &str| Problem::error(format!("`{name}` cannot be edited safely")).at(source, 0..0, "");
    if before.len() != after.len() {
        return Err(unsafe_edit(edits.first().map_or("file", |e| e.name.as_str())));
    }
    for (old, new) in before.iter().zip(after.iter()) {
        let edit = old.as_attribute().and_then(|a| edits.iter().find(|e| e.name == a.key.as_str()));
        let safe = match (edit, new.as_attribute()) {
            (Some(edit), Some(new)) => new.key.as_str() == edit.name && result.text.get(span_of(&new.value)) == Some(edit.value.as_str()),
            (Some(_), None) => false,
            (None, _) => old == new,
        };
        if !safe {
            return Err(unsafe_edit(edit.map_or("file", |e| e.name.as_str())));
        }
    }
    let text = Arc::unwrap_or_clone(result).text;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Arc<SourceText> {
        Arc::new(SourceText { path: "x.tfvars".into(), text: text.to_owned() })
    }

    fn edit(name: &str, value: &str) -> Edit {
        Edit { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_splice_changes_the_named_values_and_no_other_byte() {
        let before = "# a\r\na   = \"ami-1\" # keep\r\nb = <<-EOT\r\n  x\r\n  EOT\r\nc = { d = \"\\u00e9\" }\r\n";
        let after = splice(&text(before), &[edit("a", "\"ami-2\""), edit("c", "{}")]).expect("edits");
        assert_eq!(after, "# a\r\na   = \"ami-2\" # keep\r\nb = <<-EOT\r\n  x\r\n  EOT\r\nc = {}\r\n");
    }

    #[test]
    fn an_edit_that_would_change_more_is_refused() {
        for value in ["\"x\"\nb = 2", "\"x\" # c", "", "\"x", " 1"] {
            let problem = splice(&text("a = 1\nc = 2\n"), &[edit("a", value)]).expect_err(value);
            assert!(!problem.summary.is_empty(), "{value}");
        }
        assert_eq!(splice(&text("a = 1\n"), &[edit("b", "1")]).expect_err("no b").summary, "`b` is not set here");
        assert!(splice(&text("a = 1\n"), &[edit("a", "1"), edit("a", "2")]).is_err());
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        for (bytes, line_column, summary) in [
            (&b"a = 1\nb = \xff"[..], (2, 5), "file is not text: a byte that is not UTF-8 (0xff) at offset 10"),
            (b"a\0", (1, 2), "file is not text: a NUL byte (0x00) at offset 1"),
            (b"\xef\xbb\xbfa = 1", (1, 1), "file starts with a byte order mark"),
        ] {
            let problem = decode("f".into(), bytes).expect_err(summary);
            assert_eq!(problem.summary, summary);
            let place = &problem.places[0];
            assert_eq!(place.source.line_column(place.span.start), line_column, "{summary}");
            assert!(place.source.text.get(place.span.clone()).is_some());
        }
        assert!(decode("f".into(), &vec![b'#'; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn depth_does_not_overflow_the_stack() {
        for deep in [
            "[".repeat(500_000),
            "{a=".repeat(300_000),
            "\"${".repeat(300_000),
            "a {\n".repeat(200_000),
            "a=".to_owned() + &"-".repeat(900_000),
        ] {
            assert!(parse(&text(&deep)).is_err());
            assert!(parse(&text(&format!("a = {deep}"))).is_err());
        }
        let n = scan::MAX_DEPTH;
        parse(&text(&format!("a = {}1{}\n", "[".repeat(n), "]".repeat(n)))).expect("as deep as the scan lets through");
        parse(&text(&format!("{}{}", "a {\n".repeat(n), "}\n".repeat(n)))).expect("blocks too");
        parse(&text(&format!("a = {}1{}\n", "(".repeat(n), ")".repeat(n)))).expect("parentheses too");
    }

    #[test]
    fn spans_are_exact() {
        let source = text("a = var.x[\"y\"]\nb { c = [1, 2] }\n");
        let body = parse(&source).expect("parses");
        let attribute = attributes(&body).next().expect("one");
        assert_eq!(&source.text[attribute.value_span], "var.x[\"y\"]");
        let block = body.blocks().next().expect("one");
        assert_eq!(&source.text[span_of(block)], "b { c = [1, 2] }");
        assert_eq!(&source.text[span_of(&block.ident)], "b");
    }
}
