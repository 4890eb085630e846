//! Schemas of the custom entities that are in use: translation can't ask proxies what fields refer to, so it is done
//! here, for types that are not known anyway (`kic.md` 4.10).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    admission::Question,
    model::Snapshot,
    serve::admission::AskProxies,
    translate::{EntitySchema, EntitySchemas},
};

/// How long a proxy may take to answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// When proxies are asked again that did not know a type, or did not answer.
const AGAIN: Duration = Duration::from_secs(10);
/// Most types that are asked about.
const MAX_TYPES: usize = 32;

/// Asks one proxy of each profile about every type that comes into use, until the snapshots end.
pub(super) async fn follow(
    ask: AskProxies,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    schemas: watch::Sender<Arc<EntitySchemas>>,
) {
    loop {
        let asked = unknown(&snapshots.borrow_and_update(), &schemas.borrow());
        let mut is_open = false;
        for type_ in asked.clone() {
            let answers = ask(Question::entity_schema(&type_)).await;
            let mut answers = answers.iter().filter(|(_, answer)| answer.status == 200);
            match answers.find_map(|(_, answer)| EntitySchema::parse(&answer.body)) {
                Some(schema) => schemas.send_modify(|known| Arc::make_mut(known).insert(type_, schema)),
                None => is_open = true,
            }
        }
        let again = async {
            match is_open {
                true => tokio::time::sleep(AGAIN).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            // What else is open is asked about anew, too: other types are rare.
            changed = another_type(&mut snapshots, &schemas, &asked) => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// Waits until a type is in use that was neither known nor asked about.
async fn another_type(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    schemas: &watch::Sender<Arc<EntitySchemas>>,
    asked: &BTreeSet<String>,
) -> Result<(), watch::error::RecvError> {
    let is_another = |snapshot: &Arc<Snapshot>| !unknown(snapshot, &schemas.borrow()).is_subset(asked);
    snapshots.wait_for(is_another).await.map(drop)
}

/// The types in use that nothing is known of. They become part of a path: what can't be one is no type.
fn unknown(snapshot: &Snapshot, schemas: &EntitySchemas) -> BTreeSet<String> {
    let types = snapshot.custom_entities.values().map(|entity| &entity.spec.type_);
    let is_name = |type_: &&String| {
        let mut bytes = type_.bytes();
        !type_.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let unknown: BTreeSet<&String> = types
        .filter(is_name)
        .filter(|type_| schemas.get(type_).is_none())
        .collect();
    unknown.into_iter().take(MAX_TYPES).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::{
        admission::Answer,
        model::{Kind, Object},
    };

    #[tokio::test(start_paused = true)]
    async fn a_type_is_asked_about_until_a_proxy_knows_it() {
        let mut snapshot = Snapshot::default();
        for (name, type_) in [("a", "things"), ("b", "degraphql_routes"), ("c", "../x")] {
            let value = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"type": type_, "fields": {}}});
            snapshot.insert(Object::from_json(Kind::KongCustomEntity, value).expect("it fits"));
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let ask: AskProxies = Arc::new(move |question: Question| {
            assert_eq!(question.path, "/schemas/things");
            let body = json!({"fields": [{"service": {"type": "foreign", "reference": "services"}}, {"x": {"type": "string"}}]});
            let status = if count.fetch_add(1, Ordering::Relaxed) == 0 {
                404
            } else {
                200
            };
            let body = body.to_string().into_bytes();
            async move { vec![("traditional".to_owned(), Answer { status, body })] }.boxed()
        });
        let (_sender, snapshots) = watch::channel(Arc::new(snapshot));
        let (schemas, mut known) = watch::channel(Arc::new(EntitySchemas::default()));
        tokio::spawn(follow(ask, snapshots, schemas));
        known.changed().await.expect("it goes on");
        let schema = known.borrow().get("things").cloned().expect("it was asked about");
        assert_eq!(schema.foreign.get("service").map(String::as_str), Some("services"));
        assert_eq!((schema.foreign.len(), asked.load(Ordering::Relaxed)), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_type_that_comes_later_does_not_wait_for_one_that_nobody_knows() {
        let with = |types: &[&str]| {
            let mut snapshot = Snapshot::default();
            // As many entities as types may be asked about.
            for (number, type_) in types.iter().cycle().take(MAX_TYPES * types.len()).enumerate() {
                let value = json!({
                    "metadata": {"name": format!("e{number:03}"), "namespace": "shop"},
                    "spec": {"type": type_, "fields": {}},
                });
                snapshot.insert(Object::from_json(Kind::KongCustomEntity, value).expect("it fits"));
            }
            Arc::new(snapshot)
        };
        let ask: AskProxies = Arc::new(|question: Question| {
            let status = if question.path == "/schemas/things" { 200 } else { 404 };
            let body = json!({"fields": []}).to_string().into_bytes();
            async move { vec![("traditional".to_owned(), Answer { status, body })] }.boxed()
        });
        let (sender, snapshots) = watch::channel(with(&["nobodys"]));
        let (schemas, mut known) = watch::channel(Arc::new(EntitySchemas::default()));
        tokio::spawn(follow(ask, snapshots, schemas));
        tokio::time::sleep(Duration::from_secs(1)).await;
        sender.send_replace(with(&["nobodys", "things"]));
        let soon = tokio::time::timeout(Duration::from_secs(1), known.changed());
        soon.await.expect("at once").expect("it goes on");
        assert!(known.borrow().get("things").is_some());
    }
}
