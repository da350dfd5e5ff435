import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../config/load.ts";
import { reportedClass } from "../../inference/llama/determinism-class.ts";
import { systemClock, unixSeconds } from "../../lib/clock.ts";
import { errorCode } from "../../lib/errors.ts";
import { version } from "../../lib/version.ts";
import { millisecondsFact } from "../../node/journal/facts.ts";
import { openJournal } from "../../node/journal/journal.ts";
import { offeredModels } from "../../node/models.ts";
import { journalPath } from "../session.ts";
import type { StatusDocument } from "./document.ts";

/** What the node's own files say. @throws BlfError `JOURNAL_*` */
export function readFiles(config: Config): StatusDocument {
  const expiry = config.attestation_expiry;
  const valid = expiry > unixSeconds(systemClock);
  const { jobs, onChainHeartbeat } = readJournal(config);
  return {
    ok: true,
    live: false,
    state: isHeld(config.dir) ? "unreported" : "not running",
    version,
    address: config.node_address,
    network: config.network,
    chainId: config.chain_id,
    tier: config.tier,
    ready: false,
    startedAt: null,
    problems: [],
    toDo: [],
    certificate: {
      hash: config.attestation_cert_hash,
      expiresAt: valid ? new Date(expiry * 1000).toISOString() : null,
    },
    models: offeredModels(config).map((id) => ({ id, backend: null, health: null, ...reportedClass(null) })),
    canLead: null,
    inFlight: [],
    jobs,
    heartbeats: { coordinator: null, onChain: onChainHeartbeat },
    registered: config.registered_on_chain || null,
    stake: null,
    balance: null,
    earnings: null,
    reputation: null,
    unanswered: [],
  };
}

function readJournal(config: Config): { jobs: Record<string, number>; onChainHeartbeat: string | null } {
  const path = journalPath(config);
  if (!existsSync(path)) return { jobs: {}, onChainHeartbeat: null };
  const journal = openJournal(path, systemClock);
  try {
    const heartbeat = millisecondsFact(journal, "last-on-chain-heartbeat");
    return {
      jobs: journal.countByState(),
      onChainHeartbeat: heartbeat > 0 ? new Date(heartbeat).toISOString() : null,
    };
  } finally {
    journal.close();
  }
}

/** Whether a daemon holds the data directory's lock (src/node/lock.ts). Looks at it without taking it. */
function isHeld(dir: string): boolean {
  const path = join(dir, "node.lock");
  if (!existsSync(path)) return false;
  let db: Database | undefined;
  try {
    db = new Database(path, { readonly: true });
    db.query("SELECT count(*) FROM sqlite_schema").get();
    return false;
  } catch (error) {
    return /^SQLITE_(BUSY|LOCKED)/.test(errorCode(error));
  } finally {
    db?.close();
  }
}
