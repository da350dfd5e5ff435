import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { createMetrics } from "../../src/node/metrics.ts";
import { type StatusServer, type StatusServerOptions, startStatusServer } from "../../src/status/server.ts";
import { expectCode } from "../crypto/expect-code.ts";

let server: StatusServer;
let problems: string[];
const metrics = createMetrics();

function start(options: Partial<StatusServerOptions> = {}): StatusServer {
  return startStatusServer({
    host: "127.0.0.1",
    port: 0,
    report: () => ({ ready: problems.length === 0, problems, address: "0x01" }),
    metrics: () => metrics.registry.metrics(),
    ...options,
  });
}

beforeEach(() => {
  problems = [];
  server = start();
});
afterEach(() => server.stop());

async function get(path: string, init: RequestInit = {}) {
  const response = await fetch(server.url + path, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** The status line of a request with exactly these headers. */
function raw(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1", () => socket.write(request));
    socket.once("data", (data) => {
      resolve(data.toString("latin1").split("\r\n", 1)[0]!);
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

describe("health", () => {
  test("/livez answers as long as the process does", async () => {
    problems = ["no model is configured"];
    expect(await get("/livez")).toMatchObject({ status: 200, text: "ok\n" });
  });

  test("/readyz says whether the node can earn, and why not to those who ask", async () => {
    expect(await get("/readyz")).toMatchObject({ status: 200, text: "ok\n" });
    expect(await get("/readyz?verbose")).toMatchObject({ status: 200, text: "ok\n" });
    problems = ["no model is configured", "no valid attestation certificate"];
    expect(await get("/readyz")).toMatchObject({ status: 503, text: "not ready\n" });
    expect(await get("/readyz?verbose")).toMatchObject({
      status: 503,
      text: "no model is configured\nno valid attestation certificate\n",
    });
  });

  test("/status is the whole report as JSON, and not to be kept", async () => {
    problems = ["a problem"];
    const { status, headers, text } = await get("/status");
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({ ready: false, problems: ["a problem"], address: "0x01" });
    expect(headers.get("content-type")).toContain("application/json");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });
});

describe("/metrics", () => {
  test("is Prometheus' text format, every name under our prefix and after its conventions", async () => {
    metrics.jobs.inc({ role: "leader", outcome: "failed", code: 'odd "code"\n\\' });
    metrics.steps.observe({ role: "leader", step: "generate" }, 0.3);
    metrics.certificateExpiry.set(1_750_000_000);
    const { status, headers, text } = await get("/metrics");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toContain("text/plain");
    expect(headers.get("content-type")).toContain("version=0.0.4");
    const samples = parsePrometheus(text);
    expect(samples.length).toBeGreaterThan(15);
    for (const { family, type } of samples) {
      expect(family).toStartWith("blindference_");
      if (type === "counter") expect(family).toEndWith("_total");
      else expect(family).not.toEndWith("_total");
      expect(family).not.toMatch(/_(ms|milliseconds|minutes|kb|megabytes)$/);
    }
    expect(samples).toContainEqual({
      family: "blindference_jobs_total",
      type: "counter",
      name: "blindference_jobs_total",
      labels: { role: "leader", outcome: "failed", code: 'odd "code"\n\\' },
      value: 1,
    });
    const bucket = samples.find(({ name, labels }) => name.endsWith("_bucket") && labels["le"] === "+Inf");
    expect(bucket).toMatchObject({ family: "blindference_job_step_duration_seconds", type: "histogram", value: 1 });
    expect(samples.find(({ name }) => name.includes("certificate_expiry"))?.value).toBe(1_750_000_000);
  });
});

type Sample = { family: string; type: string; name: string; labels: Record<string, string>; value: number };

/** The text format 0.0.4, strictly: every sample belongs to the family whose HELP and TYPE stand above it. */
function parsePrometheus(text: string): Sample[] {
  const samples: Sample[] = [];
  let family = "";
  let type = "";
  expect(text).toEndWith("\n");
  for (const line of text.split("\n").filter(Boolean)) {
    const help = /^# HELP ([a-z_]+) \S.*$/.exec(line);
    const kind = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (help) family = help[1]!;
    else if (kind) {
      expect(kind[1]).toBe(family);
      type = kind[2]!;
    } else {
      const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!sample) throw new Error(`not a sample: ${line}`);
      const labels: Record<string, string> = {};
      for (const [, label, value] of (sample[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g))
        labels[label!] = JSON.parse(`"${value}"`) as string;
      const name = sample[1]!;
      expect(name.replace(type === "histogram" ? /_(bucket|sum|count)$/ : /$^/, "")).toBe(family);
      const value = Number(sample[3]);
      expect(value).not.toBeNaN();
      samples.push({ family, type, name, labels, value });
    }
  }
  return samples;
}

describe("strangers", () => {
  test.each([
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.168.1.5",
    "0.0.0.0",
  ])("the name %s is not ours", async (host) => {
    expect(await raw(`GET /status HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toContain(" 403 ");
  });

  test.each([
    "127.0.0.1",
    "localhost",
    "127.0.0.1:9464",
    "localhost:1",
    "[::1]:9464",
  ])("the name %s is ours", async (host) => {
    expect(await raw(`GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toContain(" 200 ");
  });

  test.each([
    ["GET", "/"],
    ["GET", "/status/"],
    ["GET", "/../config.json"],
    ["POST", "/status"],
    ["DELETE", "/readyz"],
    ["PUT", "/metrics"],
  ])("there is nothing at %s %s", async (method, path) => {
    expect(await get(path, { method })).toMatchObject({ status: 404, text: "not found\n" });
  });

  test("a fault of ours is not described", async () => {
    await server.stop();
    server = start({
      report: () => {
        throw new Error("canary with a stack");
      },
    });
    expect(await get("/status")).toMatchObject({ status: 500, text: "internal error\n" });
  });
});

test("a taken port is an error in words", async () => {
  const port = Number(new URL(server.url).port);
  const error = await expectCode(() => start({ port }), "STATUS_PORT_TAKEN");
  expect(error.message).toContain(`127.0.0.1:${port}`);
  expect(error.hint).toContain("BLF_STATUS_PORT");
});

test("the server is gone after its end", async () => {
  const { url } = server;
  await server.stop();
  await expect(fetch(`${url}/livez`)).rejects.toThrow();
  server = start();
});
