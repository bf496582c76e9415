//! The driver that makes pages immutable.

use super::HybridLog;
use crate::address::Address;

impl HybridLog {
    /// Keeps the mutable region at its size behind the tail, and at what `flush` wants.
    pub(super) async fn drive_read_only(&self) {
        loop {
            let demand = self.events.demand.listen();
            if self.health.is_closed() {
                return;
            }
            let target = self.read_only_target();
            if target <= self.marks.read_only.load() {
                demand.await;
                continue;
            }
            self.shift_read_only(target).await;
        }
    }

    async fn shift_read_only(&self, target: Address) {
        assert!(target <= self.tail.address(), "only what was handed out becomes read-only");
        self.marks.read_only.raise(target);
        let epoch = self.epoch.bump();
        // Whoever saw the old mark may be updating in place: after this, nobody is.
        self.epoch.drained(epoch, &self.handle).await;
        self.marks.safe_read_only.raise(target);
        self.marks.check();
        self.events.read_only.notify(usize::MAX);
    }

    fn read_only_target(&self) -> Address {
        let page_bits = self.geometry.page_bits;
        let first_mutable = self.tail.page().saturating_sub(self.geometry.mutable_pages.into());
        Address::at(first_mutable, 0, page_bits).max(self.wanted.read_only.load())
    }
}
