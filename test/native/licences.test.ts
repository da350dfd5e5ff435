import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type BuildResult, bundleConfig } from "../../native/build.ts";
import { nativeParts } from "../../native/licences/parts.ts";
import { cachedPack, packContent } from "../../native/pack.ts";
import { outputs } from "../../src/cli/licenses.ts";
import { type LicencePart, textOf } from "../../src/licences/licences.ts";
import { document } from "../cli/document.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { buildForHost, hostPlatform, lockedPackages, root } from "./checkout.ts";

setDefaultTimeout(120_000);

/** Packages of binaries, and of Solidity that is compiled into the devnet's contracts: no import of the bundle leads to them. */
const besideBundle = [
  hostPlatform.runtimePackage,
  hostPlatform.llamaPackage,
  "@fhenixprotocol/cofhe-contracts",
  "@openzeppelin/contracts",
];

/** `name@version` and directory of every package with a file in the bundle, by the nearest package.json with both. */
async function packagesOfBundle(): Promise<Map<string, string>> {
  const content = packContent(hostPlatform, root, () => {});
  const packs = { cpu: cachedPack(content, join(root, "build", "packs")), gpu: undefined };
  const bundle = bundleConfig({ root, version: "0.0.0", packs, testFaults: false });
  const { metafile } = await Bun.build({ ...bundle, metafile: true });
  const found = new Map<string, string>();
  for (const { inputs } of Object.values(metafile!.outputs))
    for (const input of Object.keys(inputs)) {
      if (!input.includes("node_modules/")) continue;
      for (let directory = dirname(resolve(input)); ; directory = dirname(directory)) {
        const path = join(directory, "package.json");
        const { name, version } = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
        if (!name || !version) continue;
        found.set(`${name}@${version}`, directory);
        break;
      }
    }
  return found;
}

describe("the licences in a build", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let build: BuildResult;
  let bundled: Map<string, string>;
  let locked: Set<string>;
  const partOf = (id: string) => build.licences.parts.find(({ name, version }) => `${name}@${version}` === id);
  const isPackage = ({ name, version }: LicencePart) => locked.has(`${name}@${version}`);

  beforeAll(async () => {
    directory = tempDirectory();
    build = await buildForHost(directory.path);
    bundled = await packagesOfBundle();
    locked = new Set((await lockedPackages()).map(({ id }) => id));
  });
  afterAll(() => directory[Symbol.dispose]());

  test("name every package that is in the bundle, as bun.lock pins it", () => {
    expect(bundled.size).toBeGreaterThan(50);
    expect([...bundled.keys()].filter((id) => !locked.has(id))).toEqual([]);
    expect([...bundled.keys()].filter((id) => !partOf(id))).toEqual([]);
  });

  test("name no package that is not in the file", () => {
    const ids = build.licences.parts.filter(isPackage).map(({ name, version }) => `${name}@${version}`);
    const others = ids.filter((id) => !bundled.has(id)).map((id) => id.replace(/@[^@]+$/, ""));
    expect(others.toSorted()).toEqual(besideBundle.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("name the packages that the contracts import", () => {
    const contracts = join(root, "src", "devnet", "contracts");
    const sources = readdirSync(contracts).filter((name) => name.endsWith(".sol"));
    const imported = sources.flatMap((name) =>
      [...readFileSync(join(contracts, name), "utf8").matchAll(/from "(@[^/]+\/[^/]+)\//g)].map(([, found]) => found!),
    );
    expect(imported.length).toBeGreaterThan(0);
    const names = build.licences.parts.map(({ name }) => name);
    expect([...new Set(imported)].filter((name) => !names.includes(name))).toEqual([]);
  });

  test("name what is linked into Bun and llama.cpp, and the libraries of the compiler", () => {
    const named = build.licences.parts.filter(({ of }) => of !== undefined).map(({ name }) => name);
    expect(named.toSorted()).toEqual(nativeParts.map(({ name }) => name).toSorted());
    for (const { name } of build.pack.files.filter(({ role }) => role === "runtime")) {
      const part = build.licences.parts.find((one) => one.name === name)!;
      expect(part.licence).toBe("GPL-3.0-or-later WITH GCC-exception-3.1");
      expect(textOf(part, build.licences)).toContain("GCC RUNTIME LIBRARY EXCEPTION");
    }
  });

  test("have a text for each, with nothing left to be filled in, and each text once", () => {
    const { parts, texts } = build.licences;
    for (const part of parts) {
      const text = textOf(part, build.licences);
      expect([part.name, text.trim().length > 200]).toEqual([part.name, true]);
      expect([part.name, /<copyright>|undefined/.exec(text)?.[0]]).toEqual([part.name, undefined]);
      expect([part.name, part.licence.length > 2]).toEqual([part.name, true]);
    }
    expect(new Set(texts).size).toBe(texts.length);
    const used = new Set(parts.flatMap((part) => part.texts));
    expect([...texts.keys()].filter((index) => !used.has(index))).toEqual([]);
  });

  test("give the text that a package brings along, to the letter", () => {
    let compared = 0;
    for (const [id, packageDirectory] of bundled) {
      const file = readdirSync(packageDirectory).find((name) => /^(licen[cs]e)(\.(md|txt))?$/i.test(name));
      if (!file) continue;
      expect(textOf(partOf(id)!, build.licences)).toContain(readFileSync(join(packageDirectory, file), "utf8"));
      compared++;
    }
    expect(compared).toBeGreaterThan(30);
  });

  test("are what the executable prints, wherever it lies, and nothing of this machine's paths is in it", async () => {
    const moved = join(directory.path, "elsewhere", "blindference");
    mkdirSync(dirname(moved));
    renameSync(build.out, moved);
    type Printed = { parts: { name: string; version: string; of: string | null; licence: string; text: string }[] };
    const { parts } = await document<Printed>(["licenses"], { command: [moved] }, outputs, "licenses");
    expect(parts).toEqual(
      build.licences.parts.map(({ name, version, of, licence, texts }) => ({
        name,
        version,
        of: of ?? null,
        licence,
        text: texts.map((index) => build.licences.texts[index]).join("\n\n"),
      })),
    );
    const bytes = readFileSync(moved);
    expect([root, directory.path].filter((path) => bytes.includes(path))).toEqual([]);
  });
});
