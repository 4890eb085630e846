// Runs `silverback demo` on manifests of its own, and leaves neither process nor file.

import { spawn } from "node:child_process";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The Service of the demo's example upstream. */
export const ECHO_SERVICE = `apiVersion: v1
kind: Service
metadata: {name: echo, namespace: demo}
spec:
  ports:
    - {name: http, port: 80}
`;

/** An Ingress to that Service. */
export const ingress = (name, host, path) => `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ${name}, namespace: demo}
spec:
  ingressClassName: kong
  rules:
    - host: ${host}
      http:
        paths:
          - path: ${path}
            pathType: Prefix
            backend: {service: {name: echo, port: {number: 80}}}
`;

/** The environment without the variables that would change what the program does. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(CONTROLLER_|KONG_|SILVERBACK_|RUST_LOG$|KUBECONFIG$)/.test(name)),
);

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/** The first of `count` ports in a row that are free now, below the range that the kernel hands out. */
async function freePorts(count) {
  for (let first = 21_000 + (process.pid % 200) * 40; first < 32_000; first += count) {
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
  throw new Error(`no ${count} free ports in a row`);
}

export class Demo {
  #processes = [];

  /** Starts it and waits until all proxies are in sync. */
  static async start(program, { proxies, manifests }) {
    const demo = new Demo();
    demo.program = program;
    demo.count = proxies;
    demo.directory = await mkdtemp(join(tmpdir(), "silverback-browser-"));
    for (const [name, content] of Object.entries(manifests)) await demo.write(name, content);
    demo.port = await freePorts(2 * proxies);
    await demo.#run("127.0.0.1:0");
    return demo;
  }

  /** Ends it and starts it again on the same addresses. */
  async restart() {
    const address = new URL(this.dashboard).host;
    await this.#end();
    await this.#run(address);
  }

  async #run(dashboard) {
    const words = ["demo", "--json", "--proxies", this.count, "--port", this.port, "--directory", this.directory];
    const child = spawn(this.program, [...words.map(String), "--dashboard-bind-address", dashboard], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#processes.push(child);
    let errors = "";
    child.stderr.on("data", (data) => (errors = (errors + data).slice(-10_000)));
    const line = await new Promise((resolve, reject) => {
      child.once("error", reject);
      createInterface({ input: child.stdout }).once("line", resolve);
      child.once("close", (code) => reject(new Error(`the demo ended with ${code}:\n${errors}`)));
    });
    const { dashboard: url, proxies } = JSON.parse(line);
    Object.assign(this, { dashboard: url, proxies });
  }

  /** Replaces a manifest as an editor does: beside it, then renamed. */
  async write(name, content) {
    const beside = join(this.directory, `.${name}.new`);
    await writeFile(beside, content);
    await rename(beside, join(this.directory, name));
  }

  remove(name) {
    return rm(join(this.directory, name));
  }

  /** What the dashboard's API says. */
  async api(path) {
    return (await fetch(new URL(`api/v1/${path}`, this.dashboard))).json();
  }

  /** What the dashboard's page is sent. */
  async overview() {
    const stream = (await fetch(new URL("api/v1/events", this.dashboard))).body.pipeThrough(new TextDecoderStream());
    let text = "";
    for await (const piece of stream) {
      text += piece;
      const end = text.indexOf("\n\n");
      if (end >= 0) return JSON.parse(text.slice(0, end).replace(/^data: ?/, ""));
    }
    throw new Error(`the stream ended: ${text}`);
  }

  /** Kills a proxy outright. */
  kill(index) {
    process.kill(this.proxies[index].pid, "SIGKILL");
  }

  /** Starts a proxy again with the command that the demo named. */
  revive(index) {
    const [program, ...words] = this.proxies[index].start;
    this.#processes.push(spawn(program, words, { env: environment, stdio: "ignore" }));
  }

  async stop() {
    await this.#end();
    await rm(this.directory, { recursive: true });
  }

  async #end() {
    const ended = this.#processes.splice(0).map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      const end = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGINT");
      return end;
    });
    await Promise.all(ended);
  }
}
