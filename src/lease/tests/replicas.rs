//! Replicas before an API server in memory, in paused time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proxy_config_schema::ConfigHash;
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    kept_log::Log,
    lease::{
        Confirmation, DEFAULT_ELECTION_ID, LeaseSettings, REACHABLE, Reach, ReplicaPod, Unsettled, fake_api::FakeApi,
        spawn,
    },
    model::{Epoch, Leadership, NamespacedName, ProxyId},
};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/silverback/leases/silverback.gateway.silverback.dev";

struct Replica {
    leadership: watch::Receiver<Leadership>,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    reach: watch::Sender<Reach>,
    confirmation: Confirmation,
    /// What it is still sending.
    unsettled: Arc<Mutex<Unsettled>>,
    handed_over: watch::Receiver<Unsettled>,
}

fn replica(api: &FakeApi, pod: &str) -> Replica {
    let lease = NamespacedName::new("silverback", DEFAULT_ELECTION_ID);
    let shutdown = CancellationToken::new();
    let pod = ReplicaPod {
        name: pod.into(),
        uid: Some(format!("uid-of-{pod}").into()),
    };
    let (reach, reaches) = watch::channel(Reach::default());
    let settings = LeaseSettings::new(lease, pod);
    let confirmation = Confirmation::new(api.client(), settings.clone());
    let unsettled = Arc::new(Mutex::new(Unsettled::new()));
    let told = unsettled.clone();
    let candidate = spawn(
        api.client(),
        settings,
        reaches,
        move || told.lock().expect("no test panics while it holds it").clone(),
        shutdown.clone(),
    );
    Replica {
        confirmation,
        unsettled,
        handed_over: candidate.handed_over,
        leadership: candidate.leadership,
        task: candidate.task,
        shutdown,
        reach,
    }
}

impl Replica {
    /// Waits until the part is as wanted, for a minute of paused time at the most.
    async fn becomes(&mut self, wanted: impl FnMut(&Leadership) -> bool) -> Leadership {
        let found = tokio::time::timeout(Duration::from_secs(60), self.leadership.wait_for(wanted)).await;
        found.expect("in time").expect("the election goes on").clone()
    }

    fn reaches(&self, reachable: usize, total: usize) {
        self.reach.send_replace(Reach { reachable, total });
    }

    async fn leads(&mut self) -> Leadership {
        self.becomes(Leadership::is_leader).await
    }

    async fn follows(&mut self) -> Leadership {
        self.becomes(|part| matches!(part, Leadership::Follower { holder: Some(_) }))
            .await
    }
}

fn transitions(leadership: &Leadership) -> u64 {
    leadership.epoch().expect("a leader").transitions
}

#[tokio::test(start_paused = true)]
async fn one_leads_the_others_follow_and_idle_costs_one_renewal_every_two_seconds() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let mut second = replica(&api, "silverback-b");
    let Leadership::Follower { holder: Some(holder) } = second.follows().await else {
        panic!("it follows");
    };
    assert!(holder.starts_with("silverback-a_"), "{holder}");
    api.take_requests();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let requests = api.take_requests();
    assert!((29..=31).contains(&requests.len()), "{requests:#?}");
    assert!(
        requests.iter().all(|line| line == &format!("PUT {LEASE}?")),
        "{requests:#?}"
    );
    assert!(first.leadership.borrow().is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once_under_a_later_epoch() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    let former = first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let released = Instant::now();
    first.shutdown.cancel();
    let next = second.leads().await;
    assert!(
        released.elapsed() < Duration::from_millis(50),
        "{:?}",
        released.elapsed()
    );
    first.task.await.expect("ended well");
    assert_eq!(transitions(&next), transitions(&former) + 1);
    assert_eq!(next.epoch().unwrap().lease_uid, former.epoch().unwrap().lease_uid);
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_released_lease_knows_what_is_still_being_sent_and_who_takes_it_after_that_does_not() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let sent = Unsettled::from([(ProxyId("uid-1".into()), ConfigHash::of(b"one"))]);
    *first.unsettled.lock().expect("nobody holds it") = sent.clone();
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    first.shutdown.cancel();
    second.leads().await;
    assert_eq!(*second.handed_over.borrow(), sent);
    second.shutdown.cancel();
    second.task.await.expect("ended well");
    let mut third = replica(&api, "silverback-c");
    third.leads().await;
    assert_eq!(*third.handed_over.borrow(), Unsettled::new());
}

/// What was handed over before has been waited for.
#[tokio::test(start_paused = true)]
async fn who_makes_the_lease_again_is_handed_nothing_over() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    *first.unsettled.lock().expect("nobody holds it") =
        Unsettled::from([(ProxyId("uid-1".into()), ConfigHash::of(b"one"))]);
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    first.shutdown.cancel();
    let former = second.leads().await;
    first.task.await.expect("ended well");
    api.delete(LEASE);
    second
        .becomes(|part| part.is_leader() && part.epoch() != former.epoch())
        .await;
    assert_eq!(*second.handed_over.borrow(), Unsettled::new());
}

