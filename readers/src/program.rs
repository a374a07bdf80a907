//! Programs as sources: all that one writes to standard output, in a temporary file without a name, once it has ended
//! well.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::formats::quoted;
use crate::{Error, Position, Unpacked};

/// What an argument has where the path of the input is to be.
const PATH: &str = "{path}";

/// How much is read from a pipe at a time: what Linux lets a pipe hold.
const CHUNK_BYTES: usize = 64 * 1024;

/// How often a wait looks whether it should go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a program may take to end when its standard output is closed, and others that it started may keep that open
/// when it has ended.
const MAX_TAIL: Duration = Duration::from_secs(30);

/// How long a program may take to clean up when it is told to end.
const MAX_CLEANUP: Duration = Duration::from_secs(1);

/// A longer line of standard error is cut into lines of so many bytes.
const LINE_BYTES: usize = 2000;

/// How many of its last lines a failure repeats, and how many characters of each.
const LAST_LINES: usize = 5;
const LAST_LINE_CHARS: usize = 200;

/// A program and its arguments, which are handed to it as they are: there is no shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    words: Vec<String>,
    env: BTreeMap<String, String>,
}

/// What a program is run in, and who watches it.
pub struct Surroundings<'a> {
    /// The folder that it is run in, where its relative paths begin; empty for the current one.
    pub folder: &'a Path,
    /// Asked now and then whether to give up.
    pub stop: &'a dyn Fn() -> bool,
    /// Hears every line of its standard error, behind its name.
    pub hear: &'a dyn Fn(&str),
}

impl Program {
    /// The first word is the program, found in `PATH` if it is a bare name; `{path}` in the others becomes the path of the
    /// input. `env` is added to the environment.
    pub fn new(words: Vec<String>, env: BTreeMap<String, String>) -> Self {
        Self { words, env }
    }

    /// The words as one line, for people.
    pub fn line(&self) -> String {
        quoted(&self.words.join(" "))
    }

    /// What is read, in messages.
    pub(crate) fn output_name(&self) -> PathBuf {
        PathBuf::from(format!("output of {}", self.line()))
    }

    /// Runs it to its end, and keeps what it writes. `path` is empty where there is no input.
    pub(crate) fn run(&self, path: &Path, limit: u64, around: &Surroundings<'_>) -> Result<Unpacked, Error> {
        self.run_within(path, limit, around, MAX_TAIL)
    }

    fn run_within(
        &self,
        path: &Path,
        limit: u64,
        around: &Surroundings<'_>,
        tail: Duration,
    ) -> Result<Unpacked, Error> {
        let command = self.command(path, around.folder)?;
        let name = self.words.first().map(Path::new).and_then(Path::file_name);
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        let input = (!path.as_os_str().is_empty()).then(|| path.to_path_buf());
        let mut running = Running::start(command, name, around, tail).map_err(|e| self.no_start(&e))?;
        let output = Unpacked::stream(BufReader::new(&mut running), input, limit, around.stop);
        let output = output.map_err(|error| error.in_file(self.output_name()))?;
        running.finish(&self.line()).map_err(|error| error.in_file(self.output_name()))?;
        Ok(output)
    }

    fn command(&self, path: &Path, folder: &Path) -> Result<Command, Error> {
        let at = |error: Error| error.at(Position::Part("command".to_owned()));
        let Some((program, arguments)) = self.words.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(at(Error::request("expected a program and its arguments, found none")));
        };
        let has_place = arguments.iter().any(|word| word.contains(PATH));
        if has_place == path.as_os_str().is_empty() {
            return Err(at(if has_place {
                Error::request(format!("expected the path that `{PATH}` stands for, found none"))
                    .with_help(format!("give the path, or take `{PATH}` out of the command"))
            } else {
                Error::request(format!("expected `{PATH}` in an argument, as a path is given, found none"))
                    .with_help(format!(
                        "put `{PATH}` where the program takes its input, or leave the path away"
                    ))
            }));
        }
        // A relative program would be looked for in the one folder or the other, as the system likes.
        let own = Path::new(program);
        let program = if own.components().count() > 1 && own.is_relative() {
            std::path::absolute(folder.join(own)).map_err(|e| Error::io("find the current folder", e))?
        } else {
            own.to_path_buf()
        };
        let mut command = Command::new(program);
        // Seen from the folder the path is as it was written.
        let path = path.strip_prefix(folder).unwrap_or(path);
        command.args(arguments.iter().map(|word| substituted(word, path))).envs(&self.env);
        if !folder.as_os_str().is_empty() {
            command.current_dir(folder);
        }
        Ok(command)
    }

    fn no_start(&self, error: &io::Error) -> Error {
        let program = self.words.first().map(String::as_str).unwrap_or_default();
        let message = format!("cannot start {}: {error}", quoted(program));
        Error::request(message).at(Position::Part("command".to_owned())).with_help(
            "name a program that is in PATH, or a path to one; every argument is a word of its own, since there is no shell",
        )
    }
}

