// The dashboard in a real Chromium: what is on the page as a person reads it, and what the page did behind their back.

import { chromium } from "playwright-core";

const QUIET = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts Chromium with a new, empty profile. Root has no sandbox to use. */
export function launch(executablePath) {
  const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, headless: true, args: [...QUIET, ...sandbox] });
}

/** Opens the dashboard and notes all that goes wrong on the page. */
export async function open(browser, url) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const notes = { errors: [], requests: [] };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) notes.errors.push(message.text());
  });
  page.on("pageerror", (error) => notes.errors.push(String(error)));
  page.on("request", (request) => notes.requests.push(request.url()));
  // Told by the browser whenever the page tries what its policy forbids.
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  notes.response = await page.goto(url);
  return { page, notes };
}

/** The rows of a table by their column headers; `detail` is the row below that spans all columns. */
export function rows(page, name) {
  return page.getByRole("table", { name, exact: true }).evaluate((table) => {
    const headers = [...table.tHead.rows[0].cells].map((cell) => cell.innerText.trim());
    const found = [];
    for (const row of table.tBodies[0].rows) {
      if (row.cells.length === 1) found.at(-1).detail = row.innerText;
      else found.push(Object.fromEntries([...row.cells].map((cell, index) => [headers[index], cell.innerText.trim()])));
    }
    return found;
  });
}

/** The texts of the items of the list of problems. */
export function problems(page) {
  return page.getByRole("list", { name: "Problems" }).getByRole("listitem").allInnerTexts();
}

/**
 * Texts whose contrast to their background is below 4.5 : 1 (WCAG 2.2, 1.4.3), with the ratio.
 */
export function faintTexts(page) {
  return page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const channels = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const luminance = (color) => {
      const [red, green, blue] = [...channels(color)].map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const background = (element) => {
      for (let each = element; each; each = each.parentElement) {
        const color = getComputedStyle(each).backgroundColor;
        if (channels(color)[3] === 255) return color;
      }
      return "white";
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
      const lights = [luminance(getComputedStyle(element).color), luminance(background(element))];
      const ratio = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
      if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${texts.currentNode.data.trim()}`);
    }
    return faint;
  });
}
