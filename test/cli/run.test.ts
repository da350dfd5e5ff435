import { expect, setDefaultTimeout, test } from "bun:test";
import { freePort } from "../helpers/free-port.ts";
import { startDaemonProcess } from "./daemon.ts";
import { address, nodeDirectory } from "./node-directory.ts";
import { interrupt, runOnTerminal } from "./terminal.ts";

setDefaultTimeout(120_000);

test("on a terminal the node introduces itself once, and Ctrl-C ends it in order", async () => {
  using node = nodeDirectory({ mock_model_ids: ["mock-model"] });
  const port = freePort();
  await using terminal = runOnTerminal(["run", "--status-port", String(port), "--log-level", "warn"], {
    env: node.unlocked,
    columns: 80,
  });
  await terminal.see("Ctrl-C finishes the running jobs");
  const text = terminal.text();
  expect(text).not.toContain(" INFO ");
  expect(text.match(/node ready/g)).toHaveLength(1);
  expect(text).toMatch(new RegExp(`^address +${address}`, "m"));
  expect(text).toMatch(/^models +mock-model/m);
  expect(text).toContain(`http://127.0.0.1:${port}/status`);
  expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
  terminal.type(interrupt);
  expect(await terminal.ended).toBe(0);
});

test("without a terminal there is no banner: the log says that the node is ready", async () => {
  using node = nodeDirectory({ mock_model_ids: ["mock-model"] });
  const daemon = await startDaemonProcess(node.unlocked, ["--log-level", "info"]);
  const { code, log, stdout } = await daemon.stop();
  expect([code, stdout]).toEqual([0, ""]);
  const lines = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: string; message: string });
  expect(lines.filter(({ message }) => message === "node ready")).toHaveLength(1);
});
