import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Devnet } from "../../src/devnet/devnet.ts";
import { createDoctorNode, type DoctorNode, red, startDoctorDevnet } from "./world.ts";

setDefaultTimeout(60_000);

let devnet: Devnet;
let node: DoctorNode;

beforeAll(async () => {
  devnet = await startDoctorDevnet();
  node = await createDoctorNode(devnet);
});

afterAll(async () => {
  await node?.stop();
  await devnet?.stop();
});

test("x", async () => {
  const report = await node.examine();
  console.log(report.ms, report.findings.map((f) => `${f.severity} ${f.id}: ${f.detail}`).join("\n"));
  await node.run();
  const report2 = await node.examine();
  console.log(report2.ms, report2.findings.map((f) => `${f.severity} ${f.id}: ${f.detail}`).join("\n"));
});
