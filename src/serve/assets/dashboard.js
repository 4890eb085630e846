// Shows what /api/v1/events sends. Everything is set as text: names come from users.
"use strict";

const byId = (id) => document.getElementById(id);
const RETRY_MILLISECONDS = 3000;
/** Rows that are shown at first: a thousand would bury what comes below. */
const ROWS_AT_FIRST = 50;
const COLOURS = { True: "good", False: "bad", Unknown: "wait" };
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

function element(tag, content, className) {
  const made = document.createElement(tag);
  made.append(...[content ?? []].flat());
  if (className) made.className = className;
  return made;
}

function age(moment) {
  if (!moment) return "–";
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(moment).toLocaleDateString();
}

function agedCell(moment) {
  const cell = element("td", age(moment));
  if (moment) {
    cell.dataset.since = moment;
    cell.title = new Date(moment).toLocaleString();
  }
  return cell;
}

function conditionCell(condition) {
  const cell = element("td", condition.status, `condition ${COLOURS[condition.status]}`);
  cell.title = `${condition.reason}: ${condition.message}`;
  return cell;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function nameCell(proxy) {
  const cell = element("th", proxy.name);
  cell.scope = "row";
  cell.title = proxy.addresses.join(" ");
  const place = [proxy.namespace, proxy.node].filter(Boolean).join(", ");
  if (place) cell.append(" ", element("small", place));
  return cell;
}

/** Whether nothing about a proxy needs a look. */
const isInOrder = (proxy) => ["Ready", "Synced"].every((type) => proxy.conditions[type].status === "True");

const answers = (proxy) => proxy.conditions.Reachable.status === "True";

function hashCell(proxy) {
  const current = answers(proxy) && (!proxy.desiredHash || proxy.desiredHash === proxy.observedHash);
  const cell = element("td", proxy.shortHash || "–", current ? "hash" : "hash wait");
  const runs = answers(proxy) ? "runs" : "ran when it answered last:";
  cell.title = `${runs} ${proxy.shortHash ? proxy.observedHash : "nothing"}, shall run ${proxy.desiredHash || "nothing yet"}`;
  return cell;
}

function stateCell(proxy) {
  const terminating = proxy.terminating && proxy.phase !== "Terminating";
  const cell = element("td", terminating ? `${proxy.phase}, terminating` : proxy.phase);
  // What was left out is the same for many proxies, and stands among the problems.
  const complete = proxy.conditions.Complete;
  if (complete.status === "False") {
    cell.append(element("small", complete.reason, "wait"));
    cell.title = complete.message;
  }
  return cell;
}

/** What does not hold, and what the proxy refused: the row below the proxy's, if there is anything to say. */
function details(proxy) {
  const reasons = new Map();
  for (const [type, { status, reason, message }] of Object.entries(proxy.conditions)) {
    if (status === "True" || type === "Complete") continue;
    const why = `${reason}: ${message}`;
    reasons.set(why, [...(reasons.get(why) || []), type]);
  }
  const items = [...reasons].map(([why, types]) => element("li", [element("b", types.join(", ")), ` ${why}`]));
  for (const error of proxy.errors) {
    const place = [error.object || error.entityType, error.field].filter(Boolean).join(" ");
    items.push(element("li", [element("b", place), `: ${error.message}`], "bad"));
  }
  const more = proxy.errorCount - proxy.errors.length;
  if (more > 0) items.push(element("li", `and ${count(more, "further error", "further errors")}`, "bad"));
  if (!items.length) return [];
  const cell = element("td", element("ul", items));
  cell.colSpan = byId("proxies").tHead.rows[0].cells.length;
  return [element("tr", cell, "detail")];
}

function proxyRows(proxy) {
  const row = element("tr", [
    nameCell(proxy),
    conditionCell(proxy.conditions.Ready),
    conditionCell(proxy.conditions.Synced),
    hashCell(proxy),
    conditionCell(proxy.conditions.MutualTLS),
    element("td", proxy.version || "–"),
    element("td", String(proxy.errorCount), proxy.errorCount ? "bad" : ""),
    stateCell(proxy),
    agedCell(proxy.appliedAt),
  ]);
  return [row, ...details(proxy)];
}

function problemItems(problem) {
  const first = [element("strong", problem.object), " "];
  if (problem.field) first.push(element("code", problem.field));
  const item = element("li", [
    element("p", first),
    element("p", [element("span", problem.reason, "reason"), `: ${problem.message}`]),
    element("p", [element("b", "To do"), `: ${problem.remedy}`]),
  ]);
  if (problem.source) item.append(element("p", element("code", problem.source), "place"));
  return [item];
}

function profileRows({ profile, running, counted }) {
  const name = element("th", profile.profile);
  name.scope = "row";
  const hash = element("td", profile.hash.slice(0, 12), "hash");
  hash.title = profile.hash;
  return [element("tr", [name, hash, element("td", size(profile.sizeBytes)), element("td", `${running} of ${counted}`)])];
}

function tile({ value, label, colour, section }) {
  const content = [element("strong", value), ` ${label}`];
  if (!section) return [element("p", content, colour)];
  const link = element("a", content);
  link.href = `#${section}`;
  return [element("p", link, colour)];
}

/**
 * Fills a parent with what `make` gives for each value. What is made of an equal value stays as it is, so that
 * a selection, a tooltip and the place of a reader survive news about other things.
 */
function fill(parent, values, make) {
  const old = parent.made || new Map();
  const made = new Map();
  for (const [index, value] of values.entries()) {
    const key = JSON.stringify(value);
    // Equal values, if there are any, are told apart by their place.
    made.set(made.has(key) ? `${index} ${key}` : key, old.get(key) || make(value));
    old.delete(key);
  }
  const nodes = [...made.values()].flat();
  const same = nodes.length === parent.children.length && nodes.every((node, index) => node === parent.children[index]);
  if (!same) parent.replaceChildren(...nodes);
  parent.made = made;
}

function fillOrSayNone(id, values, make) {
  const parent = byId(id);
  fill(parent.tBodies ? parent.tBodies[0] : parent, values, make);
  parent.hidden = !values.length;
  byId(`no-${id}`).hidden = values.length > 0;
}

function tiles(overview, counted) {
  const holding = (type) => counted.filter((proxy) => proxy.conditions[type].status === "True").length;
  const share = (number, label) => {
    const colour = !counted.length ? "wait" : number === counted.length ? "good" : "bad";
    return { value: `${number} of ${counted.length}`, label, colour, section: "proxies-heading" };
  };
  const problems = overview.problems.length;
  return [
    share(holding("Ready"), "ready"),
    share(holding("Synced"), "in sync"),
    {
      value: String(problems),
      label: problems === 1 ? "problem" : "problems",
      colour: problems ? "bad" : "good",
      section: "problems-heading",
    },
    { value: overview.leadership, label: "this replica", colour: "" },
  ];
}

/** Those that need a look come first; of many, those that fit on a page. */
function showProxies(proxies) {
  const sorted = [...proxies].sort((one, other) => isInOrder(one) - isInOrder(other));
  const needed = sorted.filter((proxy) => !isInOrder(proxy)).length;
  const shown = showsAll ? sorted : sorted.slice(0, Math.max(ROWS_AT_FIRST, needed));
  fillOrSayNone("proxies", shown, proxyRows);
  const more = sorted.length - shown.length;
  byId("more-proxies").hidden = more === 0;
  byId("more-proxies").textContent = `Show ${count(more, "more proxy", "more proxies")}, ready and in sync`;
}

let latest;
let showsAll = false;
byId("more-proxies").addEventListener("click", () => {
  showsAll = true;
  showProxies(latest.proxies);
});

function show(overview) {
  latest = overview;
  const counted = overview.proxies.filter((proxy) => !proxy.terminating);
  fill(byId("summary"), tiles(overview, counted), tile);
  const unreadable = Object.entries(overview.unavailable).map(([kind, reason]) => `${kind} can't be read: ${reason}`);
  const held = unreadable.filter((text) => text !== overview.hold);
  for (const service of overview.paused) {
    held.unshift(`Paused: no change goes to the proxies behind ${service} (silverback resume, or spec.paused of its ProxyFleet)`);
  }
  for (const { profile, leftOut, old, kept } of overview.fallbacks) {
    const parts = [];
    if (leftOut) parts.push(`${count(leftOut, "object is", "objects are")} left out`);
    if (old) parts.push(`${count(old, "object stays", "objects stay")} as accepted last`);
    if (kept) parts.push("proxies that do not take the configuration stay with what they accepted last");
    if (parts.length) held.push(`Refused by proxies of the profile ${profile}: ${parts.join(", ")}`);
  }
  if (overview.hold) held.unshift(`Nothing is sent to the proxies: ${overview.hold}`);
  byId("banner").hidden = !held.length;
  byId("banner").textContent = held.join(" · ");
  showProxies(overview.proxies);
  fillOrSayNone("problems", overview.problems, problemItems);
  const profiles = overview.configuration.map((profile) => {
    const running = counted.filter((proxy) => answers(proxy) && proxy.observedHash === profile.hash).length;
    return { profile, running, counted: counted.length };
  });
  fillOrSayNone("configuration", profiles, profileRows);
}

function connected(live) {
  byId("connection").textContent = live ? "live" : "the controller does not answer; trying again";
  byId("connection").className = live ? "live" : "";
}

function follow() {
  const stream = new EventSource("api/v1/events");
  stream.onopen = () => connected(true);
  stream.onmessage = (message) => show(JSON.parse(message.data));
  stream.onerror = () => {
    connected(false);
    // The browser tries again by itself, except after an answer that is no stream (from a load balancer, say).
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, RETRY_MILLISECONDS);
  };
}

follow();
setInterval(() => {
  for (const cell of document.querySelectorAll("[data-since]")) cell.textContent = age(cell.dataset.since);
}, 1000);
