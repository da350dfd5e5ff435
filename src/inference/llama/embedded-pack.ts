import type { PackHeader } from "./pack.ts";

/** A pack of native libraries inside the executable: where it lies, and its head, so that a usual start need not open it. */
export type EmbeddedPack = { path: string; header: PackHeader };

/**
 * The build replaces this module by one that embeds the files; in a checkout there is no pack and the libraries are taken from
 * node_modules.
 */
export const embeddedPack: EmbeddedPack | undefined = undefined;

/** A whole set of libraries for a GPU, in builds that were made with one. */
export const embeddedGpuPack: EmbeddedPack | undefined = undefined;
