//! One run, failing, through each reporter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use indicatif::TermLike;

use super::feed::Screen;
use super::testing::{Sink, failing_run, lines, stamped, step};
use super::*;
use crate::report::board::Board;
use crate::report::terminal::{Surface, Terminal};
use std::fmt::Write as _;

#[test]
fn plain_lines_begin_with_their_step() {
    let sink = Sink::default();
    plain::Plain::new(sink.clone(), false, 100).show(&failing_run()).expect("memory");
    assert!(!sink.text().chars().any(|c| c.is_control() && c != '\n'), "no control codes");
    insta::assert_snapshot!(sink.text(), @r##"
build shop: 1 to dry-run, 3 to build, 1 to reuse
       logs .ovenbird/runs/r
     reused base  ami-0a11
warning: no `tools` block: versions of tools are not in the key
dry-run api | started (last time 41 s), log .ovenbird/runs/r/logs/dry-run-api.log
dry-run api | provision
dry-run api | changed: api : install (ansible/roles/api/tasks/main.yml:3), 1.2 s
       done dry-run api  ovenbird/shop/api:44ab09c1d2e3  12 tasks, 5 changed, 38 s
            not exercised: tag `kernel` was skipped
build api | started, log .ovenbird/runs/r/logs/build-api.log
build web | started (last time 1 min 32 s), log .ovenbird/runs/r/logs/build-web.log
build web | provision
build web | amazon-ebs.image: output in ::group:: words
build web | ::set-output name=x::y
build web | FAILED: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7), 0.5 s
build web | removed stray instance i-1 (us-west-2)
build web | left behind key pair packer_1 (us-west-2)
     FAILED build web  packer exited with 1: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)  1 min 03 s
    not run build worker  needs build web
     sealed api  ami-0b7c
       done build api  ami-0b7c  12 tasks, 5 changed, 1 min 32 s
      wrote api_ami_id = ami-0b7c (was ami-old) in terraform/local/images.auto.tfvars
not written terraform/web.auto.tfvars: no image of web

 stage          image     time
 base   reused  ami-0a11
 api    built   ami-0b7c  1 min 32 s

error: build web failed: packer exited with 1
  tool  ansible
  task  nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)
  log   .ovenbird/runs/r/logs/build-web.log
  last lines
  | fatal: [default]: FAILED! => no such file
  | ::error::injected
  help: `ovenbird dry-run web --keep` tries it in seconds

2 done, 1 reused, 1 failed, 1 not run in 2 min 10 s
1 thing left behind; remove with:
  aws ec2 delete-key-pair --key-name packer_1 --region us-west-2  # key pair packer_1 (us-west-2)
"##);
}

#[test]
fn github_gets_a_group_a_step_and_an_annotation_at_the_task() {
    let sink = Sink::default();
    github::Github::new(sink.clone(), false, 100).show(&failing_run()).expect("memory");
    let commands: Vec<String> = sink.text().lines().filter(|l| l.trim_start().starts_with("::")).map(str::to_owned).collect();
    insta::assert_snapshot!(commands.join("\n"), @r##"
::warning::no `tools` block: versions of tools are not in the key
::group::dry-run api
::endgroup::
::group::build web
::endgroup::
::error file=ansible/roles/nginx/tasks/main.yml,line=7,title=build web failed::packer exited with 1: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)
"##);
    insta::assert_snapshot!(sink.text(), @r##"
build shop: 1 to dry-run, 3 to build, 1 to reuse
       logs .ovenbird/runs/r
     reused base  ami-0a11
::warning::no `tools` block: versions of tools are not in the key
dry-run api | started (last time 41 s), log .ovenbird/runs/r/logs/dry-run-api.log
::group::dry-run api
dry-run api | provision
dry-run api | changed: api : install (ansible/roles/api/tasks/main.yml:3), 1.2 s
::endgroup::
       done dry-run api  ovenbird/shop/api:44ab09c1d2e3  12 tasks, 5 changed, 38 s
            not exercised: tag `kernel` was skipped
build api | started, log .ovenbird/runs/r/logs/build-api.log
build web | started (last time 1 min 32 s), log .ovenbird/runs/r/logs/build-web.log
::group::build web
build web | provision
build web | amazon-ebs.image: output in ::group:: words
build web | ::set-output name=x::y
build web | FAILED: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7), 0.5 s
build web | removed stray instance i-1 (us-west-2)
build web | left behind key pair packer_1 (us-west-2)
::endgroup::
     FAILED build web  packer exited with 1: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)  1 min 03 s
