// Shows what /api/v1/events sends. Everything is set as text: names come from users.
"use strict";

const byId = (id) => document.getElementById(id);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function age(moment) {
  if (!moment) return "–";
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return new Date(moment).toLocaleString();
}

function conditionCell(condition) {
  const className = { True: "good", False: "bad", Unknown: "wait" }[condition.status];
  const cell = element("td", condition.status, className);
  cell.title = `${condition.reason}: ${condition.message}`;
  return cell;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function proxyRows(proxy) {
  const row = element("tr");
  row.dataset.proxy = proxy.name;
  const name = element("td", proxy.name);
  name.title = proxy.addresses.join(" ");
  const hash = element("td", proxy.shortHash || "–", "hash");
  if (proxy.desiredHash && proxy.desiredHash !== proxy.observedHash) hash.classList.add("wait");
  hash.title = `runs ${proxy.observedHash || "nothing"}, shall run ${proxy.desiredHash || "nothing yet"}`;
  const applied = element("td", age(proxy.appliedAt));
  if (proxy.appliedAt) applied.dataset.since = proxy.appliedAt;
  row.append(
    name,
    conditionCell(proxy.conditions.Ready),
    conditionCell(proxy.conditions.Synced),
    hash,
    conditionCell(proxy.conditions.MutualTLS),
    element("td", proxy.version || "–"),
    element("td", proxy.errorCount, proxy.errorCount ? "bad" : ""),
    element("td", proxy.node || "–"),
    element("td", proxy.terminating ? `${proxy.phase}, terminating` : proxy.phase),
    applied,
  );
  const reasons = Object.entries(proxy.conditions).filter(([, condition]) => condition.status !== "True" && condition.message);
  if (!reasons.length && !proxy.errors.length) return [row];
  const list = element("ul");
  for (const [type, condition] of reasons) list.append(element("li", `${type}: ${condition.reason}: ${condition.message}`));
  for (const error of proxy.errors) {
    const place = [error.object || error.entityType, error.field].filter(Boolean).join(" ");
    list.append(element("li", `${place}: ${error.message}`, "bad"));
  }
  const detail = element("tr", null, "detail");
  const cell = element("td");
  cell.colSpan = 10;
  cell.append(list);
  detail.append(cell);
  return [row, detail];
}

function problemItem(problem) {
  const item = element("li");
  item.append(element("strong", problem.object), " ", element("code", problem.field || ""), ` ${problem.reason}: ${problem.message}. `);
  item.append(element("span", `${problem.remedy}.`, "remedy"));
  if (problem.source) item.append(" ", element("code", problem.source));
  return item;
}

function show(overview) {
  const counted = overview.proxies.filter((proxy) => !proxy.terminating);
  const count = (type) => counted.filter((proxy) => proxy.conditions[type].status === "True").length;
  byId("summary").textContent =
    `${counted.length} proxies, ${count("Ready")} ready, ${count("Synced")} in sync; ` +
    `${overview.problems.length} problems; this replica: ${overview.leadership}`;
  const held = Object.entries(overview.unavailable).map(([kind, reason]) => `${kind} can't be read: ${reason}`);
  if (overview.hold) held.unshift(`Nothing is sent to the proxies: ${overview.hold}`);
  byId("banner").hidden = !held.length;
  byId("banner").textContent = held.join(" · ");
  byId("proxies").tBodies[0].replaceChildren(...overview.proxies.flatMap(proxyRows));
  byId("no-proxies").hidden = overview.proxies.length > 0;
  byId("problems").replaceChildren(...overview.problems.map(problemItem));
  byId("no-problems").hidden = overview.problems.length > 0;
  byId("configuration").tBodies[0].replaceChildren(
    ...overview.configuration.map((profile) => {
      const row = element("tr");
      const running = counted.filter((proxy) => proxy.observedHash === profile.hash).length;
      const hash = element("td", profile.hash.slice(0, 12), "hash");
      hash.title = profile.hash;
      row.append(element("td", profile.profile), hash, element("td", size(profile.sizeBytes)), element("td", `${running} of ${counted.length}`));
      return row;
    }),
  );
}

const stream = new EventSource("api/v1/events");
stream.onmessage = (message) => {
  show(JSON.parse(message.data));
  byId("connection").textContent = "live";
};
stream.onerror = () => {
  byId("connection").textContent = "the controller does not answer; trying again";
};
setInterval(() => {
  for (const cell of document.querySelectorAll("[data-since]")) cell.textContent = age(cell.dataset.since);
}, 1000);
