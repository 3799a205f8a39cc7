//! As much of Jinja as names of files need: the pieces of a templated text, the look-ups in it, what a template includes.
//!
//! Text in, pieces out; evaluates nothing. Invariant: what is not understood comes out as an expression that nobody can resolve,
//! never as literal text.

use std::sync::LazyLock;

use memchr::memmem;

/// Literal text and `{{ … }}` in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Expression(String),
}

/// Has the text anything for Jinja to do.
pub(super) fn templated(text: &str) -> bool {
    memchr::memchr_iter(b'{', text.as_bytes()).any(|at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%')))
}

/// Where `word` stands. Templates are long and mostly hold none of the words that are looked for.
pub(super) fn places<'t>(text: &'t str, word: &'static str) -> impl Iterator<Item = usize> + 't {
    let finder = FINDERS.iter().find_map(|(known, finder)| (*known == word).then_some(finder)).expect("every word has its finder");
    finder.find_iter(text.as_bytes())
}

/// Of every word that is looked for: to make a finder takes longer than to find nothing in a text of a line.
static FINDERS: LazyLock<Vec<(&'static str, memmem::Finder<'static>)>> = LazyLock::new(|| {
    let words = ["|", "is", "{%", "lookup", "query", "q", " is ", " is not ", "select", "reject", "selectattr", "rejectattr", "map"];
    words.into_iter().map(|word| (word, memmem::Finder::new(word))).collect()
});

/// The pieces of a text; `None`: it has statements (`{% … %}`) or an end is missing.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece>> {
    if text.contains("{%") || text.contains("{#") {
        return None;
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        let end = end_of(after, "}}")?;
        let inner = &after[..end];
        // `{{-` and `-}}` eat the blanks beside them: seldom enough to be left alone.
        if inner.starts_with(['-', '+']) || inner.ends_with(['-', '+']) {
            return None;
        }
        pieces.push(Piece::Expression(inner.trim().to_owned()));
        rest = &after[end + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Some(pieces)
}

/// Offset of `close` outside of quotes.
fn end_of(text: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if text[at..].starts_with(close) => return Some(at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(_) | None => {}
        }
    }
    None
}

/// Splits at `separator` where it stands outside of quotes and brackets.
pub(super) fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The text between quotes, when that is all there is and nothing in it is escaped.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let text = text.trim();
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    (!inner.contains([quote, '\\'])).then_some(inner)
}

/// `lookup('file', 'a', x)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Name of the plugin without `ansible.builtin.`; `None`: not a literal.
    pub(super) plugin: Option<String>,
    /// Its arguments as they stand there, keyword ones included.
    pub(super) arguments: Vec<String>,
    /// 0-based line in the text.
    pub(super) line: usize,
}

/// Every `lookup(…)`, `query(…)` and `q(…)` in a text.
pub(super) fn calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for name in ["lookup", "query", "q"] {
        for at in places(text, name) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
                continue;
            }
            let after = text[at + name.len()..].trim_start();
            let Some(after) = after.strip_prefix('(') else { continue };
            let line = text[..at].matches('\n').count();
            let Some(inside) = balanced(start_of(after)) else {
                // Without an end it is mostly prose; with a plugin's name it is a call whose arguments nobody knows.
                let plugin = start_of(after).split([',', ')']).next().and_then(|first| quoted(first).map(short));
                if plugin.is_some() {
                    calls.push(Call { plugin, arguments: vec!["unknown_text()".to_owned()], line });
                }
                continue;
            };
            let mut arguments = split(inside, ",").into_iter().map(|a| a.trim().to_owned());
            let plugin = arguments.next().and_then(|first| quoted(&first).map(short));
            let arguments = arguments.filter(|a| !a.is_empty()).collect();
            calls.push(Call { plugin, arguments, line });
        }
    }
    calls
}

/// Names of filters and tests that carry their collection (`x | acme.tools.f`, `x is acme.tools.t`), with the 0-based line.
pub(super) fn qualified(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for start in ["|", " is ", " is not "] {
        for at in places(text, start) {
            let after = text[at + start.len()..].trim_start();
            // Two dots in what may be a name: few have one.
            let name = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || !byte.is_ascii());
            if name.filter(|byte| *byte == b'.').count() < 2 {
                continue;
            }
            let end = after.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(after.len());
            if after[..end].matches('.').count() >= 2 {
                found.push((after[..end].to_owned(), text[..at].matches('\n').count()));
            }
        }
    }
    found
}

/// Longest call or statement that is taken apart: a text that opens thousands and closes none must not be read thousands of times.
const LONGEST: usize = 4_000;

pub(super) fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// A plugin or module without the prefix that means the same as none.
pub(super) fn short(name: &str) -> String {
    short_of(name).to_owned()
}

/// [`short`] as a part of the text.
pub(super) fn short_of(name: &str) -> &str {
    let name = name.trim();
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy."));
    short.unwrap_or(name)
}

