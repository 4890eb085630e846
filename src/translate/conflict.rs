//! Two routes that claim the same host and path: one wins, the other one is told (`docs/adr/0003`).
//!
//! Left alone, a proxy would let chance decide: by the greater identifier, a hash of the name. Here the oldest Ingress
//! wins, then the first by namespace and name, then the first rule; an `Exact` path goes before what a `Prefix` covers,
//! and a rule goes before a default backend (both as the Ingress API demands, so without a problem). The loser's claim is
//! taken out of its route, so that what is reported is what happens. Claims of one object that lead to the same service are no
//! conflict, nor are routes that differ in methods, headers, server names, protocols or regex priority.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use super::{
    Settings,
    draft::{Drafts, PathMatches, RouteDraft},
    path::PathPart,
    problems::{Owner, Problems},
};
use crate::model::{Reason, RouterFlavor};

/// What a route claims: one host, one part of a path.
struct Claim<'d> {
    service: usize,
    route: usize,
    host: usize,
    path: usize,
    part: PathPart,
    draft: &'d RouteDraft<'d>,
    matches: &'d PathMatches,
}

/// A claim that another one beats.
struct Loss {
    route: (usize, usize),
    host: usize,
    path: usize,
    part: PathPart,
    /// Who wins; `None` where the Ingress API has it so.
    report: Option<String>,
}

/// Finds claims made twice, and takes the losers' out of their routes; raw objects keep them and are told only.
pub(super) fn resolve(drafts: &mut Drafts<'_>, settings: &Settings, problems: &mut Problems) {
    let mut losses = find(drafts, settings.profile.router_flavor);
    losses.sort_by_key(|loss| (loss.route, loss.host, loss.path, loss.part));
    for of_one in losses.chunk_by(|a, b| a.route == b.route) {
        let (service, route) = of_one[0].route;
        let route = &mut drafts.services[service].routes[route];
        let owner = route.owner;
        let matches = route.paths_mut().expect("only routes with paths make claims");
        if settings.raw_objects {
            of_one
                .iter()
                .for_each(|loss| report(owner, matches, loss, CHANCE, problems));
        } else {
            concede(owner, matches, of_one, problems);
        }
    }
    for service in &mut drafts.services {
        let has_lost_all = |route: &RouteDraft<'_>| route.paths().is_some_and(|matches| matches.paths.is_empty());
        service.routes.retain(|route| !has_lost_all(route));
    }
    drafts.services.retain(|service| !service.routes.is_empty());
}

/// Host (`None`: any), path, and what else tells routes apart.
type Key<'d> = (Option<&'d str>, PathPart, Cow<'d, str>, Option<Rc<str>>);

fn find(drafts: &Drafts<'_>, flavor: RouterFlavor) -> Vec<Loss> {
    let mut claims: Vec<(Key<'_>, Claim<'_>)> = Vec::new();
    for (service, draft) in drafts.services.iter().enumerate() {
        for (route, draft) in draft.routes.iter().enumerate() {
            let Some(matches) = draft.paths() else { continue };
            // Expressions give a default backend the lowest priority: it can't be in the way.
            if !(matches.is_default && flavor.is_expressions()) {
                add_claims(&mut claims, (service, route), draft, matches);
            }
        }
    }
    let mut winners: HashMap<&Key<'_>, &Claim<'_>> = HashMap::with_capacity(claims.len());
    for (key, claim) in &claims {
        let winner = winners.entry(key).or_insert(claim);
        if !std::ptr::eq(*winner, claim) && claim.precedence() < winner.precedence() {
            *winner = claim;
        }
    }
    let lost = claims.iter().filter_map(|(key, claim)| {
        let winner = winners[key];
        let of_one_object = std::ptr::eq(winner.draft.owner.metadata, claim.draft.owner.metadata);
        (winner.service != claim.service || !of_one_object).then(|| claim.loss(winner))
    });
    lost.collect()
}

