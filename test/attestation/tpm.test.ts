import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTpmAttestor } from "../../src/attestation/tpm.ts";
import { expectCode } from "../crypto/expect-code.ts";

const root = mkdtempSync(join(tmpdir(), "blf-tpm-"));
const nonce = Uint8Array.from({ length: 32 }, (_, index) => index);
let next = 0;

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The four programs as far as their command lines and files go: each writes what its options name, and logs its call. */
const standIns: Record<string, string> = {
  tpm2_createek: `echo ek > "$c"; echo ekpub > "$u"`,
  tpm2_createak: `[ -f "$C" ] || exit 1; echo ak > "$c"; echo "-----BEGIN PUBLIC KEY-----" > "$u"`,
  tpm2_quote: `[ -f "$c" ] || exit 1; printf 'attest:%s' "$q" > "$m"; printf signature > "$s"; printf registers > "$o"`,
  tpm2_checkquote: `[ "$(while read -r line || [ -n "$line" ]; do echo "$line"; done < "$m")" = "attest:$q" ] || exit 1`,
};

function installStandIns(changes: Record<string, string | undefined> = {}) {
  const toolPath = join(root, `tools-${next++}`);
  mkdirSync(toolPath);
  const log = join(toolPath, "log");
  for (const [name, body] of Object.entries({ ...standIns, ...changes })) {
    if (body === undefined) continue;
    const options = `while getopts "c:C:G:g:s:u:f:l:q:m:o:" name; do eval "$name=\\$OPTARG"; done`;
    const path = join(toolPath, name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> '${log}'\n${options}\n${body}\n`);
    chmodSync(path, 0o755);
  }
  const device = join(toolPath, "tpmrm0");
  writeFileSync(device, "");
  return { toolPath, devices: [device], log };
}

describe("TPM attestation", () => {
  test("quotes the nonce with a fresh key and checks the quote", async () => {
    const tools = installStandIns();
    const attestor = createTpmAttestor(tools);
    const { quote, runtimeHash } = await attestor.quote({ nonce });
    const hex = (text: string) => Buffer.from(text).toString("hex");
    expect(JSON.parse(Buffer.from(quote, "hex").toString())).toEqual({
      message: hex(`attest:${Buffer.from(nonce).toString("hex")}`),
      signature: hex("signature"),
      pcrs: hex("registers"),
      publicKey: "-----BEGIN PUBLIC KEY-----\n",
    });
    expect(runtimeHash).toBe(createHash("sha256").update("registers").digest("hex"));
    const calls = readFileSync(tools.log, "utf8").trim().split("\n");
    expect(calls.map((call) => call.split(" ")[0]!)).toEqual(Object.keys(standIns));
    expect(calls[2]).toContain("-l sha256:0,1,2,3,4,5,6,7");
    expect(attestor.backendType).toBe("tpm");
  });

  test("without a device, or without the tools, the hardware is missing", async () => {
    const withoutDevice = createTpmAttestor({ ...installStandIns(), devices: [join(root, "none")] });
    await expectCode(() => withoutDevice.quote({ nonce }), "ATTESTATION_HARDWARE_MISSING");
    const withoutTools = createTpmAttestor(installStandIns({ tpm2_quote: undefined }));
    await expectCode(() => withoutTools.quote({ nonce }), "ATTESTATION_HARDWARE_MISSING");
  });

  test.each([
    { tpm2_createek: "exit 1" },
    { tpm2_checkquote: "exit 1" },
    { tpm2_quote: "exit 0", tpm2_checkquote: "exit 0" },
    { tpm2_quote: "kill -9 $$" },
  ])("a tool that fails, or makes nothing, gives no quote: %o", async (changes) => {
    await expectCode(() => createTpmAttestor(installStandIns(changes)).quote({ nonce }), "ATTESTATION_QUOTE_FAILED");
  });

  test("a tool that hangs is stopped", async () => {
    const tools = installStandIns({ tpm2_createak: "while :; do :; done" });
    await expectCode(
      () => createTpmAttestor({ ...tools, timeoutMs: 200 }).quote({ nonce }),
      "ATTESTATION_QUOTE_FAILED",
    );
    const aborting = createTpmAttestor(tools).quote({ nonce, signal: AbortSignal.timeout(200) });
    await expect(aborting).rejects.toMatchObject({ name: "TimeoutError" });
  });
});
