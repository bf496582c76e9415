//! Ten thousand sessions, most of which are idle, over several lives.

use std::collections::BTreeMap;

use kvick::io::sim::Survival;
use kvick::{FasterKv, Session, session};
use tests::simulated::{Site, World, seeds, two_pages};

const SESSIONS: usize = 10_000;

/// A session whose id no task asked for leaves nothing. A checkpoint has exactly the operations of
/// all others, whether they were busy since the checkpoint before or not.
#[test]
fn a_crash_leaves_what_each_session_had_done() {
    seeds(3, |seed| {
        let mut world = World::new(seed);
        let mut expected = BTreeMap::new();
        for life in 0..3 {
            let site = world.site.clone();
            expected = world.simulation.run(live(site, life, expected));
            let disk = world.site.disk.crash_with(seed, Survival::NOTHING);
            world = World::on(seed ^ (life + 1) << 32, disk);
        }
    });
}

/// The serial number of each session with an id.
type Points = BTreeMap<session::Id, u64>;

async fn live(site: Site, life: u64, expected: Points) -> Points {
    let mut random = site.random(life);
    let config = two_pages().with_checkpoint_on_close(false);
    let store: FasterKv<u64, u64> = site.open(config).await;
    let found = points(&store);
    let different = found.iter().find(|(id, until)| expected.get(id) != Some(until));
    assert_eq!(different, None, "life {life}");
    assert_eq!(found.len(), expected.len(), "life {life}");
    let mut clients: Vec<Client> = Vec::new();
    for id in expected.keys() {
        match random.below(4) {
            0 => assert!(store.forget_session(*id)),
            // The session waits for another life.
            1 => {}
            _ => clients.push(Client::resumed(&store, *id)),
        }
    }
    while clients.len() < SESSIONS {
        let session = store.session().expect("open");
        let id = random.chance(0.03).then(|| session.id());
        clients.push(Client { session, id });
    }
    for busy in [SESSIONS, 500, 20, 0] {
        for _ in 0..busy {
            let place = random.index(clients.len());
            let key = random.below(100);
            clients[place].session.upsert(&key, &life).await.expect("a sound disk");
        }
        for _ in 0..50 {
            let Client { session, id } = clients.swap_remove(random.index(clients.len()));
            // The clients go away. Some ask for their id first, and come back.
            let id = id.or_else(|| random.chance(0.5).then(|| session.id()));
            let serial = session.serial();
            drop(session);
            if let Some(id) = id.filter(|_| serial > 0 && random.chance(0.5)) {
                clients.push(Client::resumed(&store, id));
                assert_eq!(clients[clients.len() - 1].session.serial(), serial);
            }
        }
        store.checkpoint().without_index().await.expect("a sound disk");
    }
    let mut left = points(&store);
    for Client { session, id } in &mut clients {
        let until = session.commit_point().until;
        assert_eq!(until, session.serial(), "the last checkpoint has all of it");
        left.extend(id.filter(|_| until > 0).map(|id| (id, until)));
        // This operation is in no checkpoint.
        session.upsert(&1, &life).await.expect("a sound disk");
    }
    assert!(left.len() > 100);
    std::mem::forget(clients);
    left
}

struct Client {
    session: Session<u64, u64>,
    /// The id, if the client has asked for it.
    id: Option<session::Id>,
}

impl Client {
    fn resumed(store: &FasterKv<u64, u64>, id: session::Id) -> Self {
        Self { session: store.resume_session(id).expect("it waits"), id: Some(id) }
    }
}

fn points(store: &FasterKv<u64, u64>) -> Points {
    store.recovered_sessions().into_iter().map(|(id, point)| (id, point.until)).collect()
}
