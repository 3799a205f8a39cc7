//! [`scan`]: one pass over HCL text that knows strings, templates, heredocs, comments and brackets, and nothing else.
//!
//! It runs before the real parser for two reasons. The parser is recursive, so the depth has to be known first. And it takes a
//! line break inside a quoted string for a character, so a forgotten quote would be reported wherever the next one stands; here
//! it is reported where it was opened. Invariant: it accepts whatever Terraform's own scanner accepts.

use std::ops::Range;

/// Deepest nesting of brackets, strings and interpolations that is read. Hand-written files have less than ten.
pub const MAX_DEPTH: usize = 48;

/// What the scan refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub span: Range<usize>,
    /// One lowercase line.
    pub summary: String,
    /// What is said under the caret.
    pub label: &'static str,
    /// What to do.
    pub help: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// `(`, `[` or `{` of an expression or a body, with its offset.
    Bracket(u8, usize),
    /// `${` or `%{`.
    Interpolation(usize),
    /// `"`.
    Quote(usize),
    /// Heredoc: offset of `<<`, range of the delimiter's name.
    Heredoc(usize, usize, usize),
}

impl Frame {
    fn start(self) -> usize {
        match self {
            Self::Bracket(_, at) | Self::Interpolation(at) | Self::Quote(at) | Self::Heredoc(at, ..) => at,
        }
    }
}

/// The first thing that is wrong, or nothing.
pub fn scan(text: &str) -> Option<Finding> {
    Scanner { bytes: text.as_bytes(), at: 0, stack: Vec::new() }.run()
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    stack: Vec<Frame>,
}

impl Scanner<'_> {
    fn run(mut self) -> Option<Finding> {
        while self.at < self.bytes.len() {
            let step = match self.stack.last().copied() {
                Some(Frame::Quote(open)) => self.quoted(open),
                Some(Frame::Heredoc(_, from, to)) => {
                    self.heredoc(from..to);
                    Ok(())
                }
                Some(Frame::Bracket(..) | Frame::Interpolation(_)) | None => self.code(),
            };
            if let Err(finding) = step {
                return Some(finding);
            }
            if self.stack.len() > MAX_DEPTH {
                let at = self.stack.last().map_or(0, |f| f.start());
                return Some(Finding {
                    span: at..at + 1,
                    summary: format!("nested deeper than {MAX_DEPTH} levels"),
                    label: "one level too deep",
                    help: None,
                });
            }
        }
        self.stack.last().map(|frame| self.unclosed(*frame))
    }

    fn unclosed(&self, frame: Frame) -> Finding {
        let at = frame.start();
        match frame {
            Frame::Quote(_) => unterminated_string(at, self.bytes),
            Frame::Heredoc(_, from, to) => Finding {
                span: at..to,
                summary: format!("heredoc is not closed before the end of the file: no line is just `{}`", self.text(from..to)),
                label: "opened here",
                help: None,
            },
            Frame::Interpolation(_) => Finding {
                span: at..at + 2,
                summary: "interpolation is not closed before the end of the file".to_owned(),
                label: "opened here",
                help: Some("close it with `}`"),
            },
            Frame::Bracket(open, _) => Finding {
                span: at..at + 1,
                summary: format!("`{}` is not closed before the end of the file", char::from(open)),
                label: "opened here",
                help: None,
            },
        }
    }

    fn text(&self, range: Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[range]).into_owned()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn code(&mut self) -> Result<(), Finding> {
        let byte = self.bytes[self.at];
        match byte {
            b'#' => self.skip_line(),
            b'/' if self.rest().starts_with(b"//") => self.skip_line(),
            b'/' if self.rest().starts_with(b"/*") => {
                let Some(end) = memchr::memmem::find(&self.rest()[2..], b"*/") else {
                    return Err(Finding {
                        span: self.at..self.at + 2,
                        summary: "comment is not closed before the end of the file".to_owned(),
                        label: "opened here",
                        help: Some("close it with `*/`"),
                    });
                };
                self.at += end + 4;
            }
            b'"' => self.open(Frame::Quote(self.at), 1),
            b'<' if self.rest().starts_with(b"<<") => self.heredoc_head(),
            b'(' | b'[' | b'{' => self.open(Frame::Bracket(byte, self.at), 1),
            b')' | b']' | b'}' => return self.close(byte),
            _ => self.at += 1,
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, length: usize) {
        self.stack.push(frame);
        self.at += length;
    }

    fn close(&mut self, byte: u8) -> Result<(), Finding> {
        let wanted = match self.stack.last() {
            Some(Frame::Bracket(b'(', _)) => Some(b')'),
            Some(Frame::Bracket(b'[', _)) => Some(b']'),
            Some(Frame::Bracket(..) | Frame::Interpolation(_)) => Some(b'}'),
            Some(Frame::Quote(_) | Frame::Heredoc(..)) | None => None,
        };
        if wanted == Some(byte) {
            self.stack.pop();
            self.at += 1;
            return Ok(());
        }
        let closing = char::from(byte);
        Err(Finding {
            span: self.at..self.at + 1,
            summary: match wanted {
                Some(wanted) => format!("`{closing}` where `{}` has to close first", char::from(wanted)),
                None => format!("`{closing}` closes nothing"),
            },
            label: "",
            help: None,
        })
    }

    fn skip_line(&mut self) {
        self.at += memchr::memchr(b'\n', self.rest()).map_or(self.rest().len(), |end| end + 1);
    }

    /// `${` and `%{` open, `$${` and `%%{` are text.
    fn marker(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with(b"$${") || rest.starts_with(b"%%{") {
            self.at += 3;
            return true;
        }
        if rest.starts_with(b"${") || rest.starts_with(b"%{") {
            self.open(Frame::Interpolation(self.at), 2);
            return true;
        }
        false
    }

    fn quoted(&mut self, open: usize) -> Result<(), Finding> {
        if self.marker() {
            return Ok(());
        }
        match self.bytes[self.at] {
            b'"' => {
                self.stack.pop();
                self.at += 1;
            }
            // The escaped character may be a line break, which must not hide here.
            b'\\' if self.bytes.get(self.at + 1).is_some_and(|b| *b != b'\n' && *b != b'\r') => self.at += 2,
            b'\n' => return Err(unterminated_string(open, self.bytes)),
            _ => self.at += 1,
        }
        Ok(())
    }

    fn heredoc_head(&mut self) {
        let start = self.at;
        let mut at = start + 2;
        if self.bytes.get(at) == Some(&b'-') {
            at += 1;
        }
        let name = at;
        while self.bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || *b >= 0x80) {
            at += 1;
        }
        let line_end = match self.bytes.get(at..) {
            Some([b'\n', ..]) => Some(at + 1),
            Some([b'\r', b'\n', ..]) => Some(at + 2),
            _ => None,
        };
        match line_end {
            Some(end) if at > name => {
                self.stack.push(Frame::Heredoc(start, name, at));
                self.at = end;
            }
            _ => self.at += 2,
        }
    }

    fn heredoc(&mut self, delimiter: Range<usize>) {
        let at_line_start = self.at == 0 || self.bytes[self.at - 1] == b'\n';
        if at_line_start {
            let end = memchr::memchr(b'\n', self.rest()).map_or(self.bytes.len(), |end| self.at + end);
            if self.bytes[self.at..end].trim_ascii() == &self.bytes[delimiter] {
                self.stack.pop();
                self.at = end;
                return;
            }
        }
        if !self.marker() {
            self.at += 1;
        }
    }
}

