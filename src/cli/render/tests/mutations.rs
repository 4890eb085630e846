//! The objects of the golden cases with values exchanged at random: whatever users write, what comes out is a
//! configuration that a proxy takes, and every problem says what to do.

use std::sync::LazyLock;

use proptest::test_runner::RngSeed;

use super::{coverage::Run, *};

/// The runs, without those of objects that are taken as they are: Kong Ingress Controller lets through what Kong refuses.
/// Nor those that hold what only another router takes than that of the check.
static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata");
    let is_refused = |run: &Run| root.join(&run.name).join("refused").exists();
    let runs = Run::all().into_iter();
    runs.filter(|run| !run.arguments.raw_objects && !is_refused(run))
        .collect()
});

const NUMBERS: &[i64] = &[
    -1,
    0,
    1,
    2,
    79,
    80,
    443,
    599,
    65_535,
    65_536,
    2_147_483_647,
    99_999_999_999,
];

/// Where the values of an object stand, its type and status aside.
fn leaves(value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    let mut below = |key: &str, value: &Value, path: &mut String| {
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        leaves(value, path, found);
        path.truncate(length);
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if length > 0 || !matches!(key.as_str(), "apiVersion" | "kind" | "status") {
                    below(key, value, path);
                }
            }
        }
        Value::Array(elements) => {
            for (position, value) in elements.iter().enumerate() {
                below(&position.to_string(), value, path);
            }
        }
        _ => found.push(path.clone()),
    }
}

/// Gives one value of an object another one of its type: from the pool, or from another place in the run.
fn mutate(objects: &mut [Value], object: usize, leaf: usize, choice: usize) {
    let texts: Vec<String> = {
        let mut all = Vec::new();
        for object in objects.iter() {
            let mut places = Vec::new();
            leaves(object, &mut String::new(), &mut places);
            let text = |place: &String| object.pointer(place).unwrap().as_str().map(str::to_owned);
            all.extend(places.iter().filter_map(text));
        }
        let pool = [VALUES, PATHS, HOSTS, SERVICES].concat();
        all.extend(pool.into_iter().map(str::to_owned));
        all
    };
    let count = objects.len();
    let object = &mut objects[object % count];
    let mut places = Vec::new();
    leaves(object, &mut String::new(), &mut places);
    let place = object.pointer_mut(&places[leaf % places.len()]).unwrap();
    *place = match place {
        Value::String(_) => json!(texts[choice % texts.len()]),
        Value::Number(_) => json!(NUMBERS[choice % NUMBERS.len()]),
        Value::Bool(is) => json!(!*is),
        _ => Value::Null,
    };
}

proptest! {
    // The same ones each time: what chance finds is not the fault of the change that is tested.
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proxies_take_whatever_comes_out(
        run in 0..RUNS.len(),
        mutations in prop::collection::vec((any::<usize>(), any::<usize>(), any::<usize>()), 1..6),
        edition in prop::sample::select(&[Edition::OpenSource, Edition::Embedded][..]),
    ) {
        let run = &RUNS[run];
        let mut objects = run.objects.clone();
        for (object, leaf, choice) in mutations {
            mutate(&mut objects, object, leaf, choice);
        }
        let mut arguments = run.arguments.clone();
        arguments.edition = Some(match edition {
            Edition::Embedded => crate::cli::translation::EditionArgument::Embedded,
            _ => crate::cli::translation::EditionArgument::OpenSource,
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let manifests = manifest::parse("in.json", list.as_bytes(), &arguments.limits());
        let got = outcome(manifests, &arguments);
        assert_accepted(&got, &arguments, false);
        for problem in &got.problems {
            prop_assert!(!problem.remedy.is_empty() && !problem.message.is_empty(), "{}", problem);
        }
    }
}
