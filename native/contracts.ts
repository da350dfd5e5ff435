/**
 * Compiles the devnet's contracts to the committed artifacts that the executable embeds.
 *
 *   bun native/contracts.ts           writes src/devnet/contracts/artifacts/<Name>.json
 *   bun native/contracts.ts --check   exits 1 when the committed artifacts are not what the sources give
 *
 * The result depends on the sources and the pinned compiler only: source names are relative and the bytecode carries no metadata.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { z } from "zod";

const sourceDirectory = join(import.meta.dir, "../src/devnet/contracts");
const artifactDirectory = join(sourceDirectory, "artifacts");
const moduleDirectory = join(import.meta.dir, "../node_modules");

/** Allowances last until the end of a transaction by design, so the compiler's remark on transient storage (2394) tells nothing new. */
const acceptedWarnings = ["2394"];

const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const code = z.object({ object: z.string() });
const contractSchema = z.object({
  abi: z.array(z.record(z.string(), z.unknown())),
  evm: z.object({ bytecode: code, deployedBytecode: code }),
});
const problemSchema = z.object({ errorCode: z.string().default(""), formattedMessage: z.string() });
const problemsSchema = z.object({ errors: z.array(problemSchema).default([]) });
const outputSchema = z.object({ contracts: z.record(z.string(), z.record(z.string(), contractSchema)) });

type Compiler = {
  compile(input: string, callbacks: { import(path: string): { contents: string } | { error: string } }): string;
};

/** Artifact files by contract name, each with its final text. */
export function compileContracts(): Map<string, string> {
  const files = readdirSync(sourceDirectory).filter((name) => name.endsWith(".sol"));
  const sources = Object.fromEntries(
    files.sort().map((name) => [name, { content: readFileSync(join(sourceDirectory, name), "utf8") }]),
  );
  const compiler = createRequire(import.meta.url)("solc") as Compiler;
  const input = JSON.stringify({ language: "Solidity", sources, settings });
  const output: unknown = JSON.parse(compiler.compile(input, { import: readLibrary }));

  const problems = problemsSchema.parse(output).errors.filter((error) => !acceptedWarnings.includes(error.errorCode));
  if (problems.length > 0) throw new Error(problems.map((problem) => problem.formattedMessage).join("\n"));
  const { contracts } = outputSchema.parse(output);
  const artifacts = new Map<string, string>();
  for (const file of Object.keys(sources))
    for (const [name, contract] of Object.entries(contracts[file] ?? {}))
      if (contract.evm.bytecode.object !== "") artifacts.set(name, artifactText(contract));
  return artifacts;
}

function readLibrary(path: string): { contents: string } | { error: string } {
  const file = join(moduleDirectory, path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `${path} is not installed` };
}

function artifactText(contract: z.infer<typeof contractSchema>): string {
  const artifact = {
    abi: contract.abi,
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
  };
  return `${JSON.stringify(sortKeys(artifact))}\n`;
}

/** The compiler's order of keys is not promised, so it must not reach the file. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, item]) => [name, sortKeys(item)]));
}

/** Names of artifacts that are missing, stale or superfluous. */
function staleArtifacts(artifacts: Map<string, string>): string[] {
  const committed = existsSync(artifactDirectory) ? readdirSync(artifactDirectory) : [];
  const superfluous = committed.filter((name) => !artifacts.has(name.replace(/\.json$/, "")));
  const differing = [...artifacts].flatMap(([name, text]) => {
    const file = join(artifactDirectory, `${name}.json`);
    return existsSync(file) && readFileSync(file, "utf8") === text ? [] : [`${name}.json`];
  });
  return [...superfluous, ...differing].sort();
}

if (import.meta.main) {
  const artifacts = compileContracts();
  const stale = staleArtifacts(artifacts);
  if (process.argv.includes("--check")) {
    if (stale.length > 0) console.error(`Not what the sources give: ${stale.join(", ")}. Run native/contracts.ts.`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    rmSync(artifactDirectory, { recursive: true, force: true });
    mkdirSync(artifactDirectory, { recursive: true });
    for (const [name, text] of artifacts) writeFileSync(join(artifactDirectory, `${name}.json`), text);
    console.error(`${artifacts.size} artifacts written, ${stale.length} changed.`);
  }
}
