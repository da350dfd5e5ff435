import type { Address, Hex } from "viem";
import type { Chain } from "../../src/chain/clients.ts";
import type { Sender, SendRequest } from "../../src/chain/sender.ts";
import { createContentKey, sealText } from "../../src/crypto/blob.ts";
import { commitment } from "../../src/crypto/commitment.ts";
import { splitKey } from "../../src/crypto/key-halves.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import type { PaymentJob, RequesterClient } from "../../src/icl/requester.ts";
import { buildFile, layoutV1 } from "../../src/ipfs/unixfs.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

export const [user, leader, verifierA, verifierB, strangerA, strangerB] = [
  "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
  "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
  "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
  "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
  "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
] as const satisfies Address[];

/** Where a stand-in of the network departs from what it should do. */
export type Lies = {
  /** Of the payment service's job, merged over an honest one. */
  job?: Partial<PaymentJob>;
  /** Answers of the payment service in order, before the honest one. */
  jobs?: (PaymentJob | Error)[];
  /** The text that is really in the output blob. */
  text?: string;
  /** Changes the output blob on its way to the requester. */
  blob?: (blob: Uint8Array) => Uint8Array;
  uploadedCid?: string;
  /** The key that the handles decrypt to. */
  key?: Uint8Array;
  /** How many nodes confirmed the answer, and which one, as the coordinator says. */
  confirmations?: number;
  confirmed?: string | null;
  client?: Partial<RequesterClient>;
};

export const honestAnswer = "  Paris is\n the   capital of France. ";

/** A requester among stand-ins: a quorum that answers every prompt with the same text, lies excepted. */
export async function requesterAmong(lies: Lies = {}) {
  const clock = jumpingClock();
  const outputKey = createContentKey(systemRandom);
  const outputBlob = await sealText(outputKey, lies.text ?? honestAnswer, systemRandom);
  const outputCid = (await buildFile(outputBlob, layoutV1)).toString();
  const completed: PaymentJob = {
    job_id: "550e8400",
    status: "COMPLETED",
    leader_address: leader,
    verifier_addresses: [verifierA, verifierB],
    result_hash: commitment(outputCid, honestAnswer),
    output_cid: outputCid,
    ...lies.job,
  };
  const answers = [...(lies.jobs ?? [])];
  const sent: SendRequest[] = [];
  const uploads: Uint8Array[] = [];
  let polls = 0;
  const client: RequesterClient = {
    quorumPreview: async () => ({ leader, verifiers: [verifierA, verifierB] }),
    uploadPrompt: async (blob) => {
      uploads.push(blob);
      return lies.uploadedCid ?? (await buildFile(blob, layoutV1)).toString();
    },
    submit: async () => ({ job_id: "550e8400" }),
    job: async () => {
      polls++;
      const answer = answers.shift() ?? completed;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    inference: async () => ({
      status: "ACCEPTED",
      commitment_hash: lies.confirmed === undefined ? completed.result_hash : lies.confirmed,
      quorum: { verifier_addresses: [verifierA, verifierB], confirmations: lies.confirmations ?? 3, confidence: 100 },
    }),
    balance: () => Promise.reject(new Error("not asked for")),
    deposit: () => Promise.reject(new Error("not asked for")),
    ...lies.client,
  };
  const sender: Sender = {
    send: async (request) => {
      sent.push(request);
      return { transactionHash: `0x${"ab".repeat(32)}` } as Awaited<ReturnType<Sender["send"]>>;
    },
  };
  const handlesRead: unknown[] = [];
  const readContract = async ({ args }: { args: [Hex] }) => {
    handlesRead.push(args[0]);
    return [11n, 12n];
  };
  const ctx: RequesterContext = {
    address: user,
    client,
    chain: { client: { readContract }, chainId: 31_337, explorer: undefined, pollMs: 1 } as unknown as Chain,
    sender,
    cofhe: {
      encryptKeys: async (keys) =>
        keys.map(({ high, low }) => ({
          high: { ctHash: high, securityZone: 0, utype: 6, signature: "0xaa" },
          low: { ctHash: low, securityZone: 0, utype: 6, signature: "0xbb" },
        })),
      decryptKey: async () => splitKey(lies.key ?? outputKey),
      maxKeysPerProof: 8,
      close: async () => {},
    },
    downloader: { download: async () => lies.blob?.(outputBlob.slice()) ?? outputBlob },
    keyStore: strangerB,
    clock,
    random: systemRandom,
  };
  return { ctx, clock, sent, uploads, handlesRead, outputCid, polls: () => polls };
}
