import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { gatherLicences } from "../../native/licences/gather.ts";
import { decodeLicences, encodeLicences, textOf } from "../../src/licences/licences.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { writeFiles } from "./checkout.ts";

/** Long enough to be a licence and not a hint at one. */
const licenceText = (name: string) => `The licence of ${name}. ${"Permission is granted. ".repeat(30)}`;

const always = ["the-runtime", "the-llama", "@openzeppelin/contracts", "@fhenixprotocol/cofhe-contracts"];

describe("gatherLicences", () => {
  let directory: ReturnType<typeof tempDirectory>;
  beforeEach(() => {
    directory = tempDirectory();
    for (const name of always) install(name, { license: "MIT" });
  });
  afterEach(() => directory[Symbol.dispose]());

  function install(name: string, manifest: object, files: Record<string, string> = {}, version = "1.0.0") {
    const place = `node_modules/${name}`;
    writeFiles(directory.path, {
      [`${place}/package.json`]: { name, version, main: "index.js", ...manifest },
      [`${place}/index.js`]: `export const name = ${JSON.stringify(name)};`,
      ...Object.fromEntries(Object.entries(files).map(([file, text]) => [`${place}/${file}`, text])),
    });
  }

  /** Bundles a program that imports these packages, and gathers. */
  async function gather(imports: string[], options: Partial<Parameters<typeof gatherLicences>[0]> = {}) {
    const lines = imports.map((name, index) => `import { name as n${index} } from "${name}"; console.log(n${index});`);
    writeFiles(directory.path, { "main.ts": lines.join("\n") });
    const { licences, packages } = await gatherLicences({
      root: directory.path,
      bundle: { entrypoints: [join(directory.path, "main.ts")], target: "bun" },
      packages: directory.path,
      runtimePackage: "the-runtime",
      llamaPackage: "the-llama",
      llamaRelease: "b1234",
      systemLibraries: [],
      gpuPackages: [],
      ...options,
    });
    const part = (name: string) => licences.parts.find((one) => one.name === name);
    return { licences, packages, part, text: (name: string) => textOf(part(name)!, licences) };
  }

  test("takes what is imported and not what only lies there", async () => {
    install("used", { license: "MIT" });
    install("idle", { license: "MIT" });
    install("@scope/used", { license: "ISC" }, { LICENSE: licenceText("the scope") }, "2.0.0");
    const { part, packages } = await gather(["used", "@scope/used"]);
    expect(part("@scope/used")).toMatchObject({ version: "2.0.0", licence: "ISC" });
    expect(part("idle")).toBeUndefined();
    expect(packages.map(({ name }) => name).toSorted()).toEqual([...always, "@scope/used", "used"].toSorted());
  });

  test("takes two versions of a package for two parts", async () => {
    install("twice", { license: "MIT" });
    install("parent", { license: "MIT" }, { "index.js": `export { name } from "twice";` });
    install("parent/node_modules/twice", { name: "twice", license: "MIT" }, {}, "2.0.0");
    const { licences } = await gather(["twice", "parent"]);
    const versions = licences.parts.filter(({ name }) => name === "twice").map(({ version }) => version);
    expect(versions).toEqual(["1.0.0", "2.0.0"]);
  });

  test("gives all licence files of a package, and shared ones once", async () => {
    const own = { LICENSE: licenceText("one"), "NOTICE.txt": "Built with love.", "README.md": "not a licence" };
    install("one", { license: "Apache-2.0" }, own);
    install("two", { license: "MIT" }, { "license.md": licenceText("one") });
    const { text, part } = await gather(["one", "two"]);
    expect(text("one")).toBe(`${licenceText("one")}\n\nBuilt with love.`);
    expect(part("two")!.texts).toEqual([part("one")!.texts[0]!]);
  });

  test("says so where a package has no text, and gives the common one with its author", async () => {
    install("silent", { license: "(MIT OR Apache-2.0)", author: { name: "Ada $& Lovelace" } });
    install("pointer", { license: "ISC", author: "Bo <bo@example.org>" }, { LICENSE: "See the web." });
    const { text } = await gather(["silent", "pointer"]);
    expect(text("silent")).toStartWith("silent comes without the text of its licence");
    expect(text("silent")).toContain("Copyright (c) Ada $& Lovelace\n");
    for (const words of ["Permission is hereby granted", "Apache License"]) expect(text("silent")).toContain(words);
    expect(text("pointer")).toContain("See the web.");
    expect(text("pointer")).toContain("Copyright (c) Bo <bo@example.org>");
  });

  test("fails for a package without a licence, and for one whose text nobody has", async () => {
    install("nameless", {});
    await expect(gather(["nameless"])).rejects.toThrow("nameless does not say what its licence is");
    install("strange", { license: "Strange-1.0" });
    await expect(gather(["strange"])).rejects.toThrow("Strange-1.0");
  });

  test("fails when the sources do not bundle", async () => {
    writeFiles(directory.path, { "broken.ts": `import "not-installed-anywhere";` });
    const bundle = { entrypoints: [join(directory.path, "broken.ts")], target: "bun" as const, throw: false };
    await expect(gather([], { bundle })).rejects.toThrow("the sources do not bundle");
  });

  test("names the libraries of a compiler and of a GPU", async () => {
    const cuda = { name: "@node-llama-cpp/linux-x64-cuda", version: "9.9.9" } as never;
    const { part, text } = await gather([], { systemLibraries: ["libstdc++.so.6"], gpuPackages: [cuda] });
    expect(text("libstdc++.so.6")).toContain("GNU GENERAL PUBLIC LICENSE");
    expect(part("@node-llama-cpp/linux-x64-cuda")).toMatchObject({ version: "9.9.9" });
    expect(text("@node-llama-cpp/linux-x64-cuda")).toContain("NVIDIA");
  });

  test("what is gathered comes back as it was from its packed form", async () => {
    const { licences } = await gather([]);
    const packed = encodeLicences(licences);
    expect(decodeLicences(packed as Uint8Array<ArrayBuffer>)).toEqual(licences);
    expect(encodeLicences(structuredClone(licences))).toEqual(packed);
  });
});
