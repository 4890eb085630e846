//! Proxies that come while something is not as it should be: they serve all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    controller::{Controller, paths, web},
    harness::eventually,
    stub::Stub,
};

/// The proxy with that URL, as the dashboard shows it.
async fn shown(controller: &Controller, proxy: &Stub) -> Result<Value, String> {
    let name = proxy.url.split_once("//").unwrap().1;
    let proxies = controller.api("proxies").await?;
    let found = proxies.iter().find(|proxy| proxy["name"] == name);
    found.cloned().ok_or_else(|| format!("no {name} in {proxies:?}"))
}

async fn until(controller: &Controller, proxy: &Stub, what: &str, check: impl Fn(&Value) -> bool) {
    eventually(what, async || {
        let shown = shown(controller, proxy).await?;
        if check(&shown) {
            Ok(())
        } else {
            Err(format!("{shown:#}"))
        }
    })
    .await;
}

fn is_ready(shown: &Value) -> bool {
    shown["conditions"]["Ready"]["status"] == "True"
}

#[tokio::test]
async fn scaled_up_while_the_newest_is_refused_a_proxy_begins_with_what_was_accepted_last() {
    let judge = |document: &Value| {
        let message = json!({"message": "An unexpected error occurred"});
        let is_bad = paths(document).iter().any(|path| path == "/newest");
        is_bad.then_some(("500 Internal Server Error", message))
    };
    let first = Stub::start(judge);
    let newcomer = Stub::start(judge).starting();
    let controller = Controller::start(&[&first, &newcomer], &[], &web("one", "/good", "127.0.0.1"));
    until(&controller, &first, "it is in sync", |proxy| proxy["phase"] == "Synced").await;
    controller.write(&web("one", "/newest", "127.0.0.1"));
    until(&controller, &first, "it refuses", |proxy| proxy["phase"] == "Rejected").await;
    newcomer.begin();
    until(
        &controller,
        &newcomer,
        "it is ready, and has been asked about the newest",
        |proxy| is_ready(proxy) && proxy["phase"] == "Rejected",
    )
    .await;
    assert_eq!(paths(&newcomer.accepted()[0]), ["/good"]);
    assert_eq!((newcomer.accepted().len(), newcomer.refused()), (1, 1));
    assert!(is_ready(&shown(&controller, &first).await.unwrap()));
    controller.write(&web("one", "/mended", "127.0.0.1"));
    for proxy in [&first, &newcomer] {
        until(&controller, proxy, "it is in sync again", |proxy| {
            proxy["phase"] == "Synced"
        })
        .await;
    }
}

#[tokio::test]
async fn while_everything_changes_a_slow_proxy_that_restarts_is_ready_after_one_load() {
    let slow = |_: &Value| {
        thread::sleep(Duration::from_secs(1));
        None
    };
    let (proxy, restarting) = (Stub::start(slow), Stub::start(slow));
    let controller = Arc::new(Controller::start(
        &[&proxy, &restarting],
        &[],
        &web("one", "/0", "127.0.0.1"),
    ));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (controller, stop) = (controller.clone(), stop.clone());
        thread::spawn(move || {
            let mut change = 0;
            while !stop.load(Ordering::Relaxed) {
                change += 1;
                controller.write(&web("one", &format!("/{change}"), "127.0.0.1"));
                thread::sleep(Duration::from_millis(100));
            }
            format!("/{change}")
        })
    };
    until(&controller, &restarting, "it is ready", is_ready).await;
    restarting.restart();
    let before = restarting.accepted().len();
    until(&controller, &restarting, "it is noticed", |proxy| !is_ready(proxy)).await;
    // The loads that it has done, as known before it is asked what is shown: a second one takes longer than to show the first.
    let looked_at = async || {
        let loads = restarting.accepted().len() - before;
        let shown = shown(&controller, &restarting).await?;
        Ok::<_, String>((loads, is_ready(&shown), format!("{shown:#}")))
    };
    eventually("it is ready again", async || {
        let (loads, is_ready, shown) = looked_at().await?;
        assert!(is_ready || loads <= 1, "{loads} loads, and it is not ready: {shown}");
        is_ready.then_some(()).ok_or(shown)
    })
    .await;
    eventually("it stays ready while newer ones come", async || {
        let (loads, is_ready, shown) = looked_at().await?;
        assert!(is_ready, "after {loads} loads it is not ready: {shown}");
        (loads >= 3).then_some(()).ok_or(shown)
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let last = writer.join().unwrap();
    for proxy in [&proxy, &restarting] {
        eventually("the newest has arrived", async || {
            let found = proxy.accepted().last().map(paths);
            if found.as_deref() == Some(std::slice::from_ref(&last)) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await;
    }
}
