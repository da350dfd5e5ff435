import * as z from "zod/mini";
import { cpuVariants, fileRole, type Target } from "../platform.ts";
import { packInvalid } from "./errors.ts";
import type { GpuEngine } from "./gpu-packages.ts";
import type { PackDescription } from "./pack-directory.ts";

/** A file of a package that goes into the pack. */
export type PackageFile = Pick<PackDescription["files"][number], "name" | "role" | "variant"> & { content: Blob };

export const metadataFile = "_nlcBuildMetadata.json";

const metadataSchema = z.object({
  buildOptions: z.object({
    gpu: z.union([z.string(), z.literal(false)]),
    llamaCpp: z.object({ release: z.string() }),
  }),
});

/** The files of a package that this program uses: of the CPU's kernels, only the pinned variants. */
export function packageFiles(entries: ReadonlyMap<string, Blob>, target: Target): PackageFile[] {
  return [...entries].flatMap(([path, content]): PackageFile[] => {
    const match = /^package\/bins\/[^/]+\/(fallback\/)?([^/]+)$/.exec(path);
    if (!match) return [];
    const [, folder = "", base] = match;
    const role = fileRole(base!, target);
    if (role.kind === "unused") return [];
    const variant = role.kind === "cpu" ? { variant: role.variant } : {};
    return [{ name: `${folder}${base}`, role: role.kind, content, ...variant }];
  });
}

/**
 * Checks that nothing is missing of an engine, and tells the release of llama.cpp that it was built from.
 * @throws BlfError `ENGINE_PACK_INVALID`
 */
export async function releaseOf(files: PackageFile[], engine: GpuEngine, target: Target, name: string) {
  const has = (wanted: Partial<PackageFile>) =>
    files.some((file) => Object.entries(wanted).every(([key, value]) => file[key as keyof PackageFile] === value));
  const isWhole =
    has({ name: "llama-addon.node" }) &&
    has({ role: "gpu" }) &&
    cpuVariants[target].every((variant) => has({ role: "cpu", variant: variant.name }));
  if (!isWhole) throw packInvalid(name, "lacks libraries of llama.cpp");
  const text = await files.find((file) => file.name === metadataFile)?.content.text();
  const metadata = metadataSchema.safeParse(parsed(text));
  if (!metadata.success) throw packInvalid(name, "does not say how it was built");
  const { gpu, llamaCpp } = metadata.data.buildOptions;
  if (gpu !== engine) throw packInvalid(name, `was not built for ${engine}`);
  return llamaCpp.release;
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
