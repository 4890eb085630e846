//! What the golden cases don't show: who takes part.

use serde_json::{Value, json};

use crate::{
    model::{Kind, Object, Profile, RouterFlavor, Snapshot},
    translate::{Settings, translate},
};

fn snapshot(objects: impl IntoIterator<Item = (Kind, Value)>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, value) in objects {
        snapshot.insert(Object::from_json(kind, value).expect("it fits"));
    }
    snapshot
}

#[test]
fn an_ingress_whose_default_backend_gives_way_takes_part_with_either_router() {
    let objects = snapshot([
        (
            Kind::GatewayClass,
            json!({"metadata": {"name": "g"}, "spec": {"controllerName": "konghq.com/kic-gateway-controller"}}),
        ),
        (
            Kind::Gateway,
            json!({"metadata": {"name": "g", "namespace": "shop"}, "spec": {"gatewayClassName": "g", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"}]}}),
        ),
        (
            Kind::HTTPRoute,
            json!({"metadata": {"name": "h", "namespace": "shop"}, "spec": {"parentRefs": [{"name": "g"}], "rules": [
                {"backendRefs": [{"kind": "Service", "name": "two", "port": 80, "weight": 1}]}]}}),
        ),
        (
            Kind::Ingress,
            json!({"metadata": {"name": "i", "namespace": "shop"}, "spec": {"ingressClassName": "kong",
                "defaultBackend": {"service": {"name": "one", "port": {"number": 80}}}}}),
        ),
    ]);
    for router_flavor in [RouterFlavor::Traditional, RouterFlavor::Expressions] {
        let settings = Settings {
            profile: Profile {
                router_flavor,
                ..Profile::default()
            },
            ..Settings::default()
        };
        let translation = translate(&objects, &settings);
        let takes_part = translation.objects.iter().any(|object| *object.kind == *"Ingress");
        assert!(takes_part, "{router_flavor:?}: {:?}", translation.objects);
    }
}
