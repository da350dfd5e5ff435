import type { DefineBackend } from "./sdk-types.ts";

/** The name under which a module finds what this program offers to it. */
export const sdkModule = "blindference";

const defineBackend: DefineBackend = (backend) => backend;

/** What `import … from "blindference"` gives to a backend module, in this process. */
export function offerSdk(): void {
  Bun.plugin({
    name: sdkModule,
    setup: (build) => {
      build.module(sdkModule, () => ({ exports: { defineBackend }, loader: "object" }));
    },
  });
}

/**
 * The types of a custom backend as a declaration file. They are the very text that this program is checked against, so they cannot say
 * something else than it does.
 */
export async function sdkDeclarations(version: string): Promise<string> {
  const { default: types } = (await import("./sdk-types.ts", { with: { type: "text" } })) as unknown as {
    default: string;
  };
  const body = types
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${line}`));
  return [
    `// What a custom backend of blindference ${version} is. Written by \`blindference models sdk\`.`,
    `declare module "${sdkModule}" {`,
    ...body,
    "",
    "  export const defineBackend: DefineBackend;",
    "}",
    "",
  ].join("\n");
}
