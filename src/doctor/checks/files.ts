import { Database, constants as sqlite } from "bun:sqlite";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { configPath } from "../../config/load.ts";
import { errorCode } from "../../lib/errors.ts";
import { keystoreAddress } from "../../wallet/keystore-address.ts";
import { type Check, type Finding, failed, info, notChecked, ok, warning } from "../check.ts";

const otherUsers = 0o077;
const writableByOthers = 0o022;

export const directoryCheck: Check = {
  id: "data-directory",
  title: "data directory",
  needs: "node",
  async run({ config }) {
    const mode = modeOf(config.dir);
    if (mode & otherUsers)
      return [warning(this, `others may enter ${config.dir} (mode ${octal(mode)})`, `chmod 700 ${config.dir}`)];
    if (!isWritable(config.dir))
      return [
        failed(this, `${config.dir} cannot be written`, "Give this user write access to it, and check the disk."),
      ];
    return [ok(this, `${config.dir}, mode ${octal(mode)}`)];
  },
};

export const configFileCheck: Check = {
  id: "config-file",
  title: "config.json",
  needs: "node",
  async run({ config }) {
    const path = configPath(config.dir);
    const mode = modeOf(path);
    const remedy = `chmod 600 ${path}`;
    if (mode & writableByOthers) return [failed(this, `others may change ${path} (mode ${octal(mode)})`, remedy)];
    if (mode & otherUsers) return [warning(this, `others may read ${path} (mode ${octal(mode)})`, remedy)];
    return [ok(this, `mode ${octal(mode)}`)];
  },
};

export const keystoreCheck: Check = {
  id: "keystore",
  title: "keystore",
  needs: "node",
  async run({ config }) {
    const found = keystoreAddress(config.keystore_path);
    const expected = config.node_address;
    if (found === undefined || expected === "") return [ok(this, found ?? "does not say its address")];
    if (found.toLowerCase() === expected.toLowerCase()) return [ok(this, found)];
    const remedy = "Correct node_address or keystore_path.";
    return [failed(this, `it holds ${found}, but the configuration says ${expected}`, remedy)];
  },
};

export const keystoreModeCheck: Check = {
  id: "keystore-mode",
  title: "mode of the keystore",
  needs: "node",
  async run({ config }) {
    const path = config.keystore_path;
    if (!existsSync(path)) return [notChecked(this, "there is no keystore")];
    const mode = modeOf(path);
    if (mode & otherUsers) return [failed(this, `others may read ${path} (mode ${octal(mode)})`, `chmod 600 ${path}`)];
    return [ok(this, `mode ${octal(mode)}`)];
  },
};

export const journalCheck: Check = {
  id: "journal",
  title: "journal",
  needs: "node",
  async run({ config }): Promise<Finding[]> {
    const path = join(config.dir, "journal.db");
    if (!existsSync(path)) return [info(this, "there is none yet")];
    const remedy = `Stop the node, and move ${path} away only if you accept that its open jobs are lost.`;
    let db: Database | undefined;
    try {
      db = openUnchanged(path);
      const row = db.query("PRAGMA quick_check(1)").get() as Record<string, unknown> | null;
      const verdict = Object.values(row ?? {})[0];
      if (verdict === "ok") return [ok(this, "intact")];
      return [failed(this, `${path} is damaged`, remedy)];
    } catch (error) {
      const code = errorCode(error);
      if (/^SQLITE_(BUSY|LOCKED|CANTOPEN)/.test(code)) return [info(this, `in use (${code})`)];
      return [failed(this, `${path} cannot be read (${code})`, remedy)];
    } finally {
      db?.close();
    }
  },
};

/** Opens a database without leaving a trace: with no log beside it nobody writes it, and SQLite needs no files of its own. */
function openUnchanged(path: string): Database {
  if (existsSync(`${path}-wal`)) return new Database(path, { readonly: true });
  const { SQLITE_OPEN_READONLY, SQLITE_OPEN_URI } = sqlite;
  return new Database(`${pathToFileURL(path).href}?immutable=1`, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
