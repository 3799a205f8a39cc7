//! [`reduce`]: an HCL expression → [`Value`], or what is not known about it. The one evaluator for pipeline files and templates.
//!
//! It understands what pipeline files need (literals, templates, references, conditionals, comparison, logic) and calls everything
//! else [`Unknown`]: a caller that must know turns that into a problem, a caller that may widen widens. Must not guess.
//! Invariant: a `Value` that comes back is what HCL itself would give, with references only where the scope put them.

use std::collections::BTreeMap;
use std::ops::Range;

use hcl_edit::expr::{BinaryOperator, Expression, Object, ObjectKey, TraversalOperator, UnaryOperator};
use hcl_edit::template::{Element, Strip, Template};

use crate::model::value::Value;
use crate::syntax::hcl::span_of;
use crate::syntax::number::{decimal, negated};

/// One thing that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Which expression.
    pub span: Range<usize>,
    /// Why, one lowercase line.
    pub why: String,
    /// What to do about it.
    pub help: Option<String>,
    /// It has been reported at its origin already; saying it again helps nobody.
    pub reported: bool,
}

impl Unknown {
    /// Without help.
    pub fn new(span: Range<usize>, why: impl Into<String>) -> Self {
        Self { span, why: why.into(), help: None, reported: false }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A value, or everything in it that is not known.
pub type Reduced = Result<Value, Vec<Unknown>>;

/// A step of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `x` of `.x`, `["x"]` or `[0]`.
    pub text: String,
    /// Written as `["x"]`.
    pub index: bool,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A reference: `var.x`, `stage.web["arm64"].id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// At least one.
    pub segments: Vec<Segment>,
    /// All of it.
    pub span: Range<usize>,
}

impl Path {
    /// The texts, for matching.
    pub fn texts(&self) -> Vec<&str> {
        self.segments.iter().map(|s| s.text.as_str()).collect()
    }
}

/// What references mean.
pub trait Scope {
    /// The value of a reference.
    ///
    /// # Errors
    /// Why it has none.
    fn reference(&self, path: &Path) -> Result<Value, Unknown>;
}

/// The reference that an expression is, if it is one and nothing else.
pub fn path_of(expr: &Expression) -> Option<Path> {
    match expr {
        Expression::Parenthesis(inner) => path_of(inner.inner()),
        Expression::Variable(name) => {
            let span = span_of(name);
            Some(Path { segments: vec![Segment { text: name.as_str().to_owned(), index: false, span: span.clone() }], span })
        }
        Expression::Traversal(traversal) => {
            let mut path = path_of(&traversal.expr)?;
            path.span = span_of(expr);
            for operator in &traversal.operators {
                let span = span_of(operator);
                let segment = match operator.value() {
                    TraversalOperator::GetAttr(name) => Segment { text: name.as_str().to_owned(), index: false, span },
                    TraversalOperator::LegacyIndex(index) => Segment { text: index.value().to_string(), index: true, span },
                    TraversalOperator::Index(Expression::String(key)) => Segment { text: key.value().clone(), index: true, span },
                    TraversalOperator::Index(Expression::Number(key)) => Segment { text: key.value().to_string(), index: true, span },
                    TraversalOperator::Index(_) | TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => return None,
                };
                path.segments.push(segment);
            }
            Some(path)
        }
        _ => None,
    }
}

/// Reduces `expr` as far as `scope` knows.
///
/// # Errors
/// Everything in it that is not known, with its place.
pub fn reduce(expr: &Expression, scope: &dyn Scope) -> Reduced {
    let unknown = |why: &str| Err(vec![Unknown::new(span_of(expr), why)]);
    match expr {
        Expression::Null(_) => Ok(Value::Null),
        Expression::Bool(value) => Ok(Value::Bool(*value.value())),
        Expression::String(text) => Ok(Value::String(text.value().clone())),
        Expression::Number(number) => {
            let written = number.as_repr().map_or_else(|| number.value().to_string(), |repr| repr.trim().to_owned());
            decimal(&written)
                .map(Value::Number)
                .ok_or_else(|| vec![Unknown::new(span_of(expr), format!("`{written}` is not a number that fits"))])
        }
        Expression::Array(items) => all(items.iter().map(|item| reduce(item, scope))).map(Value::List),
        Expression::Object(object) => reduce_object(object, scope),
        Expression::Parenthesis(inner) => reduce(inner.inner(), scope),
        Expression::StringTemplate(template) => {
            let elements: Vec<&Element> = template.iter().collect();
            // HCL: a template that is one interpolation is that value, whatever its type.
            if let [Element::Interpolation(only)] = elements[..] {
                return reduce(&only.expr, scope);
            }
            reduce_template(&elements, scope)
        }
        Expression::HeredocTemplate(heredoc) => {
            let mut value = reduce_template(&heredoc.template.iter().collect::<Vec<_>>(), scope)?;
            normalise_line_ends(&mut value);
            Ok(value)
        }
        Expression::Variable(_) | Expression::Traversal(_) => match path_of(expr) {
            Some(path) => scope.reference(&path).map_err(|unknown| vec![unknown]),
            None => unknown("splats and computed indexes are not evaluated"),
        },
        Expression::Conditional(conditional) => match reduce(&conditional.cond_expr, scope)? {
            Value::Bool(true) => reduce(&conditional.true_expr, scope),
            Value::Bool(false) => reduce(&conditional.false_expr, scope),
            _ => Err(vec![Unknown::new(span_of(&conditional.cond_expr), "condition is not true or false")]),
        },
        Expression::UnaryOp(operation) => match (operation.operator.value(), reduce(&operation.expr, scope)?) {
            (UnaryOperator::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
            (UnaryOperator::Neg, Value::Number(number)) => Ok(Value::Number(negated(&number))),
            _ => unknown("operator does not fit the value behind it"),
        },
        Expression::BinaryOp(operation) => {
            let (left, right) = (reduce(&operation.lhs_expr, scope)?, reduce(&operation.rhs_expr, scope)?);
            if !left.references().is_empty() || !right.references().is_empty() {
                return unknown("value is not known before a step starts");
            }
            match (operation.operator.value(), &left, &right) {
                (BinaryOperator::Eq, ..) => Ok(Value::Bool(left == right)),
                (BinaryOperator::NotEq, ..) => Ok(Value::Bool(left != right)),
                (BinaryOperator::And, Value::Bool(left), Value::Bool(right)) => Ok(Value::Bool(*left && *right)),
                (BinaryOperator::Or, Value::Bool(left), Value::Bool(right)) => Ok(Value::Bool(*left || *right)),
                _ => unknown("operator is not evaluated here"),
            }
        }
        Expression::FuncCall(call) => {
            Err(vec![Unknown::new(span_of(&call.name.name), format!("function `{}` is not evaluated here", call.name.name.as_str()))])
        }
        Expression::ForExpr(_) => unknown("`for` is not evaluated here"),
    }
}

/// Every value, or everything unknown in all of them.
fn all(items: impl Iterator<Item = Reduced>) -> Result<Vec<Value>, Vec<Unknown>> {
    let (mut values, mut unknowns) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(value) => values.push(value),
            Err(more) => unknowns.extend(more),
        }
    }
    if unknowns.is_empty() { Ok(values) } else { Err(unknowns) }
}

fn reduce_object(object: &Object, scope: &dyn Scope) -> Reduced {
    let (mut map, mut unknowns) = (BTreeMap::new(), Vec::new());
    for (key, value) in object {
        let name = match object_key(key, scope) {
            Ok(name) => Some(name),
            Err(unknown) => {
                unknowns.extend(unknown);
                None
            }
        };
        match (name, reduce(value.expr(), scope)) {
            (Some(name), Ok(value)) => {
                if map.insert(name.clone(), value).is_some() {
                    unknowns.push(Unknown::new(key_span(key), format!("key `{name}` is set twice")));
                }
            }
            (None, Ok(_)) => {}
            (_, Err(more)) => unknowns.extend(more),
        }
    }
    if unknowns.is_empty() { Ok(Value::Map(map)) } else { Err(unknowns) }
}

/// Where a key of an object stands.
pub fn key_span(key: &ObjectKey) -> Range<usize> {
    match key {
        ObjectKey::Ident(name) => span_of(name),
        ObjectKey::Expression(expr) => span_of(expr),
    }
}

/// The text of a key of an object: `a`, `"a"`, `(var.a)`.
///
/// # Errors
/// When it is no literal string, number or bool.
pub fn object_key(key: &ObjectKey, scope: &dyn Scope) -> Result<String, Vec<Unknown>> {
    match key {
        // HCL: a bare word is a key and not a reference; a reference needs parentheses.
        ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => Ok(name.as_str().to_owned()),
        ObjectKey::Expression(expr) => {
            text_of(&reduce(expr, scope)?).ok_or_else(|| vec![Unknown::new(span_of(expr), "key is not a string")])
        }
    }
}

/// HCL's conversion to a string.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Ref(_) | Value::Template(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn reduce_template(elements: &[&Element], scope: &dyn Scope) -> Reduced {
    let mut pieces: Vec<Value> = Vec::new();
    let mut unknowns = Vec::new();
    let mut strip_next = false;
    for element in elements {
        match element {
            Element::Literal(text) => {
                let text = if strip_next { text.value().trim_start() } else { text.value() };
                strip_next = false;
                append(&mut pieces, text);
            }
            Element::Interpolation(interpolation) => {
                if matches!(interpolation.strip, Strip::Start | Strip::Both)
                    && let Some(Value::String(before)) = pieces.last_mut()
                {
                    before.truncate(before.trim_end().len());
                }
                strip_next = matches!(interpolation.strip, Strip::End | Strip::Both);
                match reduce(&interpolation.expr, scope) {
                    Ok(Value::Ref(reference)) => pieces.push(Value::Ref(reference)),
                    Ok(Value::Template(inner)) => pieces.extend(inner),
                    Ok(value) => match text_of(&value) {
                        Some(text) => append(&mut pieces, &text),
                        None => unknowns.push(Unknown::new(span_of(&interpolation.expr), "a list, a map or null has no text form")),
                    },
                    Err(more) => unknowns.extend(more),
                }
            }
            Element::Directive(directive) => {
                unknowns.push(Unknown::new(span_of(directive.as_ref()), "template directives are not evaluated here"));
            }
        }
    }
    if !unknowns.is_empty() {
        return Err(unknowns);
    }
    pieces.retain(|piece| *piece != Value::String(String::new()));
    Ok(match pieces.len() {
        0 => Value::String(String::new()),
        1 if matches!(pieces[0], Value::String(_)) => pieces.remove(0),
        _ => Value::Template(pieces),
    })
}

fn append(pieces: &mut Vec<Value>, text: &str) {
    if let Some(Value::String(last)) = pieces.last_mut() {
        last.push_str(text);
    } else {
        pieces.push(Value::String(text.to_owned()));
    }
}

/// A checkout with CRLF must not give another key than one without.
fn normalise_line_ends(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("\r\n", "\n"),
        Value::Template(pieces) => pieces.iter_mut().for_each(normalise_line_ends),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Ref(_) | Value::List(_) | Value::Map(_) => {}
    }
}

/// The text of a template whose pieces are all literal; `None` when it interpolates anything.
pub fn literal_template(template: &Template) -> Option<String> {
    template.iter().map(|element| element.as_literal().map(|text| text.value().as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::problem::SourceText;
    use crate::model::value::Reference;
    use crate::syntax::hcl;

    struct Known;
    impl Scope for Known {
        fn reference(&self, path: &Path) -> Result<Value, Unknown> {
            match path.texts()[..] {
                ["var", "x"] => Ok(Value::String("X".to_owned())),
                ["var", "list"] => Ok(Value::List(Vec::new())),
                ["artifact", "name"] => Ok(Value::Ref(Reference::ArtifactName)),
                _ => Err(Unknown::new(path.span.clone(), "nothing known")),
            }
        }
    }

    fn eval(text: &str) -> Reduced {
        let source = Arc::new(SourceText { path: "x".into(), text: format!("a = {text}\n") });
        let body = hcl::parse(&source).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        let value = hcl::attributes(&body).next().expect("one").value;
        reduce(value, &Known)
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn values_are_what_hcl_gives() {
        for (text, value) in [
            ("\"a${var.x}b\"", string("aXb")),
            ("\"${var.list}\"", Value::List(Vec::new())),
            ("\"a ${~ 1.50 ~} b${true}\"", string("a1.5btrue")),
            ("\"$${x} \\\"\\u00e9\"", string("${x} \"é")),
            ("<<EOT\nx ${var.x}\n  y\nEOT", string("x X\n  y\n")),
            ("<<-EOT\n    x\n      y\n  EOT", string("x\n  y\n")),
            ("<<EOT\r\nx\r\nEOT", string("x\n")),
            ("-0", Value::Number("0".to_owned())),
            ("-1.50", Value::Number("-1.5".to_owned())),
            ("1e3", Value::Number("1000".to_owned())),
            ("18446744073709551617", Value::Number("18446744073709551617".to_owned())),
            ("null", Value::Null),
            ("(var.x == \"X\" && !false) ? 1 : missing.x", Value::Number("1".to_owned())),
            ("artifact.name", Value::Ref(Reference::ArtifactName)),
            ("\"${artifact.name}\"", Value::Ref(Reference::ArtifactName)),
            ("\"a-${artifact.name}\"", Value::Template(vec![string("a-"), Value::Ref(Reference::ArtifactName)])),
            (
                "{ a = 1, \"b c\" : 2, (var.x) = 3 }",
                Value::Map([("a", "1"), ("b c", "2"), ("X", "3")].map(|(k, v)| (k.to_owned(), Value::Number(v.to_owned()))).into()),
            ),
        ] {
            assert_eq!(eval(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn everything_unknown_is_named_with_its_place() {
        let unknown = eval("[missing.a, upper(\"x\"), { k = missing.b }, 1]").expect_err("three unknown");
        assert_eq!(unknown.iter().map(|u| u.span.clone()).collect::<Vec<_>>(), [5..14, 16..21, 34..43]);
        for text in [
            "\"%{ if true }x%{ endif }\"",
            "[for x in var.list : x]",
            "var.list[*].x",
            "1 + 2",
            "\"a${var.list}\"",
            "artifact.name == \"x\"",
        ] {
            assert!(eval(text).is_err(), "{text}");
        }
    }
}
