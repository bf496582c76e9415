//! A handle over tokio's.

use std::time::Duration;

use tokio::runtime;
use tokio::time::{self, Instant};

use crate::handle::{BoxFuture, Runtime};

#[derive(Debug)]
pub(crate) struct OnTokio {
    runtime: runtime::Handle,
    origin: Instant,
}

impl OnTokio {
    pub(crate) fn new(runtime: runtime::Handle) -> Self {
        let origin = {
            let _context = runtime.enter();
            Instant::now()
        };
        Self { runtime, origin }
    }
}

impl Runtime for OnTokio {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        // Dropping tokio's handle detaches; the outcome travels through our own `Task`.
        drop(self.runtime.spawn(future));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // The context decides whose timer it is: callers need not be on this runtime.
        let _context = self.runtime.enter();
        Box::pin(time::sleep(duration))
    }

    fn now(&self) -> Duration {
        // tokio's clock, so that a paused one is seen as such.
        let _context = self.runtime.enter();
        self.origin.elapsed()
    }
}
