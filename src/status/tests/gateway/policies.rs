//! What users see of BackendTLSPolicies.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_policy_names_the_gateways_through_which_it_acts() {
    let policy = "
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: BackendTLSPolicy
metadata: {name: tls, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  validation: {hostname: web.example, wellKnownCACertificates: System}
---
";
    let before = objects(&[CLASS, GATEWAY, ROUTE, policy], 1);
    let cluster = cluster(&before).await;
    show(&cluster, rendition("one", &before), proxies("one", "one")).await;
    let entry = status(&cluster, Kind::BackendTLSPolicy, "tls")["ancestors"][0].clone();
    assert_eq!(
        entry["ancestorRef"],
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": "edge" })
    );
    assert_eq!(
        said(&entry["conditions"]),
        ["Accepted True Accepted @1", "ResolvedRefs True ResolvedRefs @1"]
    );
    let after = objects(&[CLASS, GATEWAY, policy], 1);
    show(&cluster, rendition("two", &after), proxies("two", "two")).await;
    assert_eq!(status(&cluster, Kind::BackendTLSPolicy, "tls")["ancestors"], json!([]));
}
