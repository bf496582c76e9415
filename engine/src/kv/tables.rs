//! The tables of a database as typed handles, and the sessions that work on several of them.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::database::Database;
use crate::recovery::TypeNames;
use crate::session::{Place, Session, TableSession};

impl Database {
    /// Returns the table `name`, and creates it if there is none.
    ///
    /// A name has 1 to 255 bytes of UTF-8 without control characters. Two handles of one table are
    /// the same table. After an opening each table is opened again, with its types.
    ///
    /// A wrong name, or the name of a table before it was renamed, makes a new, empty table. Use
    /// [`tables`](Self::tables) to see whether there is a table.
    ///
    /// A new table is durable when this returns: the creation waits for a checkpoint in progress,
    /// and writes and syncs the manifest.
    ///
    /// # Errors
    /// `InvalidArgument` for a table of other types, which the error names; `String` and `str` are
    /// the same type here, since their bytes are. `InvalidArgument` also for types whose records no
    /// page holds, and for a name that no table can have. A new table is refused if the database
    /// has or had 127 tables. `StorageFull`, `Poisoned`, `ReadOnly`, `Closed`.
    ///
    /// # Cancel safety
    /// Once begun, the creation continues even if the future is dropped.
    pub async fn table<K: Key + ?Sized, V: Value + ?Sized>(
        &self,
        name: &str,
    ) -> Result<FasterKv<K, V>> {
        let table = self.open_table(name, &TypeNames::of::<K, V>()).await?;
        Ok(FasterKv::new(table, self.clone()))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
    /// Returns this session for operations on another table of the same store.
    ///
    /// The operations continue the sequence of the session: they take its next serial numbers, and
    /// one commit point tells which of them a checkpoint has, whatever their table. The result has
    /// an `on` too.
    ///
    /// ```
    /// # use kvick::{Config, Database};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// let database = Database::open("unused", config).await?;
    /// let users = database.table::<u64, str>("users").await?;
    /// let logins = database.table::<str, u64>("logins").await?;
    ///
    /// let mut session = users.session()?;
    /// session.upsert(&1, "ada").await?;
    /// session.on(&logins)?.rmw("ada", |count| count.unwrap_or(0) + 1).await?;
    /// assert_eq!(session.serial(), 2);
    /// # drop(session);
    /// # database.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for a table of another store.
    pub fn on<'s, K2: Key + ?Sized, V2: Value + ?Sized>(
        &'s mut self,
        table: &'s FasterKv<K2, V2>,
    ) -> Result<TableSession<'s, K2, V2>> {
        self.on_table(&table.core)
    }
}
