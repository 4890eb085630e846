//! What users see of Gateways.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_gateway_gets_of_the_addresses_that_there_are_those_that_it_asks_for() {
    let asking = |addresses: &str| {
        let addresses = format!("gatewayClassName: kong\n  addresses: {addresses}");
        objects(&[CLASS, &GATEWAY.replace("gatewayClassName: kong", &addresses)], 1)
    };
    let cluster = cluster(&asking("[]")).await;
    for (addresses, said, bears) in [
        ("[{value: 192.0.2.1}]", "Accepted, Programmed", true),
        ("[{type: IPAddress}]", "Accepted, Programmed", true),
        ("[{value: 192.0.2.2}]", "Accepted, AddressNotUsable", false),
        (
            "[{type: example.com/any, value: x}]",
            "UnsupportedAddress, Invalid",
            false,
        ),
    ] {
        show(&cluster, rendition("one", &asking(addresses)), proxies("one", "one")).await;
        let status = status(&cluster, Kind::Gateway, "edge");
        let conditions = status["conditions"].as_array().expect("a list").iter();
        let reasons: Vec<_> = conditions
            .map(|condition| condition["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons.join(", "), said, "{addresses}");
        assert_eq!(status["addresses"] != json!([]), bears, "{addresses}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_address_a_gateway_is_not_programmed() {
    let objects = objects(&[CLASS, GATEWAY], 1);
    let settings = Settings {
        publish_service: None,
        ..settings()
    };
    let cluster = cluster_with(settings, &objects).await;
    cluster.settled().await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    assert_eq!(
        of_gateway(&cluster),
        ["Accepted True Accepted @1", "Programmed False AddressNotAssigned @1"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_annotation_of_a_gateway_names_other_services() {
    let annotated = GATEWAY.replace(
        "namespace: shop}",
        "namespace: shop, annotations: {konghq.com/publish-service: kong/kong-admin}}",
    );
    let objects = objects(&[CLASS, &annotated], 1);
    let cluster = cluster(&objects).await;
    show(&cluster, rendition("one", &objects), proxies("one", "one")).await;
    assert_eq!(
        of_gateway(&cluster)[1],
        "Programmed False AddressNotAssigned @1",
        "that Service has none"
    );
}
