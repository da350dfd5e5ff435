import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileContracts } from "../../../native/contracts.ts";

const directory = join(import.meta.dir, "../../../src/devnet/contracts/artifacts");

test("the committed artifacts are what the sources compile to, from any directory", () => {
  const home = process.cwd();
  process.chdir(tmpdir());
  const compiled = compileContracts();
  process.chdir(home);
  const committed = new Map(
    readdirSync(directory).map((name) => [name.replace(".json", ""), readFileSync(join(directory, name), "utf8")]),
  );
  expect([...committed.keys()].sort()).toEqual([...compiled.keys()].sort());
  const differing = [...compiled].filter(([name, text]) => committed.get(name) !== text).map(([name]) => name);
  expect(differing).toEqual([]);
}, 120_000);
