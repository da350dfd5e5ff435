import { existsSync } from "node:fs";
import type { Config } from "../../config/load.ts";
import { unservedModels } from "../../node/models.ts";
import { formatWei } from "../ui/format.ts";
import type { StatusDocument } from "./document.ts";

/** The lowest balance that pays for a few transactions, in wei of ETH. */
const littleEther = 10n ** 14n;

export type Situation = {
  config: Config;
  /** Unix seconds. */
  now: number;
  /** Whether an upload service is configured, as far as this command can see. */
  canUpload: boolean;
};

/** What the operator should do, the most urgent first, each with the command that does it where there is one. */
export function toDo(status: StatusDocument, { config, now, canUpload }: Situation): string[] {
  const running = status.state !== "not running";
  const list = [...status.problems];
  const add = (condition: unknown, text: string) => {
    if (condition) list.push(text);
  };
  const { stake, balance } = status;

  add(!existsSync(config.keystore_path), `the keystore ${config.keystore_path} is missing: restore it from a backup`);
  add(!running, "the node is not running: blindference run");
  add(
    status.state === "unreported",
    "the daemon cannot be asked: set status_port (BLF_STATUS_PORT) as it was at its start",
  );
  add(!running && status.certificate.expiresAt === null, "no valid attestation certificate: blindference attest");
  add(
    !running && status.models.length === 0,
    "no model is configured: blindference models pull, or blindference models add",
  );
  for (const model of unservedModels(config)) list.push(`model ${model} has no backend here and is not offered`);
  add(
    balance && BigInt(balance.etherWei) < littleEther,
    `the wallet has ${balance && formatWei(BigInt(balance.etherWei))} ETH: send some to ${status.address} for gas`,
  );
  add(status.registered === false, "not registered on chain: blindference attest --register");
  if (stake && !stake.active) {
    const missing = formatWei(BigInt(stake.minStakeWei));
    const poor = balance && BigInt(balance.blindWei) < BigInt(stake.minStakeWei);
    add(poor, `send at least ${missing} BLIND to ${status.address} to stake it`);
    list.push(`nothing is staked, or too little: blindference staking stake ${missing}`);
  }
  add(
    stake && stake.consecutiveFailures > 0,
    `${stake?.consecutiveFailures} of ${stake?.maxConsecutiveFailures} failures in a row before the stake is slashed: read the log`,
  );
  add(
    stake?.withdrawableAt && Date.parse(stake.withdrawableAt) / 1000 <= now,
    "unstaked BLIND can be taken back: blindference staking withdraw",
  );
  add(
    status.live ? status.canLead === false : !canUpload,
    "this node verifies but does not lead: give it an upload service (BLF_IPFS_UPLOAD_JWT)",
  );
  return [...new Set(list)];
}
