declare const BLF_VERSION: string | undefined;

/** The version of package.json, put in by the build. */
export const version = typeof BLF_VERSION === "string" ? BLF_VERSION : "0.0.0-dev";
