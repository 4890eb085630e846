//! What a controller finds of what was put away, and when it looks.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::world::{World, goods, leader, memory, profile};
use crate::{
    archive::{
        seal,
        task::{CALM, INTERVAL, RETRY},
    },
    fleet::{FleetEvent, FleetView},
    model::{Leadership, Storage},
    render::{LastGood, Origin},
};

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_as_if_it_were_not_there() {
    let kept = memory();
    kept.0.lock().unwrap().sealed = Some(b"nonsense".to_vec());
    let mut world = World::new(&kept);
    world.accept("one");
    world.pass(CALM + Duration::from_secs(1)).await;
    world.written(1).await;
    let told = world.events.try_recv();
    assert!(
        matches!(&told, Ok(FleetEvent::Stored(found)) if found.is_empty()),
        "that nothing is known is told, too: {told:?}"
    );
    let (sealed, key) = {
        let kept = kept.0.lock().unwrap();
        (kept.sealed.clone().unwrap(), kept.key.clone())
    };
    let opened = seal::open(sealed, &key);
    assert_eq!(opened.unwrap().0.keys().collect::<Vec<_>>(), [&profile(9)]);
}

/// Asking again does not change what is permitted.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_told_and_not_waited_for() {
    let kept = memory();
    kept.0.lock().unwrap().forbidden = true;
    let mut world = World::new(&kept);
    let told = tokio::time::timeout(Duration::from_secs(1), world.events.recv()).await;
    let told = told.expect("at once");
    assert!(
        matches!(&told, Some(FleetEvent::Stored(found)) if found.is_empty()),
        "{told:?}"
    );
    let is_failed = |report: &Storage| {
        matches!(
            report,
            Storage::Failed {
                reason: "Forbidden",
                ..
            }
        )
    };
    let Storage::Failed { message, .. } = world.reports.wait_for(is_failed).await.unwrap().clone() else {
        unreachable!()
    };
    assert!(message.contains("get Secret gateway/last-good-0"), "{message}");
    kept.0.lock().unwrap().forbidden = false;
    world.accept("one");
    world.pass(CALM + RETRY).await;
    world.written(1).await;
    let is_stored = |report: &Storage| matches!(report, Storage::Stored { size: Some(_), .. });
    world.reports.wait_for(is_stored).await.unwrap();
}

/// What it found when it started may be minutes old by then, and hold back what the leader before had long sent.
#[tokio::test(start_paused = true)]
async fn who_comes_to_lead_with_nothing_else_to_go_by_reads_it_again() {
    let kept = memory();
    let put_away = |text: &str| {
        let mut kept = kept.0.lock().unwrap();
        kept.sealed = Some(seal::seal(&goods(text), Timestamp::now(), &kept.key));
    };
    put_away("at its start");
    let mut standby = World::new(&kept);
    standby.leadership.send_replace(Leadership::Follower { holder: None });
    let found = async |standby: &mut World| {
        let told = tokio::time::timeout(RETRY * 2, async {
            loop {
                match standby.events.recv().await {
                    Some(FleetEvent::Term(_)) => {}
                    told => return told,
                }
            }
        });
        let Ok(Some(FleetEvent::Stored(found))) = told.await else {
            panic!("nothing was found");
        };
        let stored = |good: &Arc<LastGood>| {
            Arc::new(LastGood {
                origin: Origin::Stored,
                ..LastGood::clone(good)
            })
        };
        let view = FleetView {
            good: found
                .iter()
                .map(|(profile, good)| (profile.clone(), stored(good)))
                .collect(),
            held: true,
            ..FleetView::default()
        };
        standby.view.send_replace(Arc::new(view));
        String::from_utf8(found[&profile(9)].rendered.bytes.to_vec()).unwrap()
    };
    assert_eq!(found(&mut standby).await, "at its start");
    put_away("by the leader");
    standby.pass(INTERVAL).await;
    assert!(standby.events.try_recv().is_err(), "a standby waits for its turn");
    standby.leadership.send_replace(leader());
    assert_eq!(found(&mut standby).await, "by the leader");
    // The write of a leader that ends may come after the release of its Lease.
    put_away("with its last breath");
    assert_eq!(found(&mut standby).await, "with its last breath");
    assert_eq!(standby.writes(), 0);
}
