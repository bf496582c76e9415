//! An address where a frame begins, as a caller says.
//!
//! A sound frame at an address proves that a frame begins there. Zeros in memory prove nothing: a
//! writer is about to write an entry there, or an entry contains zeros. Then a cursor from the
//! start of the page decides, because a frame always begins there.

use super::cursor::entry_cursor::EntryCursor;
use super::cursor::position::Position;
use super::options::ScanOptions;
use super::start::no_entry;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::log::view::LogView;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The claim of a caller.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The address of the frame.
    at: Address,
    /// The address that the caller named.
    named: Address,
    /// Goes up to the claim if the bytes there cannot decide.
    proof: Option<Box<EntryCursor>>,
}

impl Claim {
    pub(crate) fn new(at: Address, named: Address) -> Self {
        debug_assert!(
            at >= named,
            "only a page end is named in place of a frame: {at:?}, {named:?}"
        );
        Self { at, named, proof: None }
    }

    /// Returns the error for a missing frame at `at`: a wrong address of the caller, or damage.
    #[cold]
    pub(crate) fn unsound(claim: Option<&Self>, view: &LogView, at: Address) -> Error {
        match claim {
            Some(claim) if claim.at == at => no_entry(claim.named),
            _ => view.damage(at),
        }
    }

    /// Proves that a frame will begin at the address.
    ///
    /// # Errors
    /// `InvalidArgument` if none does, and the errors of reading.
    pub(crate) fn poll_proof(
        &mut self,
        view: &Arc<LogView>,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let proof = self.proof.get_or_insert_with(|| {
            let options = ScanOptions { end: self.at, follow: false, uncommitted: true };
            let from = view.first_in_page(self.at);
            let position = Position::new(from, Address::NONE).amid();
            Box::new(EntryCursor::new(Arc::clone(view), position, options))
        });
        while let Some(before) = ready!(proof.poll_entry(context)) {
            before?;
        }
        let is_there = proof.position() == self.at
            || self.at < view.range().begin()
            || view.is_boundary(self.at);
        self.proof = None;
        Poll::Ready(if is_there { Ok(()) } else { Err(no_entry(self.named)) })
    }
}
