//! The runtimes that poll the tasks: three kinds, with one type of handle.

use kvick::runtime::Handle;

use crate::Failed;

/// A runtime to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RuntimeKind {
    /// tokio's multi-threaded scheduler
    Tokio,
    /// One glommio executor for each thread (feature glommio, Linux)
    Glommio,
    /// The executor of kvick, one for each thread
    Builtin,
}

/// A running runtime. Its threads and tasks live until this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    handles: Vec<Handle>,
    _kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Tokio(
        #[expect(dead_code, reason = "its threads run until it is dropped")]
        tokio::runtime::Runtime,
    ),
    Builtin,
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    Glommio(#[expect(dead_code, reason = "as above")] Vec<executor::Executor>),
}

impl Workers {
    pub(crate) fn start(kind: RuntimeKind, threads: usize) -> Result<Self, Failed> {
        assert!(threads > 0, "there is at least one thread");
        match kind {
            RuntimeKind::Tokio => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(threads)
                    .enable_time()
                    .build()?;
                let handles = vec![Handle::tokio(runtime.handle().clone())];
                let _kept = Kept::Tokio(runtime);
                Ok(Self { handles, _kept })
            }
            RuntimeKind::Builtin => {
                let handles = (0..threads).map(|_| Handle::background());
                let handles = handles.collect::<Result<_, _>>()?;
                let _kept = Kept::Builtin;
                Ok(Self { handles, _kept })
            }
            #[cfg(all(feature = "glommio", target_os = "linux"))]
            RuntimeKind::Glommio => {
                let started = (0..threads).map(|_| executor::start());
                let started = started.collect::<Result<Vec<_>, _>>()?;
                let (handles, executors) = started.into_iter().unzip();
                let _kept = Kept::Glommio(executors);
                Ok(Self { handles, _kept })
            }
            #[cfg(not(all(feature = "glommio", target_os = "linux")))]
            RuntimeKind::Glommio => {
                Err("glommio needs Linux, and to be built with: --features glommio".into())
            }
        }
    }

    /// Returns the handle for a task. The tasks get the handles in turn.
    pub(crate) fn handle(&self, task: usize) -> &Handle {
        &self.handles[task % self.handles.len()]
    }
}

#[cfg(all(feature = "glommio", target_os = "linux"))]
mod executor {
    use std::sync::mpsc;

    use futures::channel::oneshot;
    use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
    use kvick::runtime::Handle;

    use crate::Failed;

    /// A thread with an executor, which ends when this is dropped.
    #[derive(Debug)]
    pub(super) struct Executor {
        stop: Option<oneshot::Sender<()>>,
        thread: Option<ExecutorJoinHandle<()>>,
    }

    pub(super) fn start() -> Result<(Handle, Executor), Failed> {
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        let thread = LocalExecutorBuilder::new(Placement::Unbound)
            .name("count-words")
            .spawn(move || async move {
                // From here on this thread reads cold records through its own ring.
                let _attachment = kvick::io::attach_glommio();
                if sender.send(Handle::glommio()).is_ok() {
                    // An error also means that the sender is gone.
                    let _ = stopped.await;
                }
            })
            .map_err(|error| error.to_string())?;
        let handle = receiver.recv()?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok((handle, Executor { stop, thread }))
    }

    impl Drop for Executor {
        fn drop(&mut self) {
            drop(self.stop.take());
            if let Some(Err(error)) = self.thread.take().map(ExecutorJoinHandle::join) {
                eprintln!("a glommio executor: {error}");
            }
        }
    }
}
