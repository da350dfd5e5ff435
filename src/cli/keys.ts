import type { Command } from "commander";
import * as z from "zod/mini";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { Secret } from "../lib/secret.ts";
import { openSession, type Session } from "./session.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import { assertLongEnough, cancelled, prompt, readPassword, repeatPassword } from "./ui/password.ts";
import { readStdinLines } from "./ui/stdin-lines.ts";

type ExportOptions = { json?: boolean; passwordStdin?: boolean; yesIKnow?: boolean };
type ChangeOptions = { json?: boolean; passwordStdin?: boolean; newPasswordStdin?: boolean };

const address = z.string().check(z.regex(/^0x[0-9a-fA-F]{40}$/));

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  "keys address": z.strictObject({ ok: z.literal(true), address, keystore: z.string() }),
  "keys export": z.strictObject({
    ok: z.literal(true),
    address,
    privateKey: z.string().check(z.regex(/^0x[0-9a-f]{64}$/)),
  }),
  "keys change-password": z.strictObject({ ok: z.literal(true), address, keystore: z.string() }),
};

export function register(program: Command): void {
  const keys = program.command("keys").description("The node's key: its address, its export, its password.");
  keys
    .command("address")
    .description("Print the address of the keystore. Needs no password.")
    .option("--json", "print one JSON document")
    .action(showAddress);
  keys
    .command("export")
    .description("Print the private key. Whoever has it has the node's funds and its stake.")
    .option("--yes-i-know", "do not ask for a typed confirmation")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(exportKey);
  keys
    .command("change-password")
    .description("Encrypt the key with another password. The old keystore stays until the new one has been opened.")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--new-password-stdin", "read the new password from standard input: the line after the old one")
    .option("--json", "print one JSON document")
    .action(changePassword);
}

async function showAddress(options: { json?: boolean }): Promise<void> {
  const { config } = openSession();
  const { keystoreAddress } = await import("../wallet/keystore-address.ts");
  const found = keystoreAddress(config.keystore_path) ?? config.node_address;
  if (found === "") throw unnamed(config.keystore_path);
  if (options.json) printJson({ ok: true, address: found, keystore: config.keystore_path });
  else print(found);
}

async function exportKey(options: ExportOptions): Promise<void> {
  const session = openSession();
  if (!options.yesIKnow) await confirmExport(options.json ?? false);
  const password = await readPassword(session.secrets, options);
  const [{ decryptKeystore }, { readKeystore }, { walletFromPrivateKey }] = await Promise.all([
    import("../wallet/keystore.ts"),
    import("../wallet/keystore-file.ts"),
    import("../wallet/wallet.ts"),
  ]);
  const key = await decryptKeystore(readKeystore(session.config.keystore_path), password);
  if (options.json) printJson({ ok: true, address: walletFromPrivateKey(key).address, privateKey: key.reveal() });
  else print(key.reveal());
}

/** @throws BlfError `EXPORT_NOT_CONFIRMED` (usage), `CANCELLED` */
async function confirmExport(json: boolean): Promise<void> {
  if (json || !process.stdin.isTTY || !process.stderr.isTTY)
    throw new BlfError({
      code: "EXPORT_NOT_CONFIRMED",
      message: "The private key is not printed without a confirmation",
      hint: "Pass --yes-i-know, and mind where standard output goes.",
      exitCode: exitCodes.usage,
    });
  const { isCancel, text } = await import("@clack/prompts");
  const message = 'Whoever sees the private key can take all funds. Type "export" to print it';
  const answer = await text({ message, output: process.stderr });
  if (isCancel(answer) || answer !== "export") throw cancelled();
}

async function changePassword(options: ChangeOptions): Promise<void> {
  const session = openSession();
  const path = session.config.keystore_path;
  const [password, newPassword] = await readPasswords(session, options);
  assertLongEnough(newPassword);
  const { changeKeystorePassword } = await import("../wallet/change-password.ts");
  const changed = await changeKeystorePassword({ path, password, newPassword });
  if (options.json) return printJson({ ok: true, address: changed, keystore: path });
  printTable([
    ["address", changed],
    ["keystore", path],
    ["password", "changed; change it too where a service or BLF_KEY_PASSWORD_FILE holds it"],
  ]);
}

/** The old and the new password: from standard input, the environment, or a terminal, each by itself. */
async function readPasswords(session: Session, options: ChangeOptions): Promise<[Secret<string>, Secret<string>]> {
  const { secrets } = session;
  if (!options.newPasswordStdin) {
    const password = await readPassword(secrets, options);
    return [password, secrets.newKeyPassword ?? (await promptNew())];
  }
  const lines = await readStdinLines(options.passwordStdin ? 2 : 1);
  const newLine = lines.pop() ?? "";
  if (options.passwordStdin && lines.length === 0) throw noNewPassword();
  const password = options.passwordStdin ? new Secret(lines[0]!) : await readPassword(secrets, {});
  return [password, new Secret(newLine)];
}

/** @throws BlfError `NEW_PASSWORD_MISSING`, `PASSWORD_TOO_SHORT`, `PASSWORDS_DIFFER`, `CANCELLED` */
async function promptNew(): Promise<Secret<string>> {
  if (!process.stdin.isTTY) throw noNewPassword();
  const password = await prompt("New password");
  assertLongEnough(password);
  await repeatPassword(password);
  return password;
}

function noNewPassword(): BlfError {
  return new BlfError({
    code: "NEW_PASSWORD_MISSING",
    message: "There is no new password, and no terminal to ask for it",
    hint: "Set BLF_NEW_KEY_PASSWORD, or pass --new-password-stdin.",
    exitCode: exitCodes.authentication,
  });
}

function unnamed(path: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_WITHOUT_ADDRESS",
    message: `${path} does not say which address it holds`,
    hint: "Set node_address in config.json, or BLF_NODE_ADDRESS.",
  });
}