/// `word` with the path in its place, whatever bytes that is made of.
fn substituted(word: &str, path: &Path) -> OsString {
    let mut parts = word.split(PATH);
    let mut out = OsString::from(parts.next().unwrap_or_default());
    for part in parts {
        out.push(path);
        out.push(part);
    }
    out
}

/// What the two pipes of a program bring.
enum Event {
    /// Bytes of standard output; none at its end.
    Output(io::Result<Vec<u8>>),
    /// A line of standard error.
    Line(String),
    /// The end of standard error.
    Silence,
}

/// A program at work: reading it is reading its standard output. It is ended when this goes, with all that it started.
struct Running<'a> {
    child: Child,
    /// Whether its end was taken note of: the system may give its number to another program then.
    is_reaped: bool,
    events: Receiver<Event>,
    current: Cursor<Vec<u8>>,
    is_silent: bool,
    is_at_end: bool,
    name: String,
    around: &'a Surroundings<'a>,
    last_lines: VecDeque<String>,
    tail: Duration,
}

impl<'a> Running<'a> {
    fn start(
        mut command: Command,
        name: String,
        around: &'a Surroundings<'a>,
        tail: Duration,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        group::lead(&mut command);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (send, events) = sync_channel(4);
        let mut running = Self {
            child,
            is_reaped: false,
            events,
            current: Cursor::default(),
            is_silent: stderr.is_none(),
            is_at_end: stdout.is_none(),
            name,
            around,
            last_lines: VecDeque::new(),
            tail,
        };
        // The threads end with their pipes. Nobody waits for them: a process that got away may keep a pipe open.
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            let for_lines = send.clone();
            std::thread::spawn(move || forward_output(stdout, &send));
            std::thread::spawn(move || forward_lines(stderr, &for_lines));
        } else {
            running.is_at_end = true;
        }
        Ok(running)
    }

    /// Takes what comes next; nothing if nothing comes for a moment.
    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match self.events.recv_timeout(LOOK_EVERY) {
            Ok(Event::Output(output)) => return Some(output),
            Ok(Event::Line(line)) => {
                (self.around.hear)(&format!("{}: {line}", self.name));
                if self.last_lines.len() == LAST_LINES {
                    self.last_lines.pop_front();
                }
                self.last_lines.push_back(line.chars().take(LAST_LINE_CHARS).collect());
            }
            Ok(Event::Silence) => self.is_silent = true,
            Err(RecvTimeoutError::Disconnected) => {
                self.is_silent = true;
                return Some(Ok(Vec::new()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        None
    }

    /// Whether the program itself has ended.
    fn has_ended(&mut self) -> bool {
        group::has_ended(&mut self.child)
    }

    /// Waits for the end of a program whose standard output is closed. Anything but success is an error.
    fn finish(mut self, line: &str) -> Result<(), Error> {
        let start = Instant::now();
        while !self.has_ended() {
            if (self.around.stop)() {
                return Err(Error::io("wait for the program", io::Error::from(ErrorKind::Interrupted)));
            }
            if start.elapsed() > self.tail {
                let secs = self.tail.as_secs();
                let message = format!("to have ended {secs} s after it closed its standard output");
                return Err(Error::malformed(format!("expected the program {message}, found it running"))
                    .with_help("it was ended; see what it waits for"));
            }
            self.listen();
        }
        let status = self.end().map_err(|e| Error::io("wait for the program", e))?;
        // With all of its processes gone, so is the other end of its standard error.
        let start = Instant::now();
        while !self.is_silent && start.elapsed() < MAX_CLEANUP {
            self.listen();
        }
        if status.success() {
            return Ok(());
        }
        let last: Vec<_> = self.last_lines.iter().map(String::as_str).collect();
        let said = if last.is_empty() {
            "; it said nothing on standard error".to_owned()
        } else {
            format!("; it said last: {}", last.join(" | "))
        };
        Err(Error::malformed(format!("expected exit status 0, found {}{said}", described(status)))
            .with_help(format!("the rows of a program that fails are not used; run it by hand: {line}")))
    }

    /// Waits for the next line of standard error, for a moment.
    fn listen(&mut self) {
        if self.is_silent {
            std::thread::sleep(LOOK_EVERY / 10);
        } else if let Some(Ok(_)) = self.next() {
            // What a reader left of standard output, which is over.
        }
    }

    /// Ends whatever is left of it, and takes note of how it ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.is_reaped && !self.has_ended() {
            group::ask_to_end(&mut self.child);
            let start = Instant::now();
            while !self.has_ended() && start.elapsed() < MAX_CLEANUP {
                std::thread::sleep(LOOK_EVERY / 10);
            }
        }
        if !self.is_reaped {
            group::kill(&mut self.child);
            self.is_reaped = true;
        }
        self.child.wait()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a process that the system does not let go.
        let _ = self.end();
    }
}

