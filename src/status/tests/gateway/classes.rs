//! What users see of GatewayClasses.

use super::*;

#[tokio::test(start_paused = true)]
async fn definitions_that_are_too_new_or_changed_later_are_told_of() {
    let objects = objects(&[CLASS], 1);
    let cluster = cluster(&objects).await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    let annotations = json!({ "gateway.networking.k8s.io/bundle-version": "v1.99.0" });
    cluster
        .api
        .put(DEFINITION, json!({ "metadata": { "annotations": annotations } }));
    cluster.settled().await;
    assert_eq!(
        said(&status(&cluster, Kind::GatewayClass, "kong")["conditions"]),
        [
            "Accepted True Accepted @1",
            "SupportedVersion False UnsupportedVersion @1"
        ]
    );
}
