import { readdirSync } from "node:fs";
import { type EmbeddedPack, embeddedGpuPack, embeddedPack } from "./embedded-pack.ts";
import { librariesOfPackage } from "./native-checkout.ts";
import { fileRole, hostTarget } from "./platform.ts";

/** The pack inside this executable that computes on a GPU, if one does. */
export function embeddedForGpu(): EmbeddedPack | undefined {
  return [embeddedGpuPack, embeddedPack].find((pack) => pack?.header.files.some(({ role }) => role === "gpu"));
}

/** Whether this program brings kernels for a GPU: Metal on a Mac, or an engine that was built in. */
export function hasBuiltInGpu(): boolean {
  if (embeddedPack) return embeddedForGpu() !== undefined;
  const target = hostTarget();
  const names = readdirSync(librariesOfPackage(new URL("../../..", import.meta.url).pathname, target));
  return names.some((name) => fileRole(name, target).kind === "gpu");
}
