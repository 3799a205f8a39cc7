//! [`unified`]: the difference of two texts in the form that `diff -u`, git and code review show.
//!
//! Invariant: applied to the old text (`patch -p1`) it gives the new one; equal texts give nothing.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Above this many pairs of changed lines the middle is shown as removed and added as a whole: still right, only longer.
const MOST_PAIRS: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Old,
    New,
}

/// `name`: path as shown, with `/`. `old`: `None` when there is no file.
pub fn unified(name: &str, old: Option<&str>, new: &str) -> String {
    if old == Some(new) {
        return String::new();
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (old.unwrap_or("").split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let lines = align(&before, &after);
    let from = if old.is_some() { format!("a/{name}") } else { "/dev/null".to_owned() };
    let mut out = format!("--- {from}\n+++ b/{name}\n");
    let (mut at, mut line) = (0, (0, 0));
    while let Some(start) = lines[at..].iter().position(|(kind, _)| *kind != Kind::Same).map(|n| at + n) {
        let end = hunk_end(&lines, start);
        let first = start.saturating_sub(CONTEXT).max(at);
        advance(&mut line, &lines[at..first]);
        hunk(&mut out, &lines[first..end], line);
        advance(&mut line, &lines[first..end]);
        at = end;
    }
    out
}

/// A hunk ends where more than twice the context is the same.
fn hunk_end(lines: &[(Kind, &str)], start: usize) -> usize {
    let mut end = start;
    let mut same = 0;
    for (n, (kind, _)) in lines.iter().enumerate().skip(start) {
        if *kind == Kind::Same {
            same += 1;
            if same > 2 * CONTEXT {
                break;
            }
        } else {
            same = 0;
            end = n + 1;
        }
    }
    (end + CONTEXT).min(lines.len())
}

fn advance(line: &mut (usize, usize), lines: &[(Kind, &str)]) {
    line.0 += lines.iter().filter(|(kind, _)| *kind != Kind::New).count();
    line.1 += lines.iter().filter(|(kind, _)| *kind != Kind::Old).count();
}

fn hunk(out: &mut String, lines: &[(Kind, &str)], before: (usize, usize)) {
    let mut counts = (0, 0);
    advance(&mut counts, lines);
    // A side without lines is counted from the line before it, as diff does.
    let first = |before: usize, count: usize| if count == 0 { before } else { before + 1 };
    writeln!(out, "@@ -{},{} +{},{} @@", first(before.0, counts.0), counts.0, first(before.1, counts.1), counts.1)
        .expect("writing to a String cannot fail");
    for (kind, line) in lines {
        out.push(match kind {
            Kind::Same => ' ',
            Kind::Old => '-',
            Kind::New => '+',
        });
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The longest common subsequence between equal head and tail.
fn align<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Kind, &'t str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<(Kind, &str)> = old[..head].iter().map(|line| (Kind::Same, *line)).collect();
    if a.len().saturating_mul(b.len()) > MOST_PAIRS {
        lines.extend(a.iter().map(|line| (Kind::Old, *line)));
        lines.extend(b.iter().map(|line| (Kind::New, *line)));
    } else {
        let width = b.len() + 1;
        let mut common = vec![0_u32; (a.len() + 1) * width];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                common[i * width + j] = if a[i] == b[j] {
                    common[(i + 1) * width + j + 1] + 1
                } else {
                    common[(i + 1) * width + j].max(common[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            if i < a.len() && j < b.len() && a[i] == b[j] {
                lines.push((Kind::Same, a[i]));
                (i, j) = (i + 1, j + 1);
            } else if j == b.len() || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
                lines.push((Kind::Old, a[i]));
                i += 1;
            } else {
                lines.push((Kind::New, b[j]));
                j += 1;
            }
        }
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| (Kind::Same, *line)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_line_stands_in_its_context() {
        let old = "1\n2\n3\n4\na = \"x\"\n6\n7\n8\n9\n";
        let new = old.replace("\"x\"", "\"y\"");
        assert_eq!(
            unified("t/a.tfvars", Some(old), &new),
            "--- a/t/a.tfvars\n+++ b/t/a.tfvars\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-a = \"x\"\n+a = \"y\"\n 6\n 7\n 8\n"
        );
    }

    #[test]
    fn a_new_file_comes_from_dev_null_and_equal_ones_give_nothing() {
        assert_eq!(unified("a", None, "x\n"), "--- /dev/null\n+++ b/a\n@@ -0,0 +1,1 @@\n+x\n");
        assert_eq!(unified("a", Some("x\n"), "x\n"), "");
    }

    #[test]
    fn changes_far_apart_are_two_hunks_and_a_missing_line_end_is_told() {
        let old = (0..30).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        let new = old.replace("\n3\n", "\nthree\n").replace("29\n", "29");
        let diff = unified("a", Some(&old), &new);
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(diff.contains("@@ -1,7 +1,7 @@") && diff.contains("@@ -27,4 +27,4 @@"), "{diff}");
        assert!(diff.ends_with("-29\n+29\n\\ No newline at end of file\n"), "{diff}");
    }
}