::error file=ansible/roles/nginx/tasks/main.yml,line=7,title=build web failed::packer exited with 1: nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)
    not run build worker  needs build web
     sealed api  ami-0b7c
       done build api  ami-0b7c  12 tasks, 5 changed, 1 min 32 s
      wrote api_ami_id = ami-0b7c (was ami-old) in terraform/local/images.auto.tfvars
not written terraform/web.auto.tfvars: no image of web

 stage          image     time
 base   reused  ami-0a11
 api    built   ami-0b7c  1 min 32 s

error: build web failed: packer exited with 1
  tool  ansible
  task  nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)
  log   .ovenbird/runs/r/logs/build-web.log
  last lines
  | fatal: [default]: FAILED! => no such file
  | ::error::injected
  help: `ovenbird dry-run web --keep` tries it in seconds

2 done, 1 reused, 1 failed, 1 not run in 2 min 10 s
1 thing left behind; remove with:
  aws ec2 delete-key-pair --key-name packer_1 --region us-west-2  # key pair packer_1 (us-west-2)
"##);
}

#[test]
fn a_terminal_keeps_what_is_finished_and_shows_what_runs() {
    let mut board = Board::default();
    let mut above = Vec::new();
    let mut seen = String::new();
    for event in failing_run() {
        above.extend(board.apply(&event, 80));
        if event.seq == 15 {
            for width in [80, 140] {
                let running: Vec<_> = board.running(61.0, width, 24).iter().map(|l| l.render(false)).collect();
                writeln!(seen, "--- {width} columns\n{}", running.join("\n")).expect("memory");
            }
        }
    }
    assert_eq!(board.running(99.0, 80, 24), [], "nothing runs at the end");
    let above: Vec<_> = above.iter().map(|l| l.render(false)).collect();
    insta::assert_snapshot!(seen + "--- above\n" + &above.join("\n"), @r##"
--- 80 columns
  build api                                                                0:53
  build web  provision  nginx : 設定ファイルを置く                  0:52 / 1:32
--- 140 columns
  build api                                                                                                                            0:53
  build web  provision  nginx : 設定ファイルを置く                                                                              0:52 / 1:32
--- above
build shop: 1 to dry-run, 3 to build, 1 to reuse
       logs .ovenbird/runs/r
     reused base  ami-0a11
warning: no `tools` block: versions of tools are not in the key
       done dry-run api  ovenbird/shop/api:44ab09c1d2e3
            12 tasks, 5 changed, 38 s
            not exercised: tag `kernel` was skipped
build web | amazon-ebs.image: output in ::group:: words
build web | ::set-output name=x::y
build web | removed stray instance i-1 (us-west-2)
build web | left behind key pair packer_1 (us-west-2)
     FAILED build web  packer exited with 1: nginx : 設定ファイルを置く
            (ansible/roles/nginx/tasks/main.yml:7)  1 min 03 s
    not run build worker  needs build web
       done build api  ami-0b7c  12 tasks, 5 changed, 1 min 32 s
      wrote api_ami_id = ami-0b7c (was ami-old)
            in terraform/local/images.auto.tfvars
not written terraform/web.auto.tfvars: no image of web

 stage          image     time
 base   reused  ami-0a11
 api    built   ami-0b7c  1 min 32 s

error: build web failed: packer exited with 1
  tool  ansible
  task  nginx : 設定ファイルを置く (ansible/roles/nginx/tasks/main.yml:7)
  log   .ovenbird/runs/r/logs/build-web.log
  last lines
  | fatal: [default]: FAILED! => no such file
  | ::error::injected
  help: `ovenbird dry-run web --keep` tries it in seconds

2 done, 1 reused, 1 failed, 1 not run in 2 min 10 s
1 thing left behind; remove with:
  aws ec2 delete-key-pair --key-name packer_1 --region us-west-2  # key pair packer_1 (us-west-2)
"##);
}

#[test]
fn running_lines_always_fit() {
    let mut board = Board::default();
    for (seq, event) in failing_run().into_iter().take(16).enumerate() {
        board.apply(&event, 80);
        for (width, height) in [(20, 3), (40, 24), (80, 24), (140, 50), (1, 1)] {
            let lines = board.running(1e6, width, height);
            assert!(lines.len() <= height.max(2), "{seq}: {lines:?}");
            assert!(lines.iter().all(|l| l.width() < width.max(2)), "{seq} in {width}: {lines:?}");
        }
    }
}

/// A terminal that records what it is told.
#[derive(Debug, Clone)]
struct Recorder(Sink, Arc<AtomicU16>);

impl Default for Recorder {
    fn default() -> Self {
        Self(Sink::default(), Arc::new(AtomicU16::new(80)))
    }
}

impl TermLike for Recorder {
    fn width(&self) -> u16 {
        self.1.load(Ordering::Relaxed)
    }
    fn height(&self) -> u16 {
        24
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.write_str(&"<up>".repeat(n))
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.write_str(&"<down>".repeat(n))
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        io::Write::write_all(&mut self.0.clone(), text.as_bytes())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write_str("<clear>")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Surface for Recorder {
    fn size(&self) -> (usize, usize) {
        (usize::from(self.width()), 24)
    }
    fn write(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }
    fn device(&self) -> Box<dyn TermLike> {
        Box::new(self.clone())
    }
}

#[test]
fn a_flood_of_output_is_written_in_batches() {
    let recorder = Recorder::default();
    let mut terminal = Terminal::new(recorder.clone(), false);
    let web = step("web");
    let begin: Vec<_> = failing_run().into_iter().take(12).collect();
    terminal.show(&begin).expect("memory");
    terminal.tick().expect("memory");
    let before = recorder.0.text().len();
    let flood: Vec<_> = (100..20_100).map(|seq| stamped(seq, lines(&web, &["0123456789"]))).collect();
    terminal.show(&flood).expect("memory");
    terminal.close().expect("memory");
    let text = recorder.0.text();
    assert_eq!(text.matches("build web | 0123456789\n").count(), 20_000, "no line is lost here");
    let each = (text.len() - before) / 20_000;
    assert!(each < 40, "{each} bytes a line");
}

#[test]
fn running_lines_end_by_themselves_and_are_taken_away_when_the_terminal_has_folded_them() {
    let recorder = Recorder::default();
    let mut terminal = Terminal::new(recorder.clone(), false);
    terminal.show(&failing_run().into_iter().take(16).collect::<Vec<_>>()).expect("memory");
    terminal.tick().expect("memory");
    let text = recorder.0.text();
    assert!(text.contains("\n  build web") && !text.contains("   \n") && !text.ends_with('\n'), "{text:?}");

    // Two lines of 79 columns are four rows of 40 each two; one row up and down is what indicatif does by itself.
    recorder.1.store(40, Ordering::Relaxed);
    terminal.tick().expect("memory");
    let after = recorder.0.text()[text.len()..].to_owned();
    assert!(after.starts_with("\r\u{1b}[3A\u{1b}[J\n"), "{after:?}");
    assert_eq!(after.matches("\u{1b}[J").count(), 1, "{after:?}");
    recorder.1.store(120, Ordering::Relaxed);
    let text = recorder.0.text();
    terminal.tick().expect("memory");
    assert!(!recorder.0.text()[text.len()..].contains("\u{1b}[J"), "lines that end by themselves are not folded by more room");
}

#[test]
fn people_read_paths_from_where_they_are() {
    let started = |log: &str| crate::event::Event::StepStarted { step: step("web"), log: log.to_owned(), last_seconds: None };
    assert_eq!(seen_from("/shop/", &started("/shop/.ovenbird/runs/r/logs/w.log")), Some(started(".ovenbird/runs/r/logs/w.log")));
    assert_eq!(seen_from("/shop/ansible/", &started("/shop/.ovenbird/runs/r/logs/w.log")), None);
}