impl Read for Running<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut ended: Option<Instant> = None;
        loop {
            let read = self.current.read(out)?;
            if read > 0 || out.is_empty() || self.is_at_end {
                return Ok(read);
            }
            match self.next() {
                Some(chunk) => {
                    self.current = Cursor::new(chunk?);
                    self.is_at_end = self.current.get_ref().is_empty();
                    continue;
                }
                None if (self.around.stop)() => return Err(io::Error::other("stopped")),
                None => {}
            }
            if self.has_ended() && ended.get_or_insert_with(Instant::now).elapsed() > self.tail {
                return Err(io::Error::other(
                    "the program has ended, but another that it started keeps its standard output open",
                ));
            }
        }
    }
}

fn forward_output(mut pipe: impl Read, send: &SyncSender<Event>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let output = match pipe.read(&mut chunk) {
            Ok(read) => {
                chunk.truncate(read);
                Ok(chunk)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => Err(e),
        };
        let is_last = output.as_ref().map_or(true, Vec::is_empty);
        // If nobody listens any more, nobody needs to know.
        if send.send(Event::Output(output)).is_err() || is_last {
            return;
        }
    }
}

fn forward_lines(mut pipe: impl Read, send: &SyncSender<Event>) {
    let (mut line, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = match pipe.read(&mut chunk) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Ok(read) => read,
            Err(_) => 0,
        };
        for &byte in &chunk[..read] {
            // A carriage return draws a progress bar anew: a line as well.
            let is_end = byte == b'\n' || byte == b'\r';
            if !is_end {
                line.push(byte);
            }
            if (is_end || line.len() == LINE_BYTES) && !line.is_empty() && send_line(&mut line, send).is_err()
            {
                return;
            }
        }
        if read == 0 {
            if !line.is_empty() {
                let _ = send_line(&mut line, send);
            }
            let _ = send.send(Event::Silence);
            return;
        }
    }
}

/// Sends a line on, without characters that a terminal would obey.
fn send_line(line: &mut Vec<u8>, send: &SyncSender<Event>) -> Result<(), ()> {
    let text = String::from_utf8_lossy(line).replace('\t', " ");
    let text = text.chars().filter(|char| !char.is_control()).collect();
    line.clear();
    send.send(Event::Line(text)).map_err(|_| ())
}

/// How a program ended, in a word or two.
fn described(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}

/// A program and all that it starts, as a group of processes.
#[cfg(unix)]
mod group {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

    pub(super) fn lead(command: &mut Command) {
        command.process_group(0);
    }

    /// Without taking note of it: until then nobody else gets its number.
    pub(super) fn has_ended(child: &mut Child) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(None))
    }

    pub(super) fn ask_to_end(child: &mut Child) {
        // Where it fails there is nobody to ask.
        let _ = kill_process_group(Pid::from_child(child), Signal::TERM);
    }

    pub(super) fn kill(child: &mut Child) {
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
}

/// The program alone: other systems have no such groups.
#[cfg(not(unix))]
mod group {
    use std::process::{Child, Command};

    pub(super) fn lead(_: &mut Command) {}

    pub(super) fn has_ended(child: &mut Child) -> bool {
        !matches!(child.try_wait(), Ok(None))
    }

    pub(super) fn ask_to_end(child: &mut Child) {
        kill(child);
    }

    pub(super) fn kill(child: &mut Child) {
        let _ = child.kill();
    }
}

#[cfg(all(test, unix))]
mod tests;