/// The text up to the `)` that ends it.
pub(super) fn balanced(text: &str) -> Option<&str> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(&text[..at]),
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What `include`, `import`, `extends` and `from` statements of a template name, with the 0-based line: a literal, or the
/// expression that it is not.
pub(super) fn included(text: &str) -> Vec<(Result<String, String>, usize)> {
    let mut names = Vec::new();
    for at in places(text, "{%") {
        let statement = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        // No blank is needed: `{%include'x'%}`.
        let end = statement.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(statement.len());
        let (word, rest) = statement.split_at(end);
        if !matches!(word, "include" | "import" | "extends" | "from") {
            continue;
        }
        let line = text[..at].matches('\n').count();
        let rest = start_of(rest);
        let rest = rest.split("%}").next().unwrap_or(rest);
        let expression = [" import ", " as ", " ignore ", " with ", " without "].iter().fold(rest, |e, word| split(e, word)[0]);
        let expression = expression.trim().trim_end_matches(['-', '+']).trim();
        let list = expression.strip_prefix('[').and_then(|e| e.strip_suffix(']'));
        for item in list.map_or_else(|| vec![expression], |list| split(list, ",")) {
            names.push((quoted(item).map(str::to_owned).ok_or_else(|| item.trim().to_owned()), line));
        }
    }
    names
}

/// `src=a dest="b c"` as Ansible takes it apart: pairs, and words without `=`. Quotes are taken off where they stand around a whole
/// value (elsewhere they are a part of the name); what is escaped comes out as a template that nobody can resolve.
pub(super) fn words(text: &str) -> Vec<(Option<String>, String)> {
    let bare = |word: String| match quoted(&word) {
        Some(inner) => inner.to_owned(),
        None if word.contains('\\') => format!("{RAW}{word}"),
        None => word,
    };
    cut(text, true).into_iter().map(|word| pair(word, bare)).collect()
}

/// The same as a shell takes it apart: quotes go wherever they stand.
pub(super) fn shell_words(text: &str) -> Vec<(Option<String>, String)> {
    let bare = |word: String| if word.contains('\\') { format!("{RAW}{word}") } else { word };
    cut(text, false).into_iter().map(|word| pair(word, bare)).collect()
}

/// Before a text that Ansible takes as it is, or otherwise than it stands there.
pub(super) const RAW: &str = "{% raw %}";

fn pair(word: String, bare: impl Fn(String) -> String) -> (Option<String>, String) {
    match word.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            (Some(key.to_owned()), bare(value.to_owned()))
        }
        _ => (None, bare(word)),
    }
}

/// At blanks outside of quotes and of Jinja.
fn cut(text: &str, keep_quotes: bool) -> Vec<String> {
    let (mut words, mut word, mut quote, mut braces) = (Vec::new(), String::new(), None, 0_usize);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match quote {
            Some(open) if c == open => {
                quote = None;
                if keep_quotes || braces > 0 {
                    word.push(c);
                }
            }
            None if matches!(c, '\'' | '"') => {
                quote = Some(c);
                if keep_quotes || braces > 0 {
                    word.push(c);
                }
            }
            None if c == '{' && characters.peek() == Some(&'{') => {
                braces += 1;
                word.push(c);
            }
            None if c == '}' && characters.peek() == Some(&'}') => {
                braces = braces.saturating_sub(1);
                word.push_str("}}");
                characters.next();
            }
            None if c.is_whitespace() && braces == 0 => words.push(std::mem::take(&mut word)),
            Some(_) if c == '\\' => {
                word.push(c);
                word.extend(characters.next());
            }
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_apart_into_literals_and_expressions() {
        let pieces = |t| super::pieces(t).unwrap();
        assert_eq!(pieces("conf/{{ x['}}'] }}.j2").len(), 3);
        assert_eq!(pieces("plain"), [Piece::Literal("plain".to_owned())]);
        assert_eq!(super::pieces("{% if x %}a{% endif %}"), None);
        assert_eq!(super::pieces("{{ open"), None);
    }

    #[test]
    fn lookups_are_found_wherever_they_stand() {
        let found = calls("{{ lookup('ansible.builtin.env', 'HOME') ~ q(\"file\", 'a,b', x) }} hasq('no') query(which, 1)");
        let names: Vec<_> = found.iter().map(|c| (c.plugin.as_deref(), c.arguments.len())).collect();
        assert_eq!(names, [(Some("env"), 1), (None, 1), (Some("file"), 2)]);
    }

    #[test]
    fn includes_of_templates_are_found_in_every_spelling() {
        let text = "{% include 'a.j2' %}\n{%- from \"b.j2\" import m with context -%}\n{% import x as y %}{%extends['c', 'd']%}";
        let found: Vec<_> = included(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, [Ok("a.j2".into()), Ok("b.j2".into()), Err("x".into()), Ok("c".into()), Ok("d".into())]);
    }

    #[test]
    fn old_style_arguments_keep_quotes_and_jinja_together() {
        let found = words("src=\"a b\" dest={{ x | default('y z') }}/c plain");
        assert_eq!(
            found,
            [(Some("src".into()), "a b".into()), (Some("dest".into()), "{{ x | default('y z') }}/c".into()), (None, "plain".into())]
        );
    }
}
