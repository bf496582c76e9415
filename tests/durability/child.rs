//! The processes of this program, as their parent sees them.

use crate::job::{Job, Line, Verdict};
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    reader: JoinHandle<()>,
    complaints: JoinHandle<String>,
}

impl Worker {
    pub(crate) fn start(job: &Job) -> io::Result<Self> {
        let mut child = command("worker", job)?.spawn()?;
        let lines = Arc::default();
        let out = child.stdout.take().expect("it is piped");
        let reader = tokio::spawn(read(out, Arc::clone(&lines)));
        let complaints = child.stderr.take().expect("it is piped");
        Ok(Self { child, lines, reader, complaints: tokio::spawn(listen(complaints)) })
    }

    /// Returns its messages so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("no panic under the lock").clone()
    }

    /// Waits for a message of this kind. Returns `false` if the worker fails, or after a limit of
    /// time.
    pub(crate) async fn said(&self, wanted: impl Fn(&Line) -> bool) -> bool {
        for _ in 0..1000 {
            let lines = self.lines();
            if lines.iter().any(&wanted) {
                return true;
            }
            if lines.iter().any(|line| matches!(line, Line::Failed(_))) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        false
    }

    /// Kills the worker. Returns all of its messages, and its error output.
    pub(crate) async fn kill(mut self) -> io::Result<(Vec<Line>, String)> {
        self.child.kill().await?;
        self.reader.await.map_err(io::Error::other)?;
        let complaints = self.complaints.await.map_err(io::Error::other)?;
        let lines = std::mem::take(&mut *self.lines.lock().expect("no panic under the lock"));
        Ok((lines, complaints))
    }
}

async fn read(out: ChildStdout, lines: Arc<Mutex<Vec<Line>>>) {
    let mut texts = BufReader::new(out).lines();
    while let Ok(Some(text)) = texts.next_line().await {
        // The end of the process may have truncated the last line.
        if let Ok(line) = serde_json::from_str(&text) {
            lines.lock().expect("no panic under the lock").push(line);
        }
    }
}

async fn listen(mut complaints: ChildStderr) -> String {
    let mut bytes = Vec::new();
    match complaints.read_to_end(&mut bytes).await {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// Runs a verifier, and returns its verdict. An error says why there is none.
pub(crate) async fn verdict(job: &Job) -> io::Result<Verdict> {
    let output = command("verify", job)?.output();
    let output = tokio::time::timeout(PATIENCE, output).await.map_err(io::Error::other)??;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let complaints = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("no verdict, {}: {complaints}", output.status))
    })
}

fn command(what: &str, job: &Job) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(what).arg(serde_json::to_string(job)?).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// A time limit above that of any recovery, so that a longer one hangs.
const PATIENCE: Duration = Duration::from_secs(60);
