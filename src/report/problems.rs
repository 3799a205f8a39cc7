//! [`render`]: problems as people read them, with file, line, column and caret; [`to_json`]: as programs do.
//!
//! Invariant: every problem is shown, whatever stands in the file that it points into, and without colour there is no control
//! code in the text.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use crate::model::problem::{Place, Problem, Problems, Severity, SourceText};

/// Problems as text, each with its places and help, and a line that counts them.
pub fn render(problems: &Problems, colour: bool, width: usize) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(width.max(40));
    let mut text = String::new();
    for problem in &problems.0 {
        text.push_str(&renderer.render(&[group(problem)]));
        text.push_str("\n\n");
    }
    let counts = counts(problems);
    if !counts.is_empty() {
        writeln!(text, "{counts}").expect("writing to a String cannot fail");
    }
    text
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(problem.summary.as_str()).elements(std::iter::empty::<Origin<'_>>());
    for place in &problem.places {
        let path = place.source.path.to_string_lossy();
        // Nothing to underline: a file that was not read, a problem of the whole file, or a line that may hold a secret.
        if place.span.is_empty() && (place.source.text.is_empty() || place.label.is_empty()) {
            let (line, column) = place.source.line_column(place.span.start);
            group = group.element(Origin::path(path).line(line).char_column(column));
            continue;
        }
        let kind = if std::ptr::eq(place, &raw const problem.places[0]) { AnnotationKind::Primary } else { AnnotationKind::Context };
        let (text, line, span) = excerpt(place);
        let annotation = kind.span(shortened(text, span));
        let annotation = if place.label.is_empty() { annotation } else { annotation.label(place.label.as_str()) };
        group = group.element(Snippet::source(text).line_start(line).path(path).annotation(annotation));
    }
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The lines that a place touches, with the number of the first and the span in them. Not the whole file: it may have a megabyte,
/// and there may be hundreds of problems in it.
fn excerpt(place: &Place) -> (&str, usize, std::ops::Range<usize>) {
    let text = &place.source.text;
    let start = boundary(text, place.span.start);
    let end = boundary(text, place.span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let (line, _) = place.source.line_column(start);
    (&text[line_start..line_end], line, start - line_start..end - line_start)
}

/// The renderer cuts long lines around what is underlined, so that has to be short itself.
fn shortened(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    const LONGEST: usize = 60;
    if span.len() <= LONGEST || text[span.clone()].contains('\n') {
        return span;
    }
    span.start..boundary(text, span.start + LONGEST)
}

fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn counted(problems: &Problems, severity: Severity) -> usize {
    problems.0.iter().filter(|p| p.severity == severity).count()
}

/// `2 errors, 1 warning`; empty without any.
fn counts(problems: &Problems) -> String {
    [(Severity::Error, "error"), (Severity::Warning, "warning")]
        .into_iter()
        .filter_map(|(severity, word)| match counted(problems, severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            n => Some(format!("{n} {word}s")),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Problems in the shape of `terraform validate -json`, so that what annotates Terraform's diagnostics annotates ours. More than
/// Terraform has: `related`, the further places.
pub fn to_json(problems: &Problems) -> serde_json::Value {
    let diagnostics: Vec<serde_json::Value> = problems.0.iter().map(diagnostic).collect();
    json!({
        "format_version": "1.0",
        "valid": !problems.has_errors(),
        "error_count": counted(problems, Severity::Error),
        "warning_count": counted(problems, Severity::Warning),
        "diagnostics": diagnostics,
    })
}

fn diagnostic(problem: &Problem) -> serde_json::Value {
    let mut diagnostic = json!({
        "severity": severity(problem),
        "summary": problem.summary,
        "detail": problem.help.clone().unwrap_or_default(),
    });
    if let Some((first, more)) = problem.places.split_first() {
        diagnostic["range"] = range(first);
        diagnostic["snippet"] = if first.span.is_empty() { serde_json::Value::Null } else { snippet(first) };
        if !more.is_empty() {
            diagnostic["related"] = more.iter().map(|place| json!({ "message": place.label, "range": range(place) })).collect();
        }
    }
    diagnostic
}

fn range(place: &Place) -> serde_json::Value {
    let point = |source: &SourceText, at: usize| {
        let (line, column) = source.line_column(at);
        json!({ "line": line, "column": column, "byte": at })
    };
    json!({
        "filename": place.source.path.to_string_lossy(),
        "start": point(&place.source, place.span.start),
        "end": point(&place.source, place.span.end),
    })
}

fn snippet(place: &Place) -> serde_json::Value {
    let (text, line, span) = excerpt(place);
    json!({
        "context": null,
        "code": text,
        "start_line": line,
        "highlight_start_offset": span.start,
        "highlight_end_offset": span.end,
        "values": [],
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn two() -> Problems {
        let source =
            Arc::new(SourceText { path: "ovenbird.hcl".into(), text: "# 画像\nstage \"web\" {\n  from = stage.bse\n}\n".to_owned() });
        let at = |text: &str| {
            let start = source.text.find(text).expect("in the text");
            start..start + text.len()
        };
        Problems(vec![
            Problem::error("there is no stage `bse`").at(&source, at("stage.bse"), "").help("did you mean `stage.base`?"),
            Problem::warning("look").at(&source, at("画像"), "here").at(&source, at("web"), "and here"),
            Problem::error("file `x` cannot be read"),
        ])
    }

    #[test]
    fn a_problem_shows_its_words_and_what_to_do() {
        insta::assert_snapshot!(render(&two(), false, 80), @r#"
        error: there is no stage `bse`
         --> ovenbird.hcl:3:10
          |
        3 |   from = stage.bse
          |          ^^^^^^^^^
          |
          = help: did you mean `stage.base`?

        warning: look
         --> ovenbird.hcl:1:3
          |
        1 | # 画像
          |   ^^^^ here
          |
         ::: ovenbird.hcl:2:8
          |
        2 | stage "web" {
          |        --- and here

        error: file `x` cannot be read

        2 errors, 1 warning
        "#);
    }

    #[test]
    fn json_has_terraforms_shape() {
        let mut json = to_json(&two());
        insta::assert_snapshot!(json["diagnostics"][0].take().to_string(), @r#"{"detail":"did you mean `stage.base`?","range":{"end":{"byte":41,"column":19,"line":3},"filename":"ovenbird.hcl","start":{"byte":32,"column":10,"line":3}},"severity":"error","snippet":{"code":"  from = stage.bse","context":null,"highlight_end_offset":18,"highlight_start_offset":9,"start_line":3,"values":[]},"summary":"there is no stage `bse`"}"#);
        assert_eq!(
            (json["valid"].as_bool(), json["error_count"].as_u64(), json["warning_count"].as_u64()),
            (Some(false), Some(2), Some(1))
        );
    }

    #[test]
    fn plain_text_has_no_control_codes_whatever_the_file_holds() {
        for text in ["", "\u{1b}[31mred\u{7}\t\u{202e}x\r\n", "\u{feff}", "é\u{0}"] {
            let source = Arc::new(SourceText { path: "x".into(), text: text.to_owned() });
            for span in [0..0, 0..text.len(), text.len()..text.len(), 0..99, 99..100] {
                let problems = Problems(vec![Problem::error("x").at(&source, span.clone(), "").at(&source, span, "label")]);
                let plain = render(&problems, false, 80);
                assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
                assert!(!render(&problems, true, 80).is_empty());
                assert!(to_json(&problems).is_object());
            }
        }
    }
}
