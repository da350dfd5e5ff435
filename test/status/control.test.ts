import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemRandom } from "../../src/crypto/random.ts";
import { type ControlServer, startControlServer } from "../../src/status/control.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";

const dir = tempDirectory();
const path = join(dir.path, "control.json");
let server: ControlServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

function start() {
  let drains = 0;
  server = startControlServer({
    path,
    random: systemRandom,
    state: () => ({ draining: drains > 0, running: 2 }),
    drain: () => {
      drains++;
    },
  });
  const { url, token } = JSON.parse(readFileSync(path, "utf8")) as { url: string; token: string };
  const ask = (method: string, authorization?: string, route = "/drain") =>
    fetch(`${url}${route}`, { method, headers: authorization === undefined ? {} : { Authorization: authorization } });
  return { url, token, ask, drains: () => drains };
}

test("whoever has the token of the file may drain the node, and see how far it is", async () => {
  const { token, ask, drains } = start();
  expect(await (await ask("GET", `Bearer ${token}`)).json()).toEqual({ draining: false, running: 2 });
  expect(drains()).toBe(0);
  const answer = await ask("POST", `Bearer ${token}`);
  expect([answer.status, await answer.json(), drains()]).toEqual([202, { draining: true, running: 2 }, 1]);
});

test("nobody else may do or see anything", async () => {
  const { token, ask, drains } = start();
  const wrong = [undefined, "", "Bearer", "Bearer ", token, `bearer ${token}`, `Bearer ${token.slice(0, -1)}`];
  for (const authorization of [...wrong, `Bearer ${token}0`, `Bearer ${"0".repeat(64)}`])
    for (const method of ["GET", "POST", "PUT", "OPTIONS"])
      for (const route of ["/drain", "/", "/nothing"])
        expect((await ask(method, authorization, route)).status).toBe(401);
  expect(drains()).toBe(0);
});

test("the file is this user's alone, goes with the server, and holds another token each time", async () => {
  const first = start();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await server?.stop();
  expect(existsSync(path)).toBe(false);
  const second = start();
  expect(second.token).not.toBe(first.token);
  expect((await second.ask("GET", `Bearer ${first.token}`)).status).toBe(401);
});
