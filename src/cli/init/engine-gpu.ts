import { readdirSync } from "node:fs";
import { embeddedPack } from "../../inference/llama/embedded-pack.ts";
import { librariesOfPackage } from "../../inference/llama/native-checkout.ts";
import { fileRole, hostTarget } from "../../inference/llama/platform.ts";

/** Whether this build of llama.cpp brings kernels for a GPU. Without them a GPU only serves through vLLM. */
export function engineHasGpu(): boolean {
  try {
    if (embeddedPack) return embeddedPack.header.files.some(({ role }) => role === "gpu");
    const target = hostTarget();
    const names = readdirSync(librariesOfPackage(new URL("../../..", import.meta.url).pathname, target));
    return names.some((name) => fileRole(name, target).kind === "gpu");
  } catch {
    // A platform without llama.cpp at all has none for its GPU either.
    return false;
  }
}