fn add_claims<'d>(
    claims: &mut Vec<(Key<'d>, Claim<'d>)>,
    (service, route): (usize, usize),
    draft: &'d RouteDraft<'d>,
    matches: &'d PathMatches,
) {
    let distinction: Option<Rc<str>> = draft.settings.distinction().map(Into::into);
    for (path, path_draft) in matches.paths.iter().enumerate() {
        for (part, text) in path_draft.matches.parts() {
            for host in 0..matches.hosts.len().max(1) {
                let name = matches.hosts.get(host).map(String::as_str);
                let claim = Claim {
                    service,
                    route,
                    host,
                    path,
                    part,
                    draft,
                    matches,
                };
                claims.push(((name, part, text.clone(), distinction.clone()), claim));
            }
        }
    }
}

impl Claim<'_> {
    /// Less goes first.
    fn precedence(&self) -> impl Ord {
        let metadata = self.draft.owner.metadata;
        let path = &self.matches.paths[self.path];
        (
            self.matches.is_default,
            self.part == PathPart::Equal && !path.matches.is_exact(),
            metadata.creation_timestamp,
            metadata.namespace.clone(),
            metadata.name.clone(),
            path.place,
        )
    }

    fn loss(&self, winner: &Claim<'_>) -> Loss {
        let is_exact = |claim: &Claim<'_>| claim.matches.paths[claim.path].matches.is_exact();
        let by_rule = self.matches.is_default || (self.part == PathPart::Equal && is_exact(winner) && !is_exact(self));
        let report = (!by_rule).then(|| {
            let owner = winner.draft.owner;
            let host = self.matches.hosts.get(self.host).map_or("any host", String::as_str);
            let why = why(self.draft.owner, owner);
            format!(
                "{owner} claims it as well for {host}, in {}, and goes first: {why}",
                winner.field()
            )
        });
        Loss {
            route: (self.service, self.route),
            host: self.host,
            path: self.path,
            part: self.part,
            report,
        }
    }

    fn field(&self) -> String {
        self.matches.paths[self.path].place.field()
    }
}

pub(super) fn why(loser: Owner<'_>, winner: Owner<'_>) -> &'static str {
    if std::ptr::eq(loser.metadata, winner.metadata) {
        "it stands earlier"
    } else if loser.metadata.creation_timestamp == winner.metadata.creation_timestamp {
        "both are equally old, and it is the first by name"
    } else {
        "it is older"
    }
}

/// Takes lost claims out of a route: hosts that lost every path, then paths that lost on every host that is left.
/// What is lost on some hosts only can't be taken out of one route, and stays.
fn concede(owner: Owner<'_>, route: &mut PathMatches, losses: &[Loss], problems: &mut Problems) {
    let parts: usize = route.paths.iter().map(|path| path.matches.parts().len()).sum();
    let host_count = route.hosts.len().max(1);
    let lost_on = |host: usize| losses.iter().filter(|loss| loss.host == host).count();
    let left: Vec<usize> = (0..host_count).filter(|host| lost_on(*host) < parts).collect();
    for loss in losses {
        let is_taken_out = !left.contains(&loss.host) || is_lost_everywhere(loss, &left, losses);
        report(
            owner,
            route,
            loss,
            if is_taken_out { "requests go there" } else { CHANCE },
            problems,
        );
    }
    if left.is_empty() {
        route.paths.clear();
        return;
    }
    for loss in losses {
        if left.contains(&loss.host) && is_lost_everywhere(loss, &left, losses) {
            route.paths[loss.path].matches.lose(loss.part);
        }
    }
    route.paths.retain(|path| !path.matches.parts().is_empty());
    if left.len() < host_count {
        route.hosts = left.into_iter().map(|host| route.hosts[host].clone()).collect();
    }
}

fn is_lost_everywhere(loss: &Loss, hosts: &[usize], losses: &[Loss]) -> bool {
    hosts.iter().all(|host| {
        losses
            .iter()
            .any(|other| (other.host, other.path, other.part) == (*host, loss.path, loss.part))
    })
}

/// What happens where both routes stay.
pub(super) const CHANCE: &str = "which of them answers is up to the proxy";

fn report(owner: Owner<'_>, route: &PathMatches, loss: &Loss, consequence: &str, problems: &mut Problems) {
    let Some(message) = &loss.report else { return };
    problems.report(
        owner,
        route.paths[loss.path].place.field(),
        Reason::Conflict,
        format!("{message}; {consequence}"),
        "remove the path from one of the two, or give it another host or path",
    );
}
