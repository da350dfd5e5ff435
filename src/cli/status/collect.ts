import type { Config } from "../../config/load.ts";
import type { Secrets } from "../../config/secrets.ts";
import { reportedClass } from "../../inference/llama/determinism-class.ts";
import { systemClock, unixSeconds } from "../../lib/clock.ts";
import { askDaemon, type DaemonReport } from "./daemon.ts";
import type { StatusDocument } from "./document.ts";
import { readFiles } from "./files.ts";
import type { NetworkPart } from "./network.ts";
import { toDo } from "./to-do.ts";

export type CollectOptions = {
  config: Config;
  secrets: Secrets;
  /** Reads this node's files and asks nobody. */
  offline: boolean;
  /** What the network said a moment ago, to be shown again instead of asking. */
  network?: NetworkPart | undefined;
};

/** The report, from the running daemon where there is one, and from files, chain, coordinator and payment service. */
export async function collectStatus(
  options: CollectOptions,
): Promise<{ status: StatusDocument; network: NetworkPart | undefined }> {
  const { config, offline } = options;
  const files = readFiles(config);
  const [report, network] = offline
    ? []
    : await Promise.all([askDaemon(config), options.network ?? readNetwork(config)]);
  const status = withNetwork(report ? withReport(files, report) : files, network);
  const canUpload = config.ipfs_upload_kind === "kubo" ? config.ipfs_upload_url !== "" : hasJwt(options);
  status.toDo = toDo(status, { config, now: unixSeconds(systemClock), canUpload });
  return { status, network };
}

async function readNetwork(config: Config): Promise<NetworkPart> {
  return (await import("./network.ts")).readNetwork(config);
}

function hasJwt({ secrets }: CollectOptions): boolean {
  return secrets.ipfsUploadJwt !== undefined;
}

function withReport(files: StatusDocument, report: DaemonReport): StatusDocument {
  const { version, address, network, chainId, tier, ready, startedAt, problems, certificate, models, canLead } = report;
  return {
    ...files,
    live: true,
    state: ready ? "ready" : "not ready",
    version,
    address,
    network,
    chainId,
    tier,
    ready,
    startedAt,
    problems,
    certificate,
    models: models.map((model) => ({ ...model, ...reportedClass(model.determinismClass) })),
    canLead,
    inFlight: report.running,
    jobs: report.jobs,
    heartbeats: {
      coordinator: report.loops.find(({ name }) => name === "heartbeat")?.lastSuccess ?? null,
      onChain: files.heartbeats.onChain,
    },
  };
}

function withNetwork(status: StatusDocument, network: NetworkPart | undefined): StatusDocument {
  if (!network) return status;
  const { coordinatorHeartbeat, onChainHeartbeat, registered, ...rest } = network;
  return {
    ...status,
    ...rest,
    registered: registered ?? status.registered,
    heartbeats: {
      coordinator: status.heartbeats.coordinator ?? coordinatorHeartbeat,
      onChain: onChainHeartbeat ?? status.heartbeats.onChain,
    },
  };
}