#[tokio::test(start_paused = true)]
async fn the_last_one_to_end_leaves_an_empty_lease() {
    let api = FakeApi::new();
    let mut only = replica(&api, "silverback-a");
    only.leads().await;
    only.shutdown.cancel();
    only.task.await.expect("ended well");
    let lease = api.get(LEASE).expect("it stays");
    assert!(lease["spec"].get("holderIdentity").is_none(), "{lease:#}");
    assert_eq!(*only.leadership.borrow(), Leadership::Follower { holder: None });
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_followed_after_the_lease_duration_and_not_before() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.task.abort();
    let crashed = Instant::now();
    second.leads().await;
    let after = crashed.elapsed();
    assert!(
        (Duration::from_secs(13)..Duration::from_secs(16)).contains(&after),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn times_in_the_lease_do_not_count() {
    let api = FakeApi::new();
    api.put(
        LEASE,
        json!({ "spec": {
            "holderIdentity": "elsewhere", "leaseDurationSeconds": 15, "leaseTransitions": 7,
            "acquireTime": "1999-01-01T00:00:00.000000Z", "renewTime": "1999-01-01T00:00:00.000000Z",
        }}),
    );
    let log = Log::default();
    let _kept = log.keep();
    let started = Instant::now();
    let mut replica = replica(&api, "silverback-a");
    replica.follows().await;
    let won = replica.leads().await;
    assert!(started.elapsed() >= Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(transitions(&won), 8);
    // Whoever reads the log learns why it took so long.
    let told = log.take();
    assert!(
        told.contains("the leader has not renewed the Lease for 15 s") && told.contains("elsewhere"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again_and_one_leads() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    let former = first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    api.delete(LEASE);
    let changed = Instant::now();
    let next = tokio::select! {
        part = first.becomes(|part| part.is_leader() && part.epoch() != former.epoch()) => part,
        part = second.leads() => part,
    };
    assert!(changed.elapsed() < Duration::from_secs(1), "{:?}", changed.elapsed());
    assert_ne!(next.epoch().unwrap().lease_uid, former.epoch().unwrap().lease_uid);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let leaders = [&first, &second]
        .iter()
        .filter(|replica| replica.leadership.borrow().is_leader())
        .count();
    assert_eq!(leaders, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_api_server_the_leader_is_cut_and_leads_on_when_it_is_back() {
    let api = FakeApi::new();
    for fault in [503, 0] {
        let mut only = replica(&api, "silverback-a");
        let former = only.leads().await;
        api.fail("", fault);
        let lost = Instant::now();
        let cut = only.becomes(|part| !part.is_leader()).await;
        let after = lost.elapsed();
        assert!(matches!(cut, Leadership::Cut { .. }), "{cut:?}");
        assert!(
            (Duration::from_secs(8)..=Duration::from_secs(10)).contains(&after),
            "{after:?}"
        );
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(*only.leadership.borrow(), cut);
        api.heal();
        assert_eq!(only.leads().await, former, "nobody took it: the epoch stays");
        only.shutdown.cancel();
        only.task.await.expect("ended well");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_cut_follows_when_another_has_the_lease() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    api.fail("", 503);
    first.becomes(|part| matches!(part, Leadership::Cut { .. })).await;
    let mut lease = api.get(LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("silverback-b_0123");
    lease["spec"]["leaseTransitions"] = json!(1);
    api.put(LEASE, lease);
    api.heal();
    let part = first.follows().await;
    assert_eq!(
        part,
        Leadership::Follower {
            holder: Some("silverback-b_0123".into())
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_sees_another_holder_stops_at_once() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut lease = api.get(LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("somebody");
    api.put(LEASE, lease);
    let taken = Instant::now();
    first.becomes(|part| !part.is_leader()).await;
    assert!(taken.elapsed() < Duration::from_millis(50), "{:?}", taken.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_permission_nobody_leads_until_it_is_given() {
    let api = FakeApi::new();
    api.fail("leases", 403);
    let mut replica = replica(&api, "silverback-a");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(*replica.leadership.borrow(), Leadership::Unknown);
    let requests = api.take_requests().len();
    assert!(requests <= 110, "{requests} requests in 100 s");
    api.heal();
    replica.leads().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_the_standby_reads_and_takes_over_all_the_same() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    api.fail("fieldSelector", 403);
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!second.leadership.borrow().is_leader());
    first.shutdown.cancel();
    let released = Instant::now();
    second.leads().await;
    assert!(released.elapsed() <= Duration::from_secs(3), "{:?}", released.elapsed());
}

#[tokio::test(start_paused = true)]
async fn labels_that_users_put_on_the_lease_stay() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let mut lease = api.get(LEASE).unwrap();
    lease["metadata"]["labels"] = json!({ "team": "edge" });
    api.put(LEASE, lease);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(first.leadership.borrow().is_leader());
    assert_eq!(api.get(LEASE).unwrap()["metadata"]["labels"]["team"], "edge");
}

fn told(api: &FakeApi, pod: &str) -> Option<String> {
    let lease = api.get(&format!("{LEASE}-{pod}"))?;
    Some(lease["metadata"]["annotations"][REACHABLE].as_str()?.to_owned())
}

#[tokio::test(start_paused = true)]
async fn each_replica_tells_what_it_reaches_when_it_changes_and_not_otherwise() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    first.reaches(3, 3);
    second.reaches(2, 3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(&api, "silverback-a").as_deref(), Some("3/3"));
    assert_eq!(told(&api, "silverback-b").as_deref(), Some("2/3"));
    let owner = &api.get(&format!("{LEASE}-silverback-b")).unwrap()["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&json!("Pod"), &json!("uid-of-silverback-b"))
    );

    api.take_requests();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let own = |api: &FakeApi| {
        let requests = api.take_requests();
        requests
            .into_iter()
            .filter(|line| line.contains("-silverback-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(own(&api), Vec::<String>::new(), "nothing changed");
    second.reaches(3, 3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(own(&api), [format!("PUT {LEASE}-silverback-b?")]);
    assert_eq!(told(&api, "silverback-b").as_deref(), Some("3/3"));

    // Somebody deletes it: it is made again with the next change.
    api.delete(&format!("{LEASE}-silverback-b"));
    second.reaches(0, 3);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(told(&api, "silverback-b").as_deref(), Some("0/3"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reaches_no_proxy_makes_room_for_one_that_does() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    let former = first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    first.reaches(3, 3);
    second.reaches(3, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lost = Instant::now();
    first.reaches(0, 3);
    let next = second.leads().await;
    let after = lost.elapsed();
    assert!(
        (Duration::from_secs(30)..Duration::from_millis(30_100)).contains(&after),
        "{after:?}"
    );
    assert_eq!(transitions(&next), transitions(&former) + 1);
    first.follows().await;
    // Also when the new leader reaches none, it does not go back and forth at once.
    second.reaches(0, 3);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(second.leadership.borrow().is_leader(), "the other reaches none either");
}

#[tokio::test(start_paused = true)]
async fn it_does_so_too_when_it_can_not_write_its_own_lease() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    api.fail(&format!("{DEFAULT_ELECTION_ID}-silverback-a"), 403);
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    second.reaches(3, 3);
    first.reaches(0, 3);
    second.leads().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reaches_no_proxy_stays_while_nobody_does_better() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    let mut second = replica(&api, "silverback-b");
    second.follows().await;
    first.reaches(0, 3);
    second.reaches(0, 3);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(first.leadership.borrow().is_leader());
    }
    // As soon as one does better, it leads.
    second.reaches(1, 3);
    second.leads().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_takes_comes_back() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    first.leads().await;
    // Left behind by a replica that is gone.
    api.put(
        &format!("{LEASE}-silverback-gone"),
        json!({ "metadata": { "annotations": { REACHABLE: "3/3" } } }),
    );
    first.reaches(0, 3);
    first.becomes(|part| !part.is_leader()).await;
    let gave_up = Instant::now();
    first.leads().await;
    let after = gave_up.elapsed();
    assert!(
        (Duration::from_secs(14)..=Duration::from_secs(16)).contains(&after),
        "{after:?}"
    );
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert!(
        first.leadership.borrow().is_leader(),
        "and it is not given up again at once"
    );
}

#[tokio::test(start_paused = true)]
async fn only_who_leads_by_what_the_api_server_says_now_is_confirmed() {
    let api = FakeApi::new();
    let mut first = replica(&api, "silverback-a");
    let led = first.leads().await.epoch().expect("a leader").clone();
    assert_eq!(first.confirmation.leads(&led).await, Some(true));
    let later = Epoch {
        transitions: led.transitions + 1,
        ..led.clone()
    };
    assert_eq!(first.confirmation.leads(&later).await, Some(false));

    tokio::time::sleep(Duration::from_secs(1)).await;
    // Many proxies refuse at once: the API server is asked for the first, and once for those who came meanwhile.
    api.take_requests();
    let all = futures_util::future::join_all((0..100).map(|_| first.confirmation.leads(&led))).await;
    assert!(all.iter().all(|leads| *leads == Some(true)));
    let requests = api.take_requests();
    let asked = requests.iter().filter(|line| line.starts_with("GET")).count();
    assert!((1..=2).contains(&asked), "{requests:?}");

    tokio::time::sleep(Duration::from_secs(1)).await;
    api.fail("GET /apis/coordination", 0);
    assert_eq!(first.confirmation.leads(&led).await, None, "nobody says anything");
    api.heal();

    // It has not heard of it, as one that hung.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut other = api.get(LEASE).expect("it is there");
    api.delete(LEASE);
    other["metadata"] = json!({});
    other["spec"]["holderIdentity"] = json!("silverback-b");
    api.put(LEASE, other);
    assert_eq!(first.confirmation.leads(&led).await, Some(false));
}
