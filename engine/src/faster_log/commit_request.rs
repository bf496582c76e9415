//! A request for a commit.

use super::FasterLog;
use super::commits::Distinct;
use super::settled::Commit;
use crate::error::{Error, Result};
use futures::future::BoxFuture;

/// The longest cookie, in bytes.
const LONGEST_COOKIE: usize = 512;

/// A commit to be asked for: await it, or say first what is to be special about it.
#[derive(Debug)]
#[must_use = "nothing is committed before the request is awaited"]
pub struct CommitRequest<'a> {
    log: &'a FasterLog,
    number: Option<u64>,
    cookie: Option<Vec<u8>>,
}

impl<'a> CommitRequest<'a> {
    pub(super) fn new(log: &'a FasterLog) -> Self {
        Self { log, number: None, cookie: None }
    }

    /// A commit of its own with this number, even if there is nothing new.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// A commit of its own that keeps these bytes, at most 512. Later commits keep them too, until
    /// there is another cookie.
    pub fn cookie(mut self, cookie: &[u8]) -> Self {
        self.cookie = Some(cookie.to_vec());
        self
    }

    async fn run(self) -> Result<Commit> {
        let core = &self.log.core;
        if self.number.is_none() && self.cookie.is_none() {
            return core.commit().await;
        }
        core.live().log.health().check_write()?;
        let until = core.live().log.tail_address();
        let bytes = self.cookie.as_ref().map_or(0, Vec::len);
        if bytes > LONGEST_COOKIE {
            return Err(Error::invalid(format!(
                "a cookie of {bytes} bytes: at most {LONGEST_COOKIE}"
            )));
        }
        let number = {
            let mut intent = core.commits.intent();
            let last = intent.distinct.back().map_or(intent.last_number, |last| last.number);
            let number = self.number.unwrap_or(last + 1);
            if number <= last {
                return Err(Error::invalid(format!("commit {number}: {last} was given already")));
            }
            if intent.completed {
                return Err(Error::completed());
            }
            intent.distinct.push_back(Distinct { number, cookie: self.cookie });
            number
        };
        core.commits.request(until, 0);
        core.settled_number(number).await
    }
}

impl<'a> IntoFuture for CommitRequest<'a> {
    type Output = Result<Commit>;
    type IntoFuture = BoxFuture<'a, Result<Commit>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
