import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attestor, hardwareMissing, type QuoteRequest, quoteFailed, sha256Hex } from "./attestation.ts";

export type TpmOptions = {
  /** Where the tpm2-tools are looked for, as in PATH. */
  toolPath?: string;
  /** Device files, one of which must exist. */
  devices?: string[];
  /** For each command, in milliseconds: making a key can take a while on a discrete TPM. */
  timeoutMs?: number;
};

/** The boot measurements: firmware, its options, boot loader and secure boot state. */
const registers = "sha256:0,1,2,3,4,5,6,7";
const tools = ["tpm2_createek", "tpm2_createak", "tpm2_quote", "tpm2_checkquote"] as const;

/**
 * Quotes of a TPM 2.0 through tpm2-tools. The quote is the hex of a JSON object `{message, signature, pcrs, publicKey}`
 * (TPMS_ATTEST, TPMT_SIGNATURE and register values in hex, the attestation key as PEM); the runtime hash is the SHA-256 of
 * the register values.
 */
export function createTpmAttestor(options: TpmOptions = {}): Attestor {
  const path = options.toolPath ?? process.env["PATH"] ?? "/usr/bin";
  const devices = options.devices ?? ["/dev/tpmrm0", "/dev/tpm0"];
  return {
    backendType: "tpm",
    async quote({ nonce, signal }: QuoteRequest) {
      if (!devices.some((device) => existsSync(device)))
        throw hardwareMissing(
          "This machine has no TPM 2.0",
          "Enable the TPM in the firmware, or use the mock attestation.",
        );
      const directory = mkdtempSync(join(tmpdir(), "blindference-tpm-"));
      try {
        const run = createRunner({ path, directory, timeoutMs: options.timeoutMs ?? 60_000, signal });
        const files = await makeQuote(run, Buffer.from(nonce).toString("hex"), directory);
        const quote = {
          message: files.message.toString("hex"),
          signature: files.signature.toString("hex"),
          pcrs: files.pcrs.toString("hex"),
          publicKey: files.publicKey.toString("utf8"),
        };
        return { quote: Buffer.from(JSON.stringify(quote)).toString("hex"), runtimeHash: sha256Hex(files.pcrs) };
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}

type Run = (tool: (typeof tools)[number], arguments_: string[]) => Promise<void>;

async function makeQuote(run: Run, nonce: string, directory: string) {
  const algorithms = ["-G", "ecc", "-g", "sha256"];
  await run("tpm2_createek", ["-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub"]);
  await run("tpm2_createak", [
    "-C",
    "ek.ctx",
    "-c",
    "ak.ctx",
    ...algorithms,
    "-s",
    "ecdsa",
    "-u",
    "ak.pem",
    "-f",
    "pem",
  ]);
  const quoted = ["-m", "quote.msg", "-s", "quote.sig"];
  await run("tpm2_quote", [
    "-c",
    "ak.ctx",
    "-l",
    registers,
    "-q",
    nonce,
    ...quoted,
    "-o",
    "quote.pcrs",
    "-g",
    "sha256",
  ]);
  await run("tpm2_checkquote", ["-u", "ak.pem", ...quoted, "-f", "quote.pcrs", "-g", "sha256", "-q", nonce]);
  const read = (name: string) => readOutput(join(directory, name));
  return {
    message: read("quote.msg"),
    signature: read("quote.sig"),
    pcrs: read("quote.pcrs"),
    publicKey: read("ak.pem"),
  };
}

function readOutput(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw quoteFailed("The TPM tools made no quote", "Update tpm2-tools to version 5 or newer.", error);
  }
}

function createRunner(context: {
  path: string;
  directory: string;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}): Run {
  return async (tool, arguments_) => {
    context.signal?.throwIfAborted();
    const command = Bun.which(tool, { PATH: context.path });
    if (command === null) throw hardwareMissing(`${tool} is not installed`, "Install tpm2-tools (version 5 or newer).");
    const child = Bun.spawn([command, ...arguments_], {
      cwd: context.directory,
      env: { PATH: context.path },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      timeout: context.timeoutMs,
      killSignal: "SIGKILL",
      ...(context.signal ? { signal: context.signal } : {}),
    });
    const exitCode = await child.exited;
    context.signal?.throwIfAborted();
    if (exitCode !== 0)
      throw quoteFailed(
        `${tool} failed (${child.signalCode ?? `exit code ${exitCode}`})`,
        "Check that this user may use the TPM (group tss) and that `tpm2_getcap properties-fixed` works.",
      );
  };
}
