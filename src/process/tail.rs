//! Reading a log file while it is being written.
//!
//! Never slows the writer: the child writes to a file, and a reader that falls behind drops lines from its answer, counted, never
//! from the log. Invariant: memory is bounded by the window, whatever is written; the last call after the child was reaped reads
//! to the end of the file.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// Bytes a read; a yield to other tasks between two of them.
const CHUNK: usize = 256 * 1024;
/// A line on the screen is cut here.
const LINE_LIMIT: usize = 2048;
/// Raw bytes kept of an unfinished or overlong line.
const PARTIAL_LIMIT: usize = 16 * 1024;
/// Time between two looks at the file.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// What was new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Lines without line ends.
    pub lines: Vec<String>,
    /// Lines dropped before these.
    pub dropped: u64,
}

impl Batch {
    /// Nothing new.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

/// A reader of a growing file.
#[derive(Debug)]
pub struct Tail {
    file: File,
    window: usize,
    clean: bool,
    buffer: Vec<u8>,
    partial: Vec<u8>,
}

impl Tail {
    /// For people: at most `window` lines a look, without control characters, cut to 2048 bytes.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn for_screen(path: &Path, window: usize) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, window, clean: true, buffer: Vec::new(), partial: Vec::new() })
    }

    /// For programs: every line as it is. Only for files whose size is bounded by what they report.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn complete(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, window: usize::MAX, clean: false, buffer: Vec::new(), partial: Vec::new() })
    }

    /// Everything that is there now. Yields to other tasks after every chunk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn read(&mut self) -> io::Result<Batch> {
        let mut window = Window::new(self.window);
        self.buffer.resize(CHUNK, 0);
        loop {
            let size = self.file.read(&mut self.buffer)?;
            if size == 0 {
                break;
            }
            let buffer = std::mem::take(&mut self.buffer);
            self.take(&buffer[..size], &mut window);
            self.buffer = buffer;
            tokio::task::yield_now().await;
        }
        // 50 quiet stages must not hold a buffer each.
        self.buffer = Vec::new();
        Ok(window.finish(self.clean))
    }

    /// The line without a line end that the file ended with.
    pub fn rest(&mut self) -> Batch {
        let mut window = Window::new(self.window);
        if !self.partial.is_empty() {
            window.push(std::mem::take(&mut self.partial));
        }
        window.finish(self.clean)
    }

    fn take(&mut self, mut bytes: &[u8], window: &mut Window) {
        // What cannot be shown any more is only counted.
        let ends = memchr::memchr_iter(b'\n', bytes).count();
        let mut skip = ends.saturating_sub(self.window);
        if skip > 0 {
            window.dropped += window.lines.len() as u64 + skip as u64;
            window.lines.clear();
            self.partial.clear();
            while skip > 0 {
                let end = memchr::memchr(b'\n', bytes).expect("as many line ends were counted");
                bytes = &bytes[end + 1..];
                skip -= 1;
            }
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.extend_partial(&bytes[..end]);
            window.push(std::mem::take(&mut self.partial));
            bytes = &bytes[end + 1..];
        }
        self.extend_partial(bytes);
    }

    fn extend_partial(&mut self, bytes: &[u8]) {
        let limit = if self.clean { PARTIAL_LIMIT } else { usize::MAX };
        let room = limit.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

struct Window {
    size: usize,
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
}

impl Window {
    fn new(size: usize) -> Self {
        Self { size, lines: VecDeque::new(), dropped: 0 }
    }

    fn push(&mut self, mut line: Vec<u8>) {
        if self.lines.len() == self.size {
            self.lines.pop_front();
            self.dropped += 1;
        }
        line.shrink_to_fit();
        self.lines.push_back(line);
    }

    fn finish(self, clean: bool) -> Batch {
        let text = |line: Vec<u8>| if clean { cleaned(&line) } else { String::from_utf8_lossy(&line).into_owned() };
        Batch { lines: self.lines.into_iter().map(text).collect(), dropped: self.dropped }
    }
}

/// A line as a terminal would leave it: what stands after the last carriage return, without escape sequences and control
/// characters, cut at a character border.
pub fn cleaned(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = memchr::memrchr(b'\r', line).map_or(line, |at| &line[at + 1..]);
    let line = &line[..line.len().min(2 * LINE_LIMIT)];
    let mut text = String::with_capacity(line.len().min(LINE_LIMIT));
    let whole = String::from_utf8_lossy(line);
    let mut chars = whole.chars().peekable();
    while let Some(c) = chars.next() {
        if text.len() >= LINE_LIMIT {
            text.push('…');
            break;
        }
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => text.push_str("    "),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // CSI ends with a letter or one of `@[\]^_{|}~` and the like.
        Some('[') => drop(chars.find(|c| ('\u{40}'..='\u{7e}').contains(c))),
        // OSC ends with BEL or ESC \.
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Follows a file until `ended` resolves, then to its end; what is new goes to `sink` at most every [`INTERVAL`].
///
/// # Errors
/// The file cannot be read.
pub async fn follow(mut tail: Tail, ended: impl Future<Output = ()>, mut sink: impl FnMut(Batch)) -> io::Result<()> {
    tokio::pin!(ended);
    let mut last = false;
    while !last {
        tokio::select! {
            biased;
            () = &mut ended => last = true,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        for batch in [tail.read().await?, if last { tail.rest() } else { Batch::default() }] {
            if !batch.is_empty() {
                sink(batch);
            }
        }
    }
    Ok(())
}

/// The last `count` lines of a file, cleaned; what cannot be read is no line.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    use std::io::{Seek as _, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let lines: Vec<String> = bytes.split(|b| *b == b'\n').map(cleaned).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn lines_come_whole_also_when_they_were_written_in_pieces() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let mut tail = Tail::for_screen(log.path(), 10).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.read().await.unwrap().lines, ["one"]);
        log.write_all(b"o\nthree").unwrap();
        assert_eq!(tail.read().await.unwrap().lines, ["two"]);
        assert_eq!(tail.rest().lines, ["three"]);
    }

    #[tokio::test]
    async fn a_flood_is_counted_and_its_end_is_kept() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        for number in 0..200_000 {
            writeln!(log, "line {number}").unwrap();
        }
        log.flush().unwrap();
        let batch = Tail::for_screen(log.path(), 3).unwrap().read().await.unwrap();
        assert_eq!(batch.lines, ["line 199997", "line 199998", "line 199999"]);
        assert_eq!(batch.dropped, 199_997);
    }

    #[tokio::test]
    async fn after_the_end_the_file_is_read_to_its_end() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let tail = Tail::for_screen(log.path(), 10).unwrap();
        log.write_all(b"a\nb").unwrap();
        let mut seen = Vec::new();
        follow(tail, std::future::ready(()), |batch| seen.extend(batch.lines)).await.unwrap();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn colours_progress_bars_and_titles_do_not_reach_the_screen() {
        for (raw, clean) in [
            ("\u{1b}[1;32mok\u{1b}[0m", "ok"),
            ("10%\r20%\r100%\r", "100%"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("a\tb\u{8}", "a    b"),
            ("タスク", "タスク"),
        ] {
            assert_eq!(cleaned(raw.as_bytes()), clean);
        }
        assert!(cleaned(&vec![b'x'; 1 << 20]).len() < LINE_LIMIT + 8);
    }
}
