import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openPack } from "../../src/inference/llama/pack.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";
import { encodeLicences } from "../../src/licences/licences.ts";
import { bundleConfig } from "../build.ts";
import { cachedPack, packContent } from "../pack.ts";
import { platforms } from "../platforms.ts";
import { gatherLicences } from "./gather.ts";

/** What `blindference licenses` would show if this checkout were built for this machine. */
export async function gatherInCheckout(): Promise<Uint8Array> {
  const root = resolve(import.meta.dir, "..", "..");
  const platform = platforms[hostTarget()];
  const staging = mkdtempSync(join(tmpdir(), "blindference-licences-"));
  try {
    const cpu = cachedPack(
      packContent(platform, root, () => {}),
      join(root, "build", "packs"),
    );
    const { header } = await openPack(cpu);
    const { licences } = await gatherLicences({
      root,
      bundle: bundleConfig({ root, version: "", packs: { cpu, gpu: undefined }, testFaults: false }),
      packages: root,
      runtimePackage: platform.runtimePackage,
      llamaPackage: platform.llamaPackage,
      llamaRelease: header.release,
      systemLibraries: header.files.filter(({ role }) => role === "runtime").map(({ name }) => name),
      gpuPackages: [],
    });
    return encodeLicences(licences);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
