//! Two routes that pick the very same requests or connections, by fields of the traditional router or by ports and server
//! names: one wins, the other one is told (`docs/adr/0003`).
//!
//! What [`super::conflict`] is for Ingresses, this is for TCPIngresses, UDPIngresses and the routes of the Gateway API, by the
//! Gateway API's order: the older object, then the first by namespace and name, then the first rule and match. With
//! expressions HTTPRoutes and GRPCRoutes have ranks by the same order, and never get here. As with these, an exact path goes
//! before a regular expression, and both before what a prefix covers.
//!
//! An Ingress goes before an HTTPRoute that picks the very same, as its priority has it with expressions; its default backend
//! gives way to whatever is more than that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use super::{
    conflict::{CHANCE, why},
    draft::{Drafts, Matches, PathMatches, RouteDraft},
    field_path::{FieldPath, Origin},
    gateway,
    problems::{Owner, Problems},
    state::State,
};
use crate::model::{Kind, NamespacedName, Reason};

/// What two routes have in common that are in each other's way.
#[derive(PartialEq, Eq, Hash)]
struct Key<'d> {
    /// A host, or a server name in TLS; `None` for any.
    name: Option<&'d str>,
    place: Option<Place<'d>>,
    rest: Rc<Rest<'d>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'d> {
    Path(&'d str),
    Port(u16),
}

/// What else tells routes apart.
#[derive(PartialEq, Eq, Hash)]
struct Rest<'d> {
    /// Whoever listens for TCP gets TLS as well.
    transport: &'static str,
    protocols: Option<&'d [&'static str]>,
    methods: &'d [String],
    headers: Option<&'d BTreeMap<String, Vec<String>>>,
    annotated: (Option<String>, &'d [String]),
}

/// A path of an Ingress as its route has it.
struct IngressPath<'d> {
    route: (usize, usize),
    number: usize,
    path: FieldPath,
    draft: &'d RouteDraft<'d>,
    matches: &'d PathMatches,
}

/// What a route claims in one place, whatever the name.
struct Spot<'d> {
    /// The place's number.
    number: usize,
    place: Option<Place<'d>>,
    origin: Origin,
    /// Whether nothing is left of the place where another one has this.
    is_whole: bool,
}

/// A route's claim on one name in one place, by their numbers.
struct Claim<'d> {
    route: (usize, usize),
    name: usize,
    place: usize,
    origin: Origin,
    is_whole: bool,
    draft: &'d RouteDraft<'d>,
}

/// A claim that another one beats.
struct Loss {
    route: (usize, usize),
    name: usize,
    place: usize,
    /// `None` where it is no conflict: the winner does all that the loser asks for, or was asked for what the loser only covers.
    message: Option<String>,
}

/// Finds claims made twice, and takes the losers' out of their routes; raw objects keep them and are told only.
pub(super) fn resolve(drafts: &mut Drafts<'_>, state: &mut State<'_>) {
    let raw_objects = state.settings.raw_objects;
    let paths = paths_of_ingresses(drafts);
    let mut gone = match raw_objects {
        true => HashSet::new(),
        false => given_up(&paths, drafts),
    };
    let mut losses = find(&paths, drafts, raw_objects);
    for (service, route) in &gone {
        state.takes_part(drafts.services[*service].routes[*route].owner);
    }
    let place = |loss: &Loss| (loss.route, loss.name, loss.place);
    // Of several in one place the one that is told stays.
    losses.sort_by_key(|loss| (place(loss), loss.message.is_none()));
    losses.dedup_by_key(|loss| place(loss));
    let mut lost = BTreeMap::new();
    for of_one in losses.chunk_by(|one, other| one.route == other.route) {
        let (service, number) = of_one[0].route;
        let routes = &mut drafts.services[service].routes;
        report(&routes[number], of_one, raw_objects, &mut state.problems);
        if raw_objects {
            continue;
        }
        let mut left = without(&routes[number], of_one).into_iter();
        match left.next() {
            Some(first) => {
                routes[number] = first;
                routes.extend(left);
            }
            None => {
                let message = of_one.iter().find_map(|loss| loss.message.as_deref());
                lost.insert((service, number), (routes[number].owner, message));
            }
        }
    }
    gone.extend(lost.keys().copied());
    remove(drafts, &gone);
    if lost.is_empty() {
        return;
    }
    let routes = drafts.services.iter().flat_map(|draft| &draft.routes);
    let left: BTreeSet<_> = routes.map(|route| identity(route.owner)).collect();
    for (owner, message) in lost.into_values() {
        // Of a route of which a rule is left its status says nothing: to the Gateway API that is no mistake.
        match message {
            Some(message) if !left.contains(&identity(owner)) => gateway::note_error(owner, message, state),
            Some(_) => {}
            None => state.takes_part(owner),
        }
    }
}

