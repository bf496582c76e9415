//! A service with three tables in one store: accounts, an index of their addresses, and logins that
//! expire.
//!
//! You learn: tables of different types with one log and one checkpoint, a session that works on
//! several of them, an index by hand that survives every stop between its two writes, and keys that
//! expire. The clock is the program's own, so no second is waited for.
//!
//! ```text
//! cargo run --release --example accounts
//! ```

use kvick::codec::Expiring;
use kvick::session::{Expiry, Session};
use kvick::{Config, Database, Error, FasterKv, Value};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

const ACCOUNTS: u64 = 1000;
const LOGIN: Duration = Duration::from_secs(3600);

/// What an account has. Fields may be added later: see the guide, "Change a type".
#[derive(Value, Clone, Debug, PartialEq)]
#[kvick(name = "account", version = 1)]
struct Account {
    address: String,
    logins: u64,
}

/// A device of an account: the number of the account, and its own. It is the key of a login.
type Device = (u64, u32);

/// The tables of the service. They share memory, files and checkpoints.
struct Service {
    database: Database,
    accounts: FasterKv<u64, Account>,
    /// The number of the account with an address.
    addresses: FasterKv<str, u64>,
    logins: FasterKv<Device, Expiring<u64>>,
}

impl Service {
    async fn open(path: &Path, second: &Arc<AtomicU64>) -> Result<Self, Error> {
        let second = Arc::clone(second);
        let clock = move || UNIX_EPOCH + Duration::from_secs(second.load(Ordering::Relaxed));
        let database = Database::builder(Config::default()).clock(clock).open(path).await?;
        Ok(Self {
            accounts: database.table("accounts").await?,
            addresses: database.table("addresses").await?,
            logins: database.table("logins").await?,
            database,
        })
    }

    /// Creates the account `number`, or returns the number of the account that has the address.
    ///
    /// There are no transactions. So the index is written first, and it counts only together with
    /// the account. Whatever stops between the two writes, the next attempt makes the second one.
    async fn sign_up(
        &self,
        session: &mut Session<u64, Account>,
        (number, address): (u64, &str),
    ) -> Result<u64, Error> {
        let is_free = session.on(&self.addresses)?.insert_if_absent(address, &number).await?;
        let number = match is_free {
            true => number,
            false => session.on(&self.addresses)?.read(address).await?.unwrap_or(number),
        };
        let account = Account { address: address.to_owned(), logins: 0 };
        session.insert_if_absent(&number, &account).await?;
        Ok(number)
    }

    /// Returns the account with an address, and its number.
    async fn find(&self, address: &str) -> Result<Option<(u64, Account)>, Error> {
        let Some(number) = self.addresses.read(address).await? else {
            return Ok(None);
        };
        let account = self.accounts.read(&number).await?;
        Ok(account.filter(|account| account.address == address).map(|account| (number, account)))
    }

    /// Logs a device in for an hour, and counts it. Returns whether the account exists.
    async fn log_in(&self, address: &str, number: u32) -> Result<bool, Error> {
        let Some((account, _)) = self.find(address).await? else {
            return Ok(false);
        };
        let count = |account: Option<Account>| {
            let mut account = account.expect("no account is ever deleted");
            account.logins += 1;
            account
        };
        let logins = self.accounts.rmw(&account, count).await?.logins;
        self.logins.upsert_with(&(account, number), &logins, Expiry::after(LOGIN)).await?;
        Ok(true)
    }

    /// Returns whether a device is logged in, and if so, gives it another hour.
    async fn renew(&self, device: &Device) -> Result<bool, Error> {
        self.logins.set_expiry(device, Expiry::after(LOGIN)).await
    }
}

fn address_of(number: u64) -> String {
    format!("user{number}@example.org")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("service");
    let second = Arc::new(AtomicU64::new(1_800_000_000));
    let service = Service::open(&path, &second).await?;

    let mut session = service.accounts.session()?;
    for number in 0..ACCOUNTS {
        assert_eq!(service.sign_up(&mut session, (number, &address_of(number))).await?, number);
    }
    let again = service.sign_up(&mut session, (ACCOUNTS, &address_of(7))).await?;
    assert_eq!(again, 7, "the address is taken");
    // A program stopped after the first of the two writes: the address has no account yet.
    session.on(&service.addresses)?.upsert("late@example.org", &ACCOUNTS).await?;
    assert_eq!(service.find("late@example.org").await?, None);
    let late = service.sign_up(&mut session, (ACCOUNTS + 1, "late@example.org")).await?;
    assert_eq!(late, ACCOUNTS);
    drop(session);

    for number in 0..10 {
        assert!(service.log_in(&address_of(number), 1).await?);
    }
    assert!(!service.log_in("unknown@example.org", 1).await?);
    second.fetch_add(3000, Ordering::Relaxed);
    assert!(service.renew(&(3, 1)).await?);
    second.fetch_add(600, Ordering::Relaxed);
    assert!(service.renew(&(3, 1)).await?, "it was renewed");
    assert!(!service.renew(&(4, 1)).await?, "its hour is over");

    // One checkpoint has all tables as of one moment.
    service.database.close().await?;
    let service = Service::open(&path, &second).await?;
    let (number, account) = service.find(&address_of(3)).await?.expect("it signed up");
    assert_eq!((number, account.logins), (3, 1));
    let names: Vec<String> =
        service.database.tables().iter().map(|table| table.name.to_string()).collect();
    let keys = [
        service.accounts.count().await?,
        service.addresses.count().await?,
        service.logins.count().await?,
    ];
    println!("the tables {names:?} have {keys:?} keys");
    assert_eq!(keys, [ACCOUNTS + 1, ACCOUNTS + 1, 1]);
    service.database.close().await?;
    Ok(())
}
