import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { homedir } from "node:os";
import { join } from "node:path";
import type { BuildResult } from "../../native/build.ts";
import { nativeParts } from "../../native/licences/parts.ts";
import { lockedHashes } from "../../native/lockfile.ts";
import { sbomOf } from "../../native/sbom.ts";
import { librariesOfPackage } from "../../src/inference/llama/native-checkout.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { buildForHost, hexOf, hostPlatform, lockedPackages, root, sha256Of } from "./checkout.ts";

setDefaultTimeout(120_000);

type Component = {
  type: string;
  "bom-ref": string;
  name: string;
  group?: string;
  version?: string;
  purl?: string;
  hashes?: { alg: string; content: string }[];
  licenses?: object[];
};

type Sbom = {
  bomFormat: string;
  specVersion: string;
  serialNumber: string;
  metadata: { component: Component };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
};

/** Name and version of a package URL of npm or a generic one, by the purl specification's grammar; undefined when it is none. */
function readPurl(purl: string): { type: string; name: string; version: string } | undefined {
  const segment = "(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+";
  const shape = new RegExp(`^pkg:(npm|generic)/((?:${segment}/)?${segment})@(${segment})(?:\\?[a-z]+=${segment})?$`);
  const [, type, name, version] = shape.exec(purl) ?? [];
  return type ? { type, name: decodeURIComponent(name!), version: decodeURIComponent(version!) } : undefined;
}

describe("the SBOM of a real build", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let build: BuildResult;
  let sbom: Sbom;
  const make = (changes: Partial<BuildResult> = {}) =>
    sbomOf({
      version: "1.2.3",
      platform: hostPlatform,
      build: { ...build, ...changes },
      file: "somewhere/blindference",
      hashes: lockedHashes(root),
    }) as Sbom;

  beforeAll(async () => {
    directory = tempDirectory();
    build = await buildForHost(directory.path);
    sbom = make();
  });
  afterAll(() => directory[Symbol.dispose]());

  test("says what it describes, with the hash of the file that lies there", () => {
    expect([sbom.bomFormat, sbom.specVersion]).toEqual(["CycloneDX", "1.6"]);
    const { name, version, hashes } = sbom.metadata.component;
    expect([name, version]).toEqual(["blindference", "1.2.3"]);
    expect(hashes).toEqual([{ alg: "SHA-256", content: sha256Of(build.out) }]);
  });

  test("has exactly the packages whose licences are in the file, with the hashes of bun.lock", async () => {
    const locked = new Map((await lockedPackages()).map(({ id, integrity }) => [id, hexOf(integrity)]));
    const packages = sbom.components.filter(({ purl }) => purl);
    const named = packages.map(({ group, name, version }) => `${group ? `${group}/` : ""}${name}@${version}`);
    const inLicences = build.licences.parts.map(({ name, version }) => `${name}@${version}`);
    expect(named.toSorted()).toEqual(inLicences.filter((id) => locked.has(id)).toSorted());
    for (const [index, { hashes }] of packages.entries())
      expect([named[index], hashes]).toEqual([named[index], [{ alg: "SHA-512", content: locked.get(named[index]!)! }]]);
  });

  test("has a valid package URL for each package, which names it", () => {
    for (const { purl, group, name, version } of [sbom.metadata.component, ...sbom.components]) {
      if (purl === undefined) continue;
      const type = purl === sbom.metadata.component.purl ? "generic" : "npm";
      expect([purl, readPurl(purl)]).toEqual([
        purl,
        { type, name: group ? `${group}/${name}` : name, version: version! },
      ]);
    }
  });

  test("has the native libraries as they lie in llama.cpp's package, and the parts inside", () => {
    const files = sbom.components.filter(({ type }) => type === "file");
    const packed = build.pack.files.map(({ name }) => name);
    expect(files.map(({ name }) => name).toSorted()).toEqual(packed.toSorted());
    const libraries = librariesOfPackage(root, hostPlatform.target);
    for (const { name, hashes } of files.filter(({ licenses }) => !licenses))
      expect([name, hashes]).toEqual([name, [{ alg: "SHA-256", content: sha256Of(join(libraries, name)) }]]);
    const inside = sbom.components.filter(({ type, purl }) => type === "library" && !purl).map(({ name }) => name);
    expect(inside.toSorted()).toEqual(nativeParts.map(({ name }) => name).toSorted());
  });

  test("takes the compiler's libraries for what they are: not llama.cpp's, and under their own licence", () => {
    const runtime = build.pack.files.filter(({ role }) => role === "runtime").map(({ name }) => name);
    if (process.platform === "linux") expect(runtime.length).toBeGreaterThan(0);
    for (const name of runtime) {
      const component = sbom.components.find((one) => one.name === name)!;
      expect(component.licenses).toEqual([{ expression: "GPL-3.0-or-later WITH GCC-exception-3.1" }]);
      expect(component["bom-ref"]).not.toContain("node-llama-cpp");
    }
  });

  test("gives every component a name of its own, and all of them are reached from the executable", () => {
    const top = sbom.metadata.component["bom-ref"];
    const refs = [top, ...sbom.components.map((component) => component["bom-ref"])];
    expect(new Set(refs).size).toBe(refs.length);
    const edges = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    expect(edges.size).toBe(sbom.dependencies.length);
    for (const [ref, dependsOn] of edges) {
      expect([ref, ...dependsOn].filter((one) => !refs.includes(one))).toEqual([]);
      expect(new Set(dependsOn).size).toBe(dependsOn.length);
    }
    const reached = new Set([top]);
    for (const ref of reached) for (const next of edges.get(ref) ?? []) reached.add(next);
    expect(refs.filter((ref) => !reached.has(ref))).toEqual([]);
  });

  test("has a licence for every package and part", () => {
    const without = sbom.components.filter(({ type, licenses }) => type === "library" && !licenses?.length);
    expect(without).toEqual([]);
  });

  test("is the same for the same file and has another number for another, a UUID", () => {
    expect(sbom.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(make()).toEqual(sbom);
    expect(make({ sha256: "0".repeat(64) }).serialNumber).not.toBe(sbom.serialNumber);
  });

  test("knows nothing of this machine", () => {
    const text = JSON.stringify(sbom);
    expect([root, directory.path, homedir()].filter((path) => path.length > 1 && text.includes(path))).toEqual([]);
    // No time either, with which no two would be the same.
    expect(Object.keys(sbom.metadata)).toEqual(["component"]);
  });

  test("is refused for a package that bun.lock does not pin", () => {
    const stray = { name: "stray", version: "1.0.0", licence: "MIT", author: undefined, directory: "" };
    expect(() => make({ packages: [...build.packages, stray] })).toThrow("bun.lock has no stray@1.0.0");
  });
});
