//! Proxies that can't read a certificate again, which somebody else gives them.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{
    eventually,
    secrets::{DEPLOYMENT, empty, leader, proxy},
};
use crate::{
    fleet::{FleetView, ProxyView},
    lease::fake_api::FakeApi,
    model::{Edition, Leadership},
    pki::{FleetKnowledge, authority, restart_before_expiry},
};

fn reason(api: &FakeApi) -> Option<String> {
    let deployment = api.get(DEPLOYMENT).unwrap();
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    let reason = annotations["gateway.silverback.dev/certificate"].as_str();
    reason.map(str::to_owned)
}

fn leaf() -> String {
    let authority = rcgen::generate_simple_self_signed(vec!["pod.admin.gateway.svc".to_owned()]).unwrap();
    authority.cert.pem()
}

#[tokio::test(start_paused = true)]
async fn kong_is_restarted_before_a_certificate_of_cert_managers_expires_and_again_if_it_was_not_renewed_by_then() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let api = empty();
    let (view, views) = watch::channel(Arc::default());
    let (leadership, parts) = watch::channel(Leadership::Follower { holder: None });
    let fleet = FleetKnowledge {
        view: views,
        leadership: parts,
    };
    let workloads = vec!["deployment/gateway/kong".parse().unwrap()];
    tokio::spawn(restart_before_expiry(api.client(), workloads, fleet));
    let show = |proxies: Vec<Arc<ProxyView>>| {
        view.send_replace(Arc::new(FleetView {
            proxies,
            ..FleetView::default()
        }));
    };
    let days = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days);
    let minutes = |minutes: u64| tokio::time::sleep(Duration::from_secs(60 * minutes));
    let (old, new) = (leaf(), leaf());
    let [old_print, new_print] = [&old, &new].map(|leaf| authority::fingerprint(leaf).unwrap());

    show(vec![proxy("one", Edition::OpenSource, &old, days(14))]);
    minutes(5).await;
    assert_eq!(reason(&api), None, "that is the leader's to do");
    leadership.send_replace(leader());
    show(vec![
        proxy("one", Edition::OpenSource, &old, days(16)),
        proxy("two", Edition::Embedded, &old, days(1)),
    ]);
    minutes(5).await;
    assert_eq!(
        reason(&api),
        None,
        "there is time, and an embedded proxy reads it again"
    );
    show(vec![
        proxy("one", Edition::OpenSource, &old, days(14)),
        proxy("two", Edition::OpenSource, &new, days(60)),
    ]);
    eventually("a restart in time", || reason(&api) == Some(format!("{old_print}-0"))).await;
    // It was renewed late: what they have read was the old one still.
    show(vec![proxy("one", Edition::OpenSource, &old, days(7))]);
    eventually("another one", || reason(&api) == Some(format!("{old_print}-1"))).await;
    show(vec![proxy("one", Edition::OpenSource, &new, days(80))]);
    minutes(5).await;
    assert_eq!(reason(&api), Some(format!("{old_print}-1")));
    show(vec![proxy("one", Edition::OpenSource, &new, days(-1))]);
    eventually("the last attempt", || reason(&api) == Some(format!("{new_print}-2"))).await;
}