fn unterminated_string(open: usize, bytes: &[u8]) -> Finding {
    let end = memchr::memchr(b'\n', &bytes[open..]).map_or(bytes.len(), |end| open + end);
    let end = if bytes[open..end].ends_with(b"\r") { end - 1 } else { end };
    Finding {
        span: open..end.max(open + 1),
        summary: "string is not closed on its line".to_owned(),
        label: "opened here",
        help: Some("close it with `\"`; text of several lines is a heredoc: `<<-EOT` … `EOT`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terraform_accepts_passes() {
        for text in [
            "",
            "a = 1\n",
            "a = \"x ${b[\"c\"]} $${ %%{ \\\" \"\n",
            "a = \"${\n  b\n}\"\n",
            "a = <<EOT\n\" { ${x} \n  EOT\nb = [1]\n",
            "a = [<<-EOT\n   {\n  EOT\n]\n",
            "# \" {\n// (\n/* [ \n */ a = {}\n",
            "a = 1 << 2\r\nb = \"c\"\r\n",
            "a = 4 / 2 # \"\n",
        ] {
            assert_eq!(scan(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_open_is_reported_where_it_was_opened() {
        for (text, span, summary) in [
            ("a = \"x\nb = \"y\"\n", 4..6, "string is not closed on its line"),
            ("a = \"x", 4..6, "string is not closed on its line"),
            ("a = \"x\\", 4..7, "string is not closed on its line"),
            ("a = [1\n", 4..5, "`[` is not closed before the end of the file"),
            ("a = (1]\n", 6..7, "`]` where `)` has to close first"),
            ("}\n", 0..1, "`}` closes nothing"),
            ("/* a", 0..2, "comment is not closed before the end of the file"),
            ("a = <<EOT\nx\n", 4..9, "heredoc is not closed before the end of the file: no line is just `EOT`"),
            ("a = \"${b", 5..7, "interpolation is not closed before the end of the file"),
        ] {
            let finding = scan(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert_eq!((finding.span, finding.summary.as_str()), (span, summary), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(scan(&deep).expect("too deep").summary, "nested deeper than 48 levels");
        let fits = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(scan(&fits), None);
    }
}
