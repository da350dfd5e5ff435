import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createTeeAttestor, type TsmFiles } from "../../src/attestation/tee.ts";
import { expectCode } from "../crypto/expect-code.ts";

const root = "/tsm/report";
const nonce = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
const measurement = new Uint8Array(48).fill(0xab);
const reportData = new Uint8Array(64);
reportData.set(nonce);

const systemError = (code: string) => Object.assign(new Error(code), { code });

/** configfs-tsm as the kernel documents it: a directory is a report, its files come and go with it. */
function kernel(
  provider: string,
  makeReport: (inblob: Uint8Array) => Uint8Array,
  options: { otherWriter?: boolean } = {},
) {
  const entries = new Map<string, { inblob?: Uint8Array; generation: number }>();
  const split = (path: string) => ({ directory: path.slice(0, path.lastIndexOf("/")), name: path.split("/").at(-1)! });
  const entryOf = (directory: string) => {
    const entry = entries.get(directory);
    if (!entry) throw systemError("ENOENT");
    return entry;
  };
  const files: TsmFiles = {
    mkdirSync(path) {
      if (split(path).directory !== root) throw systemError("ENOENT");
      entries.set(path, { generation: 0 });
    },
    rmdirSync(path) {
      if (!entries.delete(path)) throw systemError("ENOENT");
    },
    writeFileSync(path, data) {
      const { directory, name } = split(path);
      const entry = entryOf(directory);
      if (name !== "inblob") throw systemError("EACCES");
      if (data.length !== 64) throw systemError("EINVAL");
      entry.inblob = data.slice();
      entry.generation++;
    },
    readFileSync(path) {
      const { directory, name } = split(path);
      const entry = entryOf(directory);
      if (name === "provider") return Buffer.from(`${provider}\n`);
      if (name === "generation") return Buffer.from(`${entry.generation}\n`);
      if (name !== "outblob") throw systemError("EACCES");
      if (!entry.inblob) throw systemError("EINVAL");
      if (options.otherWriter) entry.generation++;
      return makeReport(entry.inblob);
    },
  };
  return { files, entries };
}

function report(length: number, dataOffset: number, measurementOffset: number, version: number) {
  return (inblob: Uint8Array) => {
    const bytes = new Uint8Array(length);
    bytes[0] = version;
    bytes.set(inblob, dataOffset);
    bytes.set(measurement, measurementOffset);
    return bytes;
  };
}

/** AMD SEV-SNP ABI, table "ATTESTATION_REPORT"; Intel TDX DCAP quote format, versions 4 and 5. */
const sevReport = report(1184, 0x50, 0x90, 2);
const tdxReport4 = report(8000, 48 + 520, 48 + 136, 4);
const tdxReport5 = report(8000, 54 + 520, 54 + 136, 5);

describe("confidential VM attestation", () => {
  test.each([
    ["sev", "sev_guest", sevReport],
    ["tdx", "tdx_guest", tdxReport4],
    ["tdx", "tdx_guest", tdxReport5],
  ] as const)("%s: the report is about the nonce, the runtime is its measurement", async (backendType, provider, make) => {
    const { files, entries } = kernel(provider, make);
    const attestor = createTeeAttestor({ backendType, root, files });
    const { quote, runtimeHash } = await attestor.quote({ nonce });
    expect(quote).toBe(Buffer.from(make(reportData)).toString("hex"));
    expect(runtimeHash).toBe(createHash("sha256").update(measurement).digest("hex"));
    expect(attestor.backendType).toBe(backendType);
    expect(entries.size).toBe(0);
  });

  test("a machine of another kind, or none, is said plainly", async () => {
    const { files, entries } = kernel("tdx_guest", tdxReport4);
    const asSev = createTeeAttestor({ backendType: "sev", root, files });
    await expectCode(() => asSev.quote({ nonce }), "ATTESTATION_HARDWARE_MISSING");
    expect(entries.size).toBe(0);
    const elsewhere = createTeeAttestor({ backendType: "tdx", root: "/nowhere", files });
    await expectCode(() => elsewhere.quote({ nonce }), "ATTESTATION_HARDWARE_MISSING");
    const real = createTeeAttestor({ backendType: "tdx", root: "/proc/self/none" });
    await expectCode(() => real.quote({ nonce }), "ATTESTATION_HARDWARE_MISSING");
  });

  test.each([
    ["another nonce", () => sevReport(new Uint8Array(64).fill(9))],
    ["a short report", (inblob: Uint8Array) => sevReport(inblob).slice(0, 0x90)],
    ["an empty report", () => new Uint8Array()],
  ])("%s is not passed on", async (_name, make) => {
    const { files } = kernel("sev_guest", make);
    const attestor = createTeeAttestor({ backendType: "sev", root, files });
    await expectCode(() => attestor.quote({ nonce }), "ATTESTATION_QUOTE_FAILED");
  });

  test("an unknown version, interference and a refusal end with no quote", async () => {
    const unknown = kernel("tdx_guest", report(8000, 568, 184, 3)).files;
    const disturbed = kernel("tdx_guest", tdxReport4, { otherWriter: true }).files;
    const denied = {
      ...disturbed,
      mkdirSync: () => {
        throw systemError("EACCES");
      },
    };
    for (const files of [unknown, disturbed, denied]) {
      const attestor = createTeeAttestor({ backendType: "tdx", root, files });
      await expectCode(() => attestor.quote({ nonce }), "ATTESTATION_QUOTE_FAILED");
    }
  });
});
