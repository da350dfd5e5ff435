import { beforeAll, describe, expect, test } from "bun:test";
import { createDownloader } from "../../src/ipfs/download.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { createPrng } from "../sim/prng.ts";
import type { Chance, Corruption, Lie } from "./byte-corruptions.ts";
import { corruptions } from "./corruptions.ts";
import { honestReplies, type Reply } from "./honest-replies.ts";
import { silentLog } from "./support.ts";

const total = 10_000;
/** Another seed lies otherwise: SEED=7 bun test test/ipfs/corrupted-replies.test.ts. */
const seed = process.env["SEED"] ?? "1";

type Outcome = "the file" | "other bytes" | "refused";

/** Gives the outcome of one download from a gateway that answers this, and how often it did. */
async function downloadOf({ cid, file }: Reply, { body, headers }: Lie) {
  let served = 0;
  const { download } = createDownloader({
    gateways: ["https://gateway.example"],
    log: silentLog,
    maxBytes: 64 * 1024,
    fetch: async () => {
      served++;
      return new Response(body.slice() as Uint8Array<ArrayBuffer>, { headers });
    },
  });
  const outcome = await download(cid).then(
    (bytes): Outcome => (Buffer.from(bytes).equals(file) ? "the file" : "other bytes"),
    (error: unknown): Outcome => {
      if (error instanceof BlfError && error.code === "IPFS_UNAVAILABLE") return "refused";
      throw error;
    },
  );
  return { outcome, served };
}

function sameReply(a: Lie, b: Lie): boolean {
  return Buffer.from(a.body).equals(b.body) && a.headers["Content-Type"] === b.headers["Content-Type"];
}

describe("10,000 corrupted replies of a gateway", () => {
  let replies: Reply[];
  const seen = new Map<string, number>();
  const counts = { served: 0, refused: 0, "the file": 0, "other bytes": 0 };
  const surprises: string[] = [];

  beforeAll(async () => {
    replies = await honestReplies();
    const prng = createPrng(`corrupted replies/${seed}`);
    const fitting = new Map(replies.map((reply) => [reply, corruptions.filter(({ fits }) => fits(reply))]));
    const take = (reply: Reply): [Corruption, Lie] => {
      for (;;) {
        const corruption = prng.pick(fitting.get(reply)!);
        const lie = corruption.apply(reply, prng, replies);
        // Now and then a change changes nothing: zeros over zeros.
        if (!sameReply(lie, reply)) return [corruption, lie];
      }
    };
    for (let index = 0; index < total; index++) {
      const reply = replies[index % replies.length]!;
      const [corruption, lie] = take(reply);
      const { outcome, served } = await downloadOf(reply, lie);
      counts.served += served;
      counts[outcome]++;
      seen.set(corruption.name, (seen.get(corruption.name) ?? 0) + 1);
      const allowed: Record<Chance, Outcome[]> = {
        never: ["refused"],
        always: ["the file"],
        maybe: ["refused", "the file"],
      };
      const chance = corruption.chance(reply);
      if (!allowed[chance].includes(outcome))
        surprises.push(`#${index} of SEED=${seed}: ${reply.name}, ${corruption.name}: ${outcome}`);
    }
  });

  test("were all served, of every kind and form", () => {
    expect(counts.served).toBe(total);
    expect(corruptions.filter(({ name }) => (seen.get(name) ?? 0) < 20).map(({ name }) => name)).toEqual([]);
  });

  test("none was taken for the file unless the very bytes of the file came out of it", () => {
    expect(surprises).toEqual([]);
    expect(counts["other bytes"]).toBe(0);
    expect(counts.refused + counts["the file"]).toBe(total);
  });

  test("most were refused, and archives with something on top were not", () => {
    expect(counts.refused).toBeGreaterThan(total / 2);
    expect(counts["the file"]).toBeGreaterThan(100);
  });

  test("the true replies are taken", async () => {
    for (const reply of replies)
      expect([reply.name, await downloadOf(reply, reply)]).toEqual([reply.name, { outcome: "the file", served: 1 }]);
  });
});
