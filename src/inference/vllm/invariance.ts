import type { RandomBytes } from "../../crypto/random.ts";
import type { Objection } from "../http/readiness.ts";

export type InvarianceOptions = {
  /** Answers a prompt with a short text. */
  ask(prompt: string, signal: AbortSignal): Promise<string>;
  random: RandomBytes;
  signal: AbortSignal;
};

/** Other requests that the server works on while it is asked once more. */
const load = 6;
const againAfterMs = 10 * 60_000;

/** Long, because batches that add up in another order show it only in prompts of more than some 150 tokens. */
const text = `The harbour master writes down every ship: its name, where it comes from, how deep it lies in the water, what it carries
and who pays for the pilot. On Monday the Albatross came from Bergen with 40 tons of dried fish, on Tuesday the Two Sisters from
Porto with 310 barrels of wine, of which 12 were broken, and in the night a boat without lights that nobody saw leave. On Wednesday
the wind turned to the north-east and no ship came in; the pilots played cards and the youngest lost his watch. On Thursday three
ships came at once, the largest of them from Riga with timber for the new bridge, and there was a quarrel about who was to unload
first. Today is Friday. Write the harbour master's report to the council: what came in, what is missing, what has to be repaired, and
what you would do about the boat.`;

const others = [
  "List the months of the year in reverse order.",
  "Count from one hundred down to one, in words.",
  "Describe how bread is made, step by step, for somebody who has never seen an oven.",
  `${text}\n\nAnswer in one sentence.`,
];

/**
 * Asks the same cold, warm, and while the server works on other requests. A server whose text depends on that would not agree with other
 * nodes. The prompt begins with a random word, so that the first answer is cold even on a server that keeps what it has read.
 * @returns what speaks against the server, with the setting that mends it; undefined when all texts are equal
 * @throws what `ask` throws
 */
export async function testInvariance({ ask, random, signal }: InvarianceOptions): Promise<Objection | undefined> {
  const nonce = Buffer.from(random(6)).toString("hex");
  const prompt = `Report ${nonce}.\n${text}`;
  const cold = await ask(prompt, signal);
  if (cold !== (await ask(prompt, signal))) return { detail: differs(warmAdvice), againAfterMs };
  const busy = Array.from({ length: load }, (_, index) =>
    ask(`${nonce} ${index}: ${others[index % others.length]}`, signal),
  );
  const amid = await Promise.all([ask(prompt, signal), ask(prompt, signal), ...busy]);
  if (amid[0] !== cold || amid[1] !== cold) return { detail: differs(loadAdvice), againAfterMs };
  return undefined;
}

const warmAdvice =
  "when repeated; start vLLM with --no-enable-prefix-caching and VLLM_BATCH_INVARIANT=1, SGLang with --enable-deterministic-inference --disable-radix-cache";
const loadAdvice =
  "amid other requests; start vLLM with VLLM_BATCH_INVARIANT=1 (or --max-num-seqs 1), SGLang with --enable-deterministic-inference, llama-server with -np 1";

function differs(advice: string): string {
  return `the same prompt gives another text ${advice}`;
}
