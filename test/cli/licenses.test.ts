import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { outputs } from "../../src/cli/licenses.ts";
import { document } from "./document.ts";
import { errorText, failure } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

// A checkout bundles its sources each time to see what is in there.
setDefaultTimeout(120_000);

type Part = { name: string; version: string; of: string | null; licence: string; text: string };

const root = join(import.meta.dir, "..", "..");

/** The licence file of a package, as npm laid it down. */
const fileOf = (name: string, file = "LICENSE") => readFileSync(join(root, "node_modules", name, file), "utf8").trim();

let parts: Part[];

beforeAll(async () => {
  ({ parts } = await document<{ parts: Part[] }>(["licenses"], {}, outputs, "licenses"));
});

test("--json lists the parts with their texts, by name", () => {
  const partOf = (name: string) => parts.find((part) => part.name === name);
  expect(partOf("viem")).toEqual({
    name: "viem",
    version: JSON.parse(readFileSync(join(root, "node_modules", "viem", "package.json"), "utf8")).version,
    of: null,
    licence: "MIT",
    text: expect.stringContaining(fileOf("viem")),
  });
  expect(partOf("SQLite")).toMatchObject({ of: "Bun", licence: "blessing" });
  expect(partOf("llama.cpp and ggml")).toMatchObject({ of: "llama.cpp", licence: "MIT" });
  expect(parts.filter(({ text }) => text.trim() === "")).toEqual([]);
  const names = parts.map(({ name }) => name.toLowerCase());
  expect(names).toEqual(names.toSorted());
});

test("a list for people has a line for each part, and says where the texts are", async () => {
  const { code, stdout, stderr } = await runCli(["licenses"]);
  expect([code, stderr]).toEqual([0, ""]);
  const [list, footer] = stdout.split("\n\n");
  const lines = list!.split("\n");
  expect(lines).toHaveLength(parts.length + 1);
  for (const [index, { name, version, licence, of }] of parts.entries()) {
    const words = [name, ...(of ? [`in ${of} ${version}`] : version ? [version] : []), licence];
    expect(lines[index + 1]!.trimEnd().split(/ {2,}/)).toEqual(words);
  }
  expect(footer).toContain("licenses --full");
});

test("a name in whatever case prints its text alone, of all its versions", async () => {
  const { code, stdout, stderr } = await runCli(["licenses", "COMMANDER"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain(fileOf("commander"));
  expect(stdout.match(/^={80}\n.*\n={80}$/gm)).toHaveLength(1);

  const twice = parts.find(({ name, version }) => parts.some((one) => one.name === name && one.version !== version))!;
  const same = parts.filter(({ name }) => name === twice.name);
  type Found = { parts: Part[] };
  expect((await document<Found>(["licenses", twice.name], {}, outputs, "licenses")).parts).toEqual(same);
});

test("--full prints the text of every part, each under its name", async () => {
  const { code, stdout } = await runCli(["licenses", "--full"]);
  expect(code).toBe(0);
  const [nothing, ...pieces] = stdout.split(/^={80}\n/m);
  expect([nothing, pieces.length]).toEqual(["", 2 * parts.length]);
  for (const [index, { name, text }] of parts.entries()) {
    expect(pieces[2 * index]!.startsWith(`${name}   `)).toBe(true);
    expect(pieces[2 * index + 1]!.trim()).toBe(text.trim());
  }
});

test("a name that is not there is a mistake of the caller's, with the nearest one to help", async () => {
  expect(await failure(["licenses", "comander"], {})).toBe(
    "2 Nothing in this file has that name [LICENCE_UNKNOWN] | Did you mean commander?",
  );
  expect(errorText(await runCli(["licenses", "nothing-that-is-anywhere-near"]))).toBe(
    "2 Nothing in this file has that name [LICENCE_UNKNOWN] | `blindference licenses` lists all parts.",
  );
});
