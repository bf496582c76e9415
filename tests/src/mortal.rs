//! A runtime that ends at a chosen poll of its tasks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kvick::runtime::{BoxFuture, Handle, Runtime};

/// The fate of the tasks of a runtime that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The runtime drops the tasks, as a runtime must.
    Drops,
    /// The runtime keeps the tasks and never polls them again. This is the control.
    Forgets,
}

/// A runtime that runs tasks on another runtime until it ends.
#[derive(Clone, Debug)]
pub struct Mortal {
    host: Handle,
    life: Arc<Life>,
}

struct Life {
    death: Death,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of polls until the end; 0 after the end.
    left: u64,
    /// The wakers of the tasks that wait for the end.
    wakers: Vec<Waker>,
}

impl Mortal {
    /// Creates a runtime that ends in the middle of the poll number `polls` of its tasks.
    pub fn new(host: Handle, polls: u64, death: Death) -> Self {
        let state = Mutex::new(State { left: polls, wakers: Vec::new() });
        Self { host, life: Arc::new(Life { death, state }) }
    }

    /// Returns the handle for a store.
    pub fn handle(&self) -> Handle {
        Handle::custom(Arc::new(self.clone()))
    }

    /// Ends the runtime, unless it has ended.
    pub fn end(&self) {
        self.life.spend(u64::MAX);
    }

    /// Returns whether the runtime has ended.
    pub fn is_dead(&self) -> bool {
        self.life.is_over()
    }
}

impl Life {
    fn is_over(&self) -> bool {
        self.state.lock().expect("no panic under the lock").left == 0
    }

    fn spend(&self, polls: u64) {
        let wakers = {
            let mut state = self.state.lock().expect("no panic under the lock");
            state.left = state.left.saturating_sub(polls);
            if state.left > 0 { Vec::new() } else { std::mem::take(&mut state.wakers) }
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits for the end of the runtime.
    async fn over(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock().expect("no panic under the lock");
            if state.left == 0 {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                state.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Runtime for Mortal {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let task = Doomed { future: Some(future), life: Arc::clone(&self.life) };
        self.host.spawn(name, task).detach();
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (sleep, life) = (self.host.sleep(duration), Arc::clone(&self.life));
        Box::pin(async move {
            let over = std::pin::pin!(life.over());
            futures::future::select(sleep, over).await;
        })
    }

    fn now(&self) -> Duration {
        self.host.now()
    }

    fn has_ended(&self) -> bool {
        self.life.is_over()
    }
}

/// A task that ends with its runtime.
struct Doomed {
    future: Option<BoxFuture<'static, ()>>,
    life: Arc<Life>,
}

impl Doomed {
    fn die(&mut self) {
        let future = self.future.take();
        match self.life.death {
            Death::Drops => drop(future),
            Death::Forgets => std::mem::forget(future),
        }
    }
}

impl Future for Doomed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.life.spend(1);
        if self.life.is_over() {
            self.die();
            return Poll::Ready(());
        }
        let polled = self.future.as_mut().expect("until the end").as_mut().poll(context);
        if polled.is_pending() {
            let life = Arc::clone(&self.life);
            let over = std::pin::pin!(life.over());
            if over.poll(context).is_ready() {
                self.die();
                return Poll::Ready(());
            }
        }
        polled
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.state.lock().expect("no panic under the lock").left;
        formatter.debug_struct("Life").field("death", &self.death).field("left", &left).finish()
    }
}
