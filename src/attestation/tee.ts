import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { BlfError, errorCode } from "../lib/errors.ts";
import { type Attestor, hardwareMissing, type QuoteRequest, quoteFailed, sha256Hex } from "./attestation.ts";

/** What is needed of the file system. configfs makes the files of a report when its directory is made. */
export type TsmFiles = {
  mkdirSync(path: string): unknown;
  rmdirSync(path: string): void;
  writeFileSync(path: string, data: Uint8Array): void;
  readFileSync(path: string): Uint8Array;
};

export type TeeOptions = {
  backendType: "sev" | "tdx";
  /** Where the kernel offers reports. */
  root?: string;
  files?: TsmFiles;
};

const reportDataBytes = 64;
const measurementBytes = 48;
const providers = { sev: "sev_guest", tdx: "tdx_guest" } as const;
const names = { sev: "an AMD SEV-SNP guest", tdx: "an Intel TDX guest" } as const;

/**
 * Quotes of a confidential virtual machine through the kernel's configfs-tsm interface (Linux 6.7). The nonce, filled up
 * with zeros, is the report data; the quote is the hex of the report, the runtime hash the SHA-256 of its launch measurement.
 */
export function createTeeAttestor(options: TeeOptions): Attestor {
  const root = options.root ?? "/sys/kernel/config/tsm/report";
  const files: TsmFiles = options.files ?? fs;
  const { backendType } = options;
  return {
    backendType,
    async quote({ nonce, signal }: QuoteRequest) {
      signal?.throwIfAborted();
      const reportData = new Uint8Array(reportDataBytes);
      reportData.set(nonce);
      const report = readReport(files, root, backendType, reportData);
      const measurement = checkReport(backendType, report, reportData);
      return { quote: Buffer.from(report).toString("hex"), runtimeHash: sha256Hex(measurement) };
    },
  };
}

function readReport(files: TsmFiles, root: string, backendType: "sev" | "tdx", reportData: Uint8Array): Uint8Array {
  const entry = join(root, `blindference-${randomBytes(6).toString("hex")}`);
  try {
    files.mkdirSync(entry);
  } catch (error) {
    throw tsmError(error, backendType);
  }
  try {
    const provider = text(files.readFileSync(join(entry, "provider")));
    if (provider !== providers[backendType])
      throw hardwareMissing(
        `This machine is not ${names[backendType]}`,
        "Set attestation_backend to what this machine is: sev, tdx, tpm or mock.",
      );
    files.writeFileSync(join(entry, "inblob"), reportData);
    const generation = text(files.readFileSync(join(entry, "generation")));
    const report = files.readFileSync(join(entry, "outblob"));
    if (text(files.readFileSync(join(entry, "generation"))) !== generation)
      throw quoteFailed("Another process changed the report while it was read", "Run the command again.");
    return report;
  } catch (error) {
    throw error instanceof BlfError ? error : tsmError(error, backendType);
  } finally {
    files.rmdirSync(entry);
  }
}

/** Finds the measurement, and makes sure that the report is about our nonce. */
function checkReport(backendType: "sev" | "tdx", report: Uint8Array, reportData: Uint8Array): Uint8Array {
  const offsets = backendType === "sev" ? { reportData: 0x50, measurement: 0x90 } : tdxOffsets(report);
  const end = Math.max(offsets.reportData + reportDataBytes, offsets.measurement + measurementBytes);
  const echoed = report.subarray(offsets.reportData, offsets.reportData + reportDataBytes);
  if (report.length < end || !Buffer.from(echoed).equals(reportData))
    throw quoteFailed("The hardware's report is not about this challenge", "Update the kernel and the firmware.");
  return report.subarray(offsets.measurement, offsets.measurement + measurementBytes);
}

/** A quote of version 4 has its body after 48 bytes; version 5 puts the body's type and size in between. */
function tdxOffsets(report: Uint8Array): { reportData: number; measurement: number } {
  const version = report[0] ?? 0;
  if (version !== 4 && version !== 5)
    throw quoteFailed(`A TDX quote of version ${version} is not known`, "Update blindference.");
  const body = version === 4 ? 48 : 54;
  return { reportData: body + 520, measurement: body + 136 };
}

function tsmError(error: unknown, backendType: "sev" | "tdx"): BlfError {
  const code = errorCode(error);
  if (code === "EACCES" || code === "EPERM")
    return quoteFailed(
      `This user may not ask the kernel for a report (${code})`,
      "Run as root, or give this user access to /sys/kernel/config/tsm/report.",
      error,
    );
  if (["ENOENT", "ENXIO", "ENODEV", "ENOTDIR"].includes(code))
    return hardwareMissing(
      `The kernel offers no reports of ${names[backendType]}`,
      "Use a confidential virtual machine with Linux 6.7 or newer and configfs mounted, or another attestation_backend.",
    );
  return quoteFailed(`The kernel gave no report (${code})`, "Look at the kernel's log (dmesg) for the reason.", error);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim();
}
