//! [`Text`]: a line as people read it, in pieces with a [`Tone`]; colour is added only when it is rendered. [`clean`] and [`fit`].
//!
//! Invariant: a text holds no control character, whatever a tool wrote, so without colour none leaves this room; widths are those
//! of a terminal (a Japanese character takes two columns).

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// What a piece of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Names that the eye looks for.
    Strong,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Should be looked at.
    Warn,
    /// May be passed over.
    Dim,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// One line in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<(Tone, String)>);

impl Text {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new().add(Tone::Plain, text)
    }

    /// Adds a piece, cleaned.
    #[must_use]
    pub fn add(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        self.0.push((tone, clean(text.as_ref())));
        self
    }

    /// Adds another line's pieces.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds spaces up to a column.
    #[must_use]
    pub fn pad_to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        if missing == 0 { self } else { self.add(Tone::Plain, " ".repeat(missing)) }
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, piece)| width(piece)).sum()
    }

    /// Cut to `columns`, with `…` where something is missing.
    #[must_use]
    pub fn fit(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns;
        let mut kept = Vec::new();
        for (tone, piece) in self.0 {
            let wide = width(&piece);
            if wide < left {
                left -= wide;
                kept.push((tone, piece));
                continue;
            }
            // The last piece that shows: it ends in `…` even if it would just fit, because more follows or it is too long.
            kept.push((tone, fit(&format!("{piece} "), left)));
            break;
        }
        Self(kept)
    }

    /// Broken between two pieces where the next one would pass `columns`; what follows is indented. A piece that is too long for any
    /// line is broken between its words; a word is never cut.
    pub fn folded(self, columns: usize, indent: usize) -> Vec<Self> {
        let mut lines = vec![Self::new()];
        for (tone, piece) in self.0 {
            let long = indent + width(piece.trim()) > columns;
            let parts: Vec<&str> = if long { piece.split_inclusive(' ').collect() } else { vec![&piece] };
            for part in parts {
                let line = lines.last_mut().expect("it begins with one");
                let passes = line.width() + width(part.trim_end()) > columns && !part.trim().is_empty();
                if line.width() > indent && passes {
                    lines.push(Self::new().pad_to(indent).add(tone, part.trim_start()));
                } else if let Some((_, text)) = line.0.last_mut().filter(|(last, _)| long && *last == tone) {
                    text.push_str(part);
                } else {
                    line.0.push((tone, part.to_owned()));
                }
            }
        }
        lines
    }

    /// As it is written.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for (tone, piece) in &self.0 {
            if colour && *tone != Tone::Plain && !piece.is_empty() {
                let style = tone.style();
                write!(out, "{style}{piece}{style:#}").expect("writing to a String cannot fail");
            } else {
                out.push_str(piece);
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

/// Columns that a clean text takes.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// `text` cut to `columns`, with `…` where something is missing.
pub fn fit(text: &str, columns: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    console::truncate_str(text, columns, "…").into_owned()
}

/// Without escape sequences, control characters and marks that change the direction of writing: a tool's output cannot move the
/// cursor, ring the bell, or show a name other than it is.
pub fn clean(text: &str) -> String {
    if text.bytes().all(|b| (b' '..0x7f).contains(&b)) {
        return text.to_owned();
    }
    console::strip_ansi_codes(text)
        .chars()
        .filter_map(|c| match c {
            '\t' | '\n' => Some(' '),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

/// `1.2 s`, `41 s`, `1 min 32 s`, `1 h 02 min`.
pub fn seconds(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded and not negative; a run of 500 million years")]
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1 image`, `2 images`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `6 d ago`, from an RFC 3339 time or a day; `None` where it cannot be read.
pub fn age(then: &str, now: jiff::Timestamp) -> Option<String> {
    let moment = then.parse::<jiff::Timestamp>();
    let day_only = moment.is_err();
    let then = moment.or_else(|_| format!("{then}T00:00:00Z").parse()).ok()?;
    let minutes = (now.as_second() - then.as_second()).max(0) / 60;
    Some(match minutes {
        // A day's hours are not known.
        0..1440 if day_only => "today".to_owned(),
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        _ => format!("{} d ago", minutes / 1440),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_tool_writes_reaches_the_terminal_as_a_command() {
        assert_eq!(clean("\x1b[31mred\x1b[0m \x07bell\r\ntab \x1b]0;title\x07end"), "red bell tab end");
        assert_eq!(clean("\u{202e}gpj.exe\u{9b}2J"), "gpj.exe");
        assert_eq!(clean("日本語のタスク"), "日本語のタスク");
    }

    #[test]
    fn a_line_is_cut_by_columns_and_not_by_characters() {
        assert_eq!(fit("日本語のタスク", 7), "日本語…");
        let text = Text::new().add(Tone::Strong, "web ").add(Tone::Plain, "日本語のタスク").add(Tone::Dim, " 1 s");
        assert_eq!(text.width(), 22);
        for columns in 0..30 {
            let cut = text.clone().fit(columns);
            assert!(cut.width() <= columns, "{columns}: {cut:?}");
            assert_eq!(cut.render(false).contains('…'), (1..22).contains(&columns), "{columns}: {cut:?}");
        }
    }

    #[test]
    fn a_line_is_folded_between_its_pieces() {
        let text = Text::plain("  done ").add(Tone::Strong, "web").add(Tone::Plain, "  ami-1").add(Tone::Dim, "  12 tasks, 5 s");
        let folded = |columns| text.clone().folded(columns, 7).iter().map(|line| line.render(false)).collect::<Vec<_>>();
        assert_eq!(folded(40), ["  done web  ami-1  12 tasks, 5 s"]);
        assert_eq!(folded(31), ["  done web  ami-1", "       12 tasks, 5 s"]);
        assert_eq!(folded(12), ["  done web", "       ami-1", "       12", "       tasks,", "       5 s"]);
        let long =
            Text::plain(" FAILED").add(Tone::Plain, " gate").add(Tone::Plain, "  not within 0:20: http://127.0.0.1/a/long/one says no");
        let long = long.folded(24, 8);
        let shown: Vec<_> = long.iter().map(|line| line.render(false)).collect();
        assert_eq!(shown, [" FAILED gate  not within", "        0:20:", "        http://127.0.0.1/a/long/one", "        says no"]);
        assert!(long.iter().all(|line| line.0.len() < 4), "a colour is not begun anew with each word: {long:?}");
    }

    #[test]
    fn colour_is_added_at_the_end_only() {
        let text = Text::new().add(Tone::Bad, "failed").add(Tone::Plain, " web");
        assert_eq!(text.render(false), "failed web");
        assert_eq!(text.render(true), "\x1b[1m\x1b[31mfailed\x1b[0m web");
    }

    #[test]
    fn times_are_short() {
        assert_eq!([0.04, 9.94, 9.96, 59.4, 92.0, 3720.0].map(seconds), ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 32 s", "1 h 02 min"]);
        let now = "2026-11-22T04:15:00Z".parse().expect("a time");
        assert_eq!(age("2026-11-20T04:15:00.000Z", now).as_deref(), Some("2 d ago"));
        assert_eq!(age("2026-11-16", now).as_deref(), Some("6 d ago"));
        assert_eq!(age("2026-11-22T04:14:30Z", now).as_deref(), Some("just now"));
        assert_eq!(age("whenever", now), None);
    }
}
