import { createHash } from "node:crypto";
import type { BuildResult } from "./build.ts";
import { gccLicence, nativeParts } from "./licences/parts.ts";
import type { Platform } from "./platforms.ts";

export type SbomOptions = {
  version: string;
  platform: Platform;
  build: BuildResult;
  /** Name of the executable's file in the release. */
  file: string;
  /** SHA-512 in hex by `name@version` (native/lockfile.ts). */
  hashes: Map<string, string>;
};

type Component = {
  type: "application" | "library" | "file";
  "bom-ref": string;
  name: string;
  group?: string;
  version?: string;
  purl?: string;
  scope?: "required";
  hashes?: { alg: "SHA-256" | "SHA-512"; content: string }[];
  licenses?: ({ license: { id: string } } | { license: { name: string } } | { expression: string })[];
  description?: string;
  components?: Component[];
};

/**
 * A CycloneDX 1.6 document of everything in an executable. The same executable gives the same document: there is no time in it, and its
 * serial number comes from the executable's hash.
 * @throws Error for a package that bun.lock does not pin
 */
export function sbomOf(options: SbomOptions): object {
  const { version, platform, build, file, hashes } = options;
  const root = `pkg:generic/blindference@${version}?target=${platform.target}`;
  const packages = build.packages.map((one) => npmComponent(one, hashes));
  const refOf = (name: string) => packages.find((component) => fullName(component) === name)!["bom-ref"];
  const bun = refOf(platform.runtimePackage);
  const llama = refOf(platform.llamaPackage);
  const inside = { bun, "llama.cpp": llama };
  const versions = {
    bun: build.packages.find(({ name }) => name === platform.runtimePackage)!.version,
    "llama.cpp": build.pack.release,
  };
  const parts = nativeParts.map(({ name, licence, of }): Component & { of: string } => ({
    type: "library",
    "bom-ref": `${inside[of]}#${name}`,
    name,
    // The version of what has it: nobody publishes which version of a part that was.
    version: `in ${of} ${versions[of]}`,
    licenses: licenceOf(licence),
    of: inside[of],
  }));
  const libraries = build.pack.files.map(({ name, sha256, role }): Component => {
    const hashes = [{ alg: "SHA-256" as const, content: sha256 }];
    // llama.cpp's package does not have these: they come from the machine that builds.
    if (role === "runtime")
      return { type: "file", "bom-ref": `${root}#${name}`, name, hashes, licenses: licenceOf(gccLicence.licence) };
    return { type: "file", "bom-ref": `${llama}#${name}`, name, hashes };
  });
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(build.sha256)}`,
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": root,
        name: "blindference",
        version,
        purl: root,
        hashes: [{ alg: "SHA-256", content: build.sha256 }],
        licenses: licenceOf("MIT"),
        properties: [
          { name: "blindference:file", value: file },
          { name: "blindference:target", value: platform.target },
          { name: "blindference:llama.cpp", value: build.pack.release },
        ],
      },
    },
    components: [...packages, ...parts.map(({ of: _, ...component }) => component), ...libraries],
    dependencies: [
      { ref: root, dependsOn: packages.map((component) => component["bom-ref"]) },
      { ref: bun, dependsOn: parts.filter(({ of }) => of === bun).map((part) => part["bom-ref"]) },
      {
        ref: llama,
        dependsOn: [...parts.filter(({ of }) => of === llama), ...libraries].map((part) => part["bom-ref"]),
      },
    ],
  };
}

function npmComponent(
  { name, version, licence }: BuildResult["packages"][number],
  hashes: Map<string, string>,
): Component {
  const content = hashes.get(`${name}@${version}`);
  if (!content) throw new Error(`bun.lock has no ${name}@${version}`);
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const [group, short] = name.startsWith("@") ? (name.split("/") as [string, string]) : [undefined, name];
  return {
    type: "library",
    "bom-ref": purl,
    ...(group ? { group } : {}),
    name: short,
    version,
    scope: "required",
    hashes: [{ alg: "SHA-512", content }],
    licenses: licenceOf(licence),
    purl,
  };
}

function fullName({ group, name }: Component): string {
  return group ? `${group}/${name}` : name;
}

function licenceOf(expression: string): NonNullable<Component["licenses"]> {
  return / (OR|AND|WITH) /.test(expression) ? [{ expression }] : [{ license: { id: expression } }];
}

/** A UUID of version 8, made of a hash. */
function uuidOf(sha256: string): string {
  const hex = createHash("sha256").update(`blindference sbom ${sha256}`).digest("hex");
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
