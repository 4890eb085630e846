// The dashboard as an operator uses it: left open while manifests change and proxies come and go.
//
// SILVERBACK names the program, CHROMIUM the browser, SCREENSHOTS (optional) a directory for pictures.
// e2e/scripts/browser.sh sets them.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Demo, ECHO_SERVICE, ingress } from "./demo.js";
import { eventually } from "./eventually.js";
import { faintTexts, launch, open, problems, rows } from "./page.js";

const { SILVERBACK, CHROMIUM = "/usr/bin/chromium", SCREENSHOTS } = process.env;
if (!SILVERBACK) throw new Error("SILVERBACK must name the program under test");

let demo, browser, page, notes;

before(async () => {
  demo = await Demo.start(SILVERBACK, {
    proxies: 3,
    manifests: { "echo.yaml": ECHO_SERVICE, "web.yaml": ingress("web", "web.localhost", "/a") },
  });
  browser = await launch(CHROMIUM);
  ({ page, notes } = await open(browser, demo.dashboard));
  await page.evaluate(() => (globalThis.openedOnce = true));
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** The hash that all proxies show as theirs, once they agree, are in sync, and it is not `before`. */
const commonHash = (before) =>
  eventually(`three proxies ready and in sync, on another configuration than ${before}`, async () => {
    const shown = await rows(page, "Proxies");
    assert.equal(shown.length, 3);
    for (const row of shown) {
      assert.deepEqual([row.Ready, row.Synced, row.mTLS], ["True", "True", "True"], JSON.stringify(row));
      assert.match(row.Configuration, /^[0-9a-f]{12}$/);
      assert.notEqual(row.Configuration, before);
      assert.equal(row.Configuration, shown[0].Configuration);
    }
    return shown[0].Configuration;
  });

const proxyRow = async (index) =>
  (await rows(page, "Proxies")).find((row) => row.Name.includes(demo.proxies[index].name)) ?? assert.fail("no such row");

/** Pictures in light and dark, wide and narrow. */
async function picture(name) {
  if (!SCREENSHOTS) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [form, width] of Object.entries({ wide: 1280, narrow: 390 })) {
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}-${form}.png`), fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize({ width: 1280, height: 800 });
}

test("every proxy is shown ready, in sync, and with the configuration that it runs", async () => {
  const shown = await commonHash();
  const [profile] = await demo.api("configuration");
  assert.ok(profile.hash.startsWith(shown), `${profile.hash} begins with ${shown}`);
  const names = (await rows(page, "Proxies")).map((row) => row.Name);
  for (const [index, proxy] of demo.proxies.entries()) assert.ok(names[index].includes(proxy.name), names[index]);
  const [row] = await rows(page, "Configuration");
  assert.deepEqual([row.Hash, row["Proxies that run it"]], [shown, "3 of 3"]);
  await picture("in-sync");
});

test("an edited manifest changes the configuration of every row, without a reload", async () => {
  const first = await commonHash();
  await demo.write("web.yaml", ingress("web", "web.localhost", "/b"));
  const second = await commonHash(first);
  await demo.write("web.yaml", ingress("web", "web.localhost", "/a"));
  assert.equal(await commonHash(second), first, "the same manifests give the same configuration");
  assert.equal(await page.evaluate(() => globalThis.openedOnce), true, "the page was not loaded again");
});

test("a broken manifest is shown with object, field, file and remedy, and the proxies stay in sync", async () => {
  const hash = await commonHash();
  assert.deepEqual(await problems(page), []);
  await demo.write("web.yaml", ingress("web", "web.localhost", "/a").replace("number: 80", "number: eighty"));
  const [text] = await eventually("the problem is shown", async () => {
    const shown = await problems(page);
    assert.equal(shown.length, 1, shown.join("\n"));
    return shown;
  });
  const [problem] = await demo.api("problems");
  assert.equal(problem.reason, "InvalidField");
  assert.match(problem.object, /Ingress.*demo\/web/);
  assert.match(problem.field, /spec\.rules\[0\]\.http\.paths\[0\]\.backend\.service\.port\.number/);
  assert.match(problem.source, /web\.yaml:\d+$/);
  for (const part of ["object", "field", "reason", "message", "remedy", "source"]) {
    assert.ok(text.includes(problem[part]), `${part} ${problem[part]} in: ${text}`);
  }
  assert.equal(await commonHash(), hash, "what was in force stays in force");
  await picture("problem");
  await demo.write("web.yaml", ingress("web", "web.localhost", "/a"));
  await eventually("the problem is gone", async () => assert.deepEqual(await problems(page), []));
});

test("names that look like markup are shown as text", async () => {
  await demo.write("odd.yaml", ingress("'<img src=x onerror=alert(1)>'", "odd.localhost", "/"));
  await eventually("the problem is shown as it was written", async () => {
    const [text = ""] = await problems(page);
    assert.ok(text.includes("<img src=x onerror=alert(1)>"), text);
  });
  assert.equal(await page.locator("img").count(), 0);
  await demo.remove("odd.yaml");
  await eventually("the problem is gone", async () => assert.deepEqual(await problems(page), []));
});

test("a killed proxy is shown as unreachable, the others stay, and it is in sync once started again", async () => {
  await commonHash();
  demo.kill(1);
  const gone = await eventually("the killed proxy is not ready", async () => {
    const row = await proxyRow(1);
    assert.equal(row.Ready, "False", JSON.stringify(row));
    assert.match(row.detail ?? "", /Reachable[^]*ConnectionRefused/);
    return row;
  });
  assert.match(gone.Name, /proxy-1/);
  for (const index of [0, 2]) assert.equal((await proxyRow(index)).Ready, "True");
  await eventually("the summary counts it out", async () => {
    assert.match(await page.getByRole("status").innerText(), /2\s*of\s*3\s*ready/i);
    assert.equal((await rows(page, "Configuration"))[0]["Proxies that run it"], "2 of 3");
  });
  await picture("killed");
  demo.revive(1);
  await commonHash();
  assert.match(await page.getByRole("status").innerText(), /3\s*of\s*3\s*ready/i);
});

test("a reader finds the way: language, title, headings, header cells, contrast in light and dark", async () => {
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  assert.match(await page.title(), /silverback/);
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
  const sections = await page.getByRole("heading", { level: 2 }).allInnerTexts();
  assert.deepEqual(sections, ["Proxies", "Problems", "Configuration"]);
  assert.equal(await page.getByRole("main").count(), 1);
  for (const table of await page.getByRole("table").all()) {
    for (const header of await table.locator("thead tr > *").all()) {
      assert.equal(await header.evaluate((cell) => `${cell.tagName} ${cell.scope}`), "TH col");
    }
    for (const row of await table.locator("tbody tr:not(.detail)").all()) {
      assert.equal(await row.evaluate((row) => `${row.cells[0].tagName} ${row.cells[0].scope}`), "TH row");
    }
  }
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await faintTexts(page), [], colorScheme);
  }
  await page.emulateMedia({ colorScheme: null });
});

test("nothing is cut off on a narrow screen: the page itself never scrolls sideways", async () => {
  await page.setViewportSize({ width: 360, height: 800 });
  const [content, screen] = await page.evaluate(() => {
    const root = document.documentElement;
    return [root.scrollWidth, root.clientWidth];
  });
  assert.ok(content <= screen, `${content} px in ${screen}`);
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("of many proxies those that need a look come first, and the others are a click away", async () => {
  const overview = await demo.overview();
  const [model] = overview.proxies;
  const away = { ...model.conditions.Ready, status: "False", reason: "ConnectionRefused", message: "nothing listens there" };
  overview.proxies = Array.from({ length: 300 }, (_, index) => ({
    ...model,
    name: `many-${index}`,
    conditions: index === 250 ? { ...model.conditions, Ready: away } : model.conditions,
  }));
  const page = await browser.newPage();
  await page.route("**/api/v1/events", (route) =>
    route.fulfill({ contentType: "text/event-stream", body: `data: ${JSON.stringify(overview)}\n\n` }),
  );
  await page.goto(demo.dashboard);
  const shown = await eventually("the first proxies are shown", async () => {
    const shown = await rows(page, "Proxies");
    assert.equal(shown.length, 50);
    return shown;
  });
  assert.match(shown[0].Name, /^many-250/);
  assert.match(shown[0].detail, /nothing listens there/);
  assert.match(shown[1].Name, /^many-0/);
  await page.getByRole("button", { name: "Show 250 more proxies" }).click();
  assert.equal((await rows(page, "Proxies")).length, 300);
  assert.equal(await page.getByRole("button").count(), 0);
  await page.close();
});

test("a fleet that the operator has paused is told above everything else, until it goes on", async () => {
  const overview = await demo.overview();
  assert.deepEqual(overview.paused, []);
  assert.equal(await page.locator("#banner").isVisible(), false, "nothing is held back");
  const held = await browser.newPage();
  let paused = ["gateway/silverback-kong-gateway-admin"];
  // An event stream that ends is asked for again: what is told then is what is so then.
  await held.route("**/api/v1/events", (route) =>
    route.fulfill({
      contentType: "text/event-stream",
      body: `retry: 100\ndata: ${JSON.stringify({ ...overview, paused })}\n\n`,
    }),
  );
  await held.goto(demo.dashboard);
  const banner = held.locator("#banner");
  await eventually("the banner says what is paused, and how that ends", async () => {
    assert.equal(await banner.isVisible(), true);
    const text = await banner.innerText();
    for (const part of ["Paused", paused[0], "silverback resume"]) assert.ok(text.includes(part), text);
  });
  const top = async (locator) => (await locator.boundingBox()).y;
  assert.ok((await top(banner)) < (await top(held.getByRole("table", { name: "Proxies", exact: true }))), "it is above");
  assert.deepEqual(await faintTexts(held), []);
  paused = [];
  await eventually("the banner is gone", async () => assert.equal(await banner.isVisible(), false));
  await held.close();
});

test("the page asks nobody but the controller, and breaks no rule of its own policy", async () => {
  const policy = notes.response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  const hosts = new Set(notes.requests.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).host));
  assert.deepEqual([...hosts], [new URL(demo.dashboard).host]);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  assert.deepEqual(notes.errors, []);
  assert.deepEqual(await page.context().cookies(), []);
});

test("the configuration can be looked into, without secrets", async () => {
  const text = await (await fetch(new URL("api/v1/configuration?full=true", demo.dashboard))).text();
  assert.match(text, /web\.localhost/);
  assert.doesNotMatch(text, /PRIVATE KEY/);
});

test("the page says when the controller is away, and goes on when it is back", async () => {
  const restarted = demo.restart();
  await eventually("the page says that it is not live", async () => {
    assert.match(await page.locator("#connection").innerText(), /does not answer/);
  });
  await restarted;
  await eventually("it is live again", async () => {
    assert.equal(await page.locator("#connection").innerText(), "live");
  });
  await commonHash();
  assert.equal(await page.evaluate(() => globalThis.openedOnce), true, "the page was not loaded again");
});
