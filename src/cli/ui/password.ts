import { requirePassword, type Secrets } from "../../config/secrets.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { Secret } from "../../lib/secret.ts";
import { readStdinLines } from "./stdin-lines.ts";

export const minimumPasswordLength = 8;

export type PasswordOptions = {
  /** Take the first line of standard input. */
  passwordStdin?: boolean | undefined;
};

/** The keystore's password: from standard input, the environment, or a prompt on the terminal, in this order. */
export async function readPassword(secrets: Secrets, options: PasswordOptions): Promise<Secret<string>> {
  if (options.passwordStdin) return readFirstLine();
  if (secrets.keyPassword || !process.stdin.isTTY) return requirePassword(secrets);
  return prompt("Password of the keystore");
}

/** A password for a new keystore, asked for twice on a terminal. @throws BlfError `PASSWORD_TOO_SHORT`, `PASSWORDS_DIFFER` */
export async function readNewPassword(secrets: Secrets, options: PasswordOptions): Promise<Secret<string>> {
  const interactive = !options.passwordStdin && !secrets.keyPassword && process.stdin.isTTY;
  const password = await readPassword(secrets, options);
  assertLongEnough(password);
  if (interactive) await repeatPassword(password);
  return password;
}

/** Asks for a new password a second time. @throws BlfError `PASSWORDS_DIFFER` */
export async function repeatPassword(password: Secret<string>): Promise<void> {
  if ((await prompt("The same password again")).reveal() === password.reveal()) return;
  throw new BlfError({
    code: "PASSWORDS_DIFFER",
    message: "The two passwords differ",
    hint: "Run the command again.",
    exitCode: exitCodes.usage,
  });
}

/** @throws BlfError `PASSWORD_TOO_SHORT` */
export function assertLongEnough(password: Secret<string>): void {
  if (password.reveal().length >= minimumPasswordLength) return;
  throw new BlfError({
    code: "PASSWORD_TOO_SHORT",
    message: `The password has fewer than ${minimumPasswordLength} characters`,
    hint: "Choose a longer one: it is all that protects the key on this disk.",
    exitCode: exitCodes.usage,
  });
}

/** @throws BlfError `CANCELLED` */
export async function prompt(message: string): Promise<Secret<string>> {
  const { isCancel, password } = await import("@clack/prompts");
  const answer = await password({ message });
  if (isCancel(answer)) throw cancelled();
  return new Secret(answer);
}

export function cancelled(): BlfError {
  return new BlfError({ code: "CANCELLED", message: "Cancelled", hint: "Nothing was changed." });
}

async function readFirstLine(): Promise<Secret<string>> {
  const [line = ""] = await readStdinLines(1);
  if (line !== "") return new Secret(line);
  throw new BlfError({
    code: "PASSWORD_MISSING",
    message: "Standard input holds no password",
    hint: "Pass it as the first line: blindference … --password-stdin < password-file",
    exitCode: exitCodes.authentication,
  });
}