/// Takes routes away, and services that have none left.
fn remove(drafts: &mut Drafts<'_>, routes: &HashSet<(usize, usize)>) {
    if routes.is_empty() {
        return;
    }
    for (service, draft) in drafts.services.iter_mut().enumerate() {
        let mut number = 0;
        draft.routes.retain(|_| {
            number += 1;
            !routes.contains(&(service, number - 1))
        });
    }
    drafts.services.retain(|draft| !draft.routes.is_empty());
}

fn identity(owner: Owner<'_>) -> (Kind, NamespacedName) {
    (owner.kind, owner.metadata.key())
}

fn routes<'d>(drafts: &'d Drafts<'_>) -> impl Iterator<Item = ((usize, usize), &'d RouteDraft<'d>)> {
    let services = drafts.services.iter().enumerate();
    services.flat_map(|(service, draft)| {
        let routes = draft.routes.iter().enumerate();
        routes.map(move |(route, draft)| ((service, route), draft as &RouteDraft<'_>))
    })
}

fn find<'d>(paths: &'d [IngressPath<'d>], drafts: &'d Drafts<'_>, raw_objects: bool) -> Vec<Loss> {
    let mut claims = Vec::new();
    for (route, draft) in routes(drafts) {
        add_claims(&mut claims, route, draft);
    }
    let contested: HashSet<_> = routes(drafts).filter_map(|(_, draft)| plain(draft)).collect();
    for path in paths.iter().filter(|path| !path.matches.is_default) {
        path.add_claims(&contested, &mut claims);
    }
    let mut winners: HashMap<&Key<'_>, &Claim<'_>> = HashMap::with_capacity(claims.len());
    for (key, claim) in &claims {
        let winner = winners.entry(key).or_insert(claim);
        if claim.precedence() < winner.precedence() {
            *winner = claim;
        }
    }
    let lost = claims
        .iter()
        .filter(|(_, claim)| claim.is_whole && !claim.is_of_ingress());
    let lost = lost.filter_map(|(key, claim)| {
        let winner = winners[key];
        (winner.route != claim.route).then(|| claim.loss(key, winner, raw_objects))
    });
    lost.collect()
}

/// The protocols of an HTTPRoute that picks requests by host and path alone, as an Ingress does.
fn plain<'d>(draft: &'d RouteDraft<'_>) -> Option<Option<&'d [&'static str]>> {
    let Matches::Fields(fields) = &draft.matches else {
        return None;
    };
    let protocols = draft.defaults.protocols.as_deref();
    let is_http = |protocol: &&str| matches!(*protocol, "http" | "https");
    let is_plain = fields.methods.is_empty()
        && fields.headers.is_empty()
        && draft.settings.host_aliases.is_empty()
        && draft.settings.distinction().is_none()
        && protocols.is_none_or(|protocols| protocols.iter().all(is_http));
    is_plain.then_some(protocols)
}

/// The paths of Ingresses that an HTTPRoute could claim as well.
fn paths_of_ingresses<'d>(drafts: &'d Drafts<'_>) -> Vec<IngressPath<'d>> {
    if !routes(drafts).any(|(_, draft)| plain(draft).is_some()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (route, draft) in routes(drafts) {
        let Some(matches) = draft.paths().filter(|_| draft.settings.distinction().is_none()) else {
            continue;
        };
        for (number, of_one) in matches.paths.iter().enumerate() {
            found.extend(of_one.matches.traditional().map(|path| IngressPath {
                route,
                number,
                path,
                draft,
                matches,
            }));
        }
    }
    found
}

/// Default backends of Ingresses whose requests an HTTPRoute asks for by a rule.
fn given_up(paths: &[IngressPath<'_>], drafts: &Drafts<'_>) -> HashSet<(usize, usize)> {
    if !paths.iter().any(|path| path.matches.is_default) {
        return HashSet::new();
    }
    let mut claimed: HashSet<(Option<&str>, &str)> = HashSet::new();
    for (_, draft) in routes(drafts).filter(|(_, draft)| plain(draft).is_some()) {
        if let Matches::Fields(fields) = &draft.matches {
            let hosts = fields.hosts.iter().map(|host| Some(host.as_str()));
            let hosts = hosts.chain(fields.hosts.is_empty().then_some(None));
            for host in hosts {
                let claims = fields.paths.iter().flat_map(FieldPath::claims);
                claimed.extend(claims.filter(|claim| claim.is_whole).map(|claim| (host, claim.key)));
            }
        }
    }
    let lost = paths.iter().filter(|path| {
        let hosts = path.matches.hosts.iter().map(|host| Some(host.as_str()));
        let mut hosts = hosts.chain(path.matches.hosts.is_empty().then_some(None));
        path.matches.is_default && hosts.all(|host| claimed.contains(&(host, path.path.text.as_str())))
    });
    lost.map(|path| path.route).collect()
}

impl<'d> IngressPath<'d> {
    /// Claims it from whoever picks requests by host and path alone, with whatever protocols.
    fn add_claims(&'d self, contested: &HashSet<Option<&'d [&'static str]>>, claims: &mut Vec<(Key<'d>, Claim<'d>)>) {
        static NONE: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for protocols in contested {
            let rest = Rc::new(Rest {
                transport: "http",
                protocols: *protocols,
                methods: &[],
                headers: Some(&NONE),
                annotated: (None, &[]),
            });
            for name in 0..self.matches.hosts.len().max(1) {
                for claimed in self.path.claims() {
                    let key = Key {
                        name: self.matches.hosts.get(name).map(String::as_str),
                        place: Some(Place::Path(claimed.key)),
                        rest: rest.clone(),
                    };
                    let claim = Claim {
                        route: self.route,
                        name,
                        place: self.number,
                        origin: claimed.origin,
                        is_whole: claimed.is_whole,
                        draft: self.draft,
                    };
                    claims.push((key, claim));
                }
            }
        }
    }
}

fn add_claims<'d>(claims: &mut Vec<(Key<'d>, Claim<'d>)>, route: (usize, usize), draft: &'d RouteDraft<'d>) {
    let (names, spots) = (names(&draft.matches), spots(&draft.matches));
    let settings = &draft.settings;
    let rest = match &draft.matches {
        Matches::Fields(fields) => Rest {
            transport: "http",
            protocols: draft.defaults.protocols.as_deref(),
            methods: &fields.methods,
            headers: Some(&fields.headers),
            annotated: (settings.distinction(), &settings.host_aliases),
        },
        // One that picks nothing is in nobody's way.
        Matches::Stream(stream) if !(names.is_empty() && stream.ports.is_empty()) => Rest {
            transport: transport(draft),
            protocols: None,
            methods: &[],
            headers: None,
            annotated: (settings.distinction(), &[]),
        },
        _ => return,
    };
    let rest = Rc::new(rest);
    for name in 0..names.len().max(1) {
        for spot in &spots {
            let key = Key {
                name: names.get(name).map(String::as_str),
                place: spot.place,
                rest: rest.clone(),
            };
            let claim = Claim {
                route,
                name,
                place: spot.number,
                origin: spot.origin,
                is_whole: spot.is_whole,
                draft,
            };
            claims.push((key, claim));
        }
    }
}

/// Hosts, or server names in TLS.
fn names(matches: &Matches) -> &[String] {
    match matches {
        Matches::Fields(fields) => &fields.hosts,
        Matches::Stream(stream) => &stream.server_names,
        Matches::Paths(_) | Matches::Expression { .. } => &[],
    }
}

/// What is claimed on each path or port; one for all of them where there are none.
fn spots(matches: &Matches) -> Vec<Spot<'_>> {
    let mut spots = Vec::new();
    match matches {
        Matches::Fields(fields) => {
            for (number, path) in fields.paths.iter().enumerate() {
                spots.extend(path.claims().map(|claim| Spot {
                    number,
                    place: Some(Place::Path(claim.key)),
                    origin: claim.origin,
                    is_whole: claim.is_whole,
                }));
            }
        }
        Matches::Stream(stream) => {
            let ports = stream.ports.iter().enumerate();
            spots.extend(ports.map(|(number, port)| Spot {
                number,
                place: Some(Place::Port(*port)),
                ..Spot::ANYWHERE
            }));
        }
        Matches::Paths(_) | Matches::Expression { .. } => {}
    }
    if spots.is_empty() {
        spots.push(Spot::ANYWHERE);
    }
    spots
}

impl Spot<'_> {
    const ANYWHERE: Self = Self {
        number: 0,
        place: None,
        origin: Origin::Exact,
        is_whole: true,
    };
}

fn transport(route: &RouteDraft<'_>) -> &'static str {
    let protocols = route.defaults.protocols.as_deref().unwrap_or_default();
    let own = protocols
        .iter()
        .find(|protocol| matches!(**protocol, "udp" | "tls_passthrough"));
    own.copied().unwrap_or("tcp")
}

impl Claim<'_> {
    /// Less goes first.
    fn precedence(&self) -> impl Ord {
        let metadata = self.draft.owner.metadata;
        (
            !self.is_of_ingress(),
            self.gives_way(),
            self.origin,
            metadata.creation_timestamp,
            &metadata.namespace,
            &metadata.name,
            self.draft.owner.kind.name(),
            rule(&self.draft.matches),
            self.route,
        )
    }

    fn is_of_ingress(&self) -> bool {
        matches!(self.draft.matches, Matches::Paths(_))
    }

    fn gives_way(&self) -> bool {
        matches!(&self.draft.matches, Matches::Fields(fields) if fields.gives_way)
    }

    fn loss(&self, key: &Key<'_>, winner: &Claim<'_>, raw_objects: bool) -> Loss {
        let gives_way = self.gives_way() && !winner.gives_way() && !winner.is_of_ingress();
        let is_done = gives_way && winner.draft.defaults.https_redirect_status_code.is_some();
        // What is only covered by a prefix is for whoever asks for it by itself. Of raw objects it stays, and chance decides.
        let is_meant = self.origin == Origin::PrefixItself && winner.origin < self.origin && !raw_objects;
        Loss {
            route: self.route,
            name: self.name,
            place: self.place,
            message: (!is_done && !is_meant).then(|| self.message(key, winner, gives_way)),
        }
    }

    fn field(&self) -> String {
        match self.draft.paths() {
            Some(matches) => matches.paths[self.place].place.field(),
            None => field(self.draft),
        }
    }

    fn message(&self, key: &Key<'_>, winner: &Claim<'_>, gives_way: bool) -> String {
        let owner = winner.draft.owner;
        let name = key.name.map(|name| format!(" for {name}")).unwrap_or_default();
        let place = match key.place {
            Some(Place::Path(path)) => format!(" under {}", shown(path)),
            Some(Place::Port(port)) => format!(" on port {port}"),
            None => String::new(),
        };
        let what = match self.draft.matches {
            Matches::Stream(_) => "connections",
            _ => "requests",
        };
        let why = match winner.origin {
            _ if winner.is_of_ingress() => "an Ingress goes before routes of the Gateway API",
            _ if gives_way => "it serves them",
            Origin::Exact if self.origin > Origin::Exact => "it is for this path alone",
            Origin::Regex if self.origin > Origin::Regex => "a regular expression goes before a prefix",
            _ => why(self.draft.owner, owner),
        };
        format!(
            "{owner} takes the same {what}{name}{place} in {}, and goes first: {why}",
            winner.field()
        )
    }
}

/// A path as its user may have written it: an exact one and a prefix become regular expressions.
fn shown(path: &str) -> &str {
    let path = match path.strip_prefix('~') {
        Some(expression) => expression.strip_suffix('$').unwrap_or(expression),
        None => path,
    };
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// The rule that a route was made from, and its match.
fn rule(matches: &Matches) -> (usize, usize) {
    match matches {
        Matches::Fields(fields) => fields.rule,
        Matches::Stream(stream) => (stream.rule, 0),
        Matches::Paths(_) | Matches::Expression { .. } => (0, 0),
    }
}

/// Where a route's match stands in its object.
fn field(route: &RouteDraft<'_>) -> String {
    match (&route.matches, route.owner.kind) {
        (Matches::Fields(fields), _) => format!("spec.rules[{}].matches[{}]", fields.rule.0, fields.rule.1),
        (_, Kind::TLSRoute) => "spec.hostnames".to_owned(),
        (_, Kind::TCPRoute | Kind::UDPRoute) => "spec.parentRefs".to_owned(),
        (matches, _) => format!("spec.rules[{}].port", rule(matches).0),
    }
}

/// Tells a route's owner what it lost.
fn report(route: &RouteDraft<'_>, losses: &[Loss], raw_objects: bool, problems: &mut Problems) {
    let consequence = if raw_objects { CHANCE } else { "they go there" };
    for message in losses.iter().filter_map(|loss| loss.message.as_deref()) {
        problems.report(
            route.owner,
            field(route),
            Reason::Conflict,
            format!("{message}; {consequence}"),
            "remove it from one of the two, or let them differ in what they match",
        );
    }
}

/// What is left of a route without lost claims: several routes where its names did not lose the same places, the one that
/// lost least first.
fn without<'a>(route: &RouteDraft<'a>, losses: &[Loss]) -> Vec<RouteDraft<'a>> {
    let (names, places) = match &route.matches {
        Matches::Fields(fields) => (fields.hosts.len(), fields.paths.len()),
        Matches::Stream(stream) => (stream.server_names.len(), stream.ports.len()),
        Matches::Paths(_) | Matches::Expression { .. } => (0, 0),
    };
    let mut lost: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for loss in losses {
        lost.entry(loss.name).or_default().insert(loss.place);
    }
    let mut alike: BTreeMap<(usize, BTreeSet<usize>), Vec<usize>> = BTreeMap::new();
    for name in 0..names.max(1) {
        let lost = lost.remove(&name).unwrap_or_default();
        if lost.len() < places.max(1) {
            alike.entry((lost.len(), lost)).or_default().push(name);
        }
    }
    let left = alike.into_iter().map(|((_, lost), names)| {
        let mut left = route.clone();
        let places: Vec<usize> = (0..places).filter(|place| !lost.contains(place)).collect();
        match &mut left.matches {
            Matches::Fields(fields) => {
                keep(&mut fields.hosts, &names);
                keep(&mut fields.paths, &places);
            }
            Matches::Stream(stream) => {
                keep(&mut stream.server_names, &names);
                keep(&mut stream.ports, &places);
            }
            Matches::Paths(_) | Matches::Expression { .. } => {}
        }
        left
    });
    left.collect()
}

/// Keeps the items of these numbers.
fn keep<T>(items: &mut Vec<T>, numbers: &[usize]) {
    let mut number = 0;
    items.retain(|_| {
        number += 1;
        numbers.contains(&(number - 1))
    });
}

#[cfg(test)]
mod tests;
