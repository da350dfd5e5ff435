import type { Fingerprint, Proof } from "./fingerprint.ts";

/** Something in which two machines differ. */
export type Difference = {
  /** `class`: one part of the determinism class. The others: what the machines really computed. */
  kind: "class" | "prompt" | "tokens" | "logits" | "text";
  /** One line: which part, and both values. */
  detail: string;
};

export type Agreement = {
  /** Nothing differs, in the class or in what was computed. */
  agrees: boolean;
  /** Whether all that both computed is equal, whatever the classes say. */
  answersEqual: boolean;
  /** Prompts that both answered. */
  compared: number;
  differences: Difference[];
};

/** Whether this machine would agree with the one that wrote the other fingerprint, and in what it would not. */
export function compareFingerprints(theirs: Fingerprint, ours: Fingerprint): Agreement {
  const classes = theirs.class === ours.class ? [] : classDifferences(theirs.class, ours.class);
  if (theirs.modelSha256 !== ours.modelSha256 && !classes.some(({ detail }) => detail.startsWith("model file")))
    classes.push(differing("model file", theirs.modelSha256 ?? "none", ours.modelSha256 ?? "none"));
  const answers: Difference[] = [];
  let compared = 0;
  for (const proof of ours.proofs) {
    const other = theirs.proofs.find(({ name, level }) => name === proof.name && level === proof.level);
    if (!other) continue;
    compared++;
    const difference = answerDifference(other, proof);
    if (difference) answers.push(difference);
  }
  const missing = Math.max(theirs.proofs.length, ours.proofs.length) - compared;
  if (missing > 0) answers.push({ kind: "prompt", detail: `${missing} prompts were answered by one of the two only` });
  const differences = [...classes, ...answers];
  return {
    agrees: differences.length === 0,
    answersEqual: answers.length === 0 && compared > 0,
    compared,
    differences,
  };
}

function answerDifference(theirs: Proof, ours: Proof): Difference | undefined {
  const { name } = ours;
  if (theirs.promptSha256 !== ours.promptSha256)
    return { kind: "prompt", detail: `${name}: the prompt itself is another, as the models cut text differently` };
  if (theirs.level === "text" || ours.level === "text") {
    const isEqual = theirs.level === "text" && ours.level === "text" && theirs.textSha256 === ours.textSha256;
    return isEqual ? undefined : { kind: "text", detail: `${name}: the texts differ` };
  }
  if (theirs.tokensSha256 !== ours.tokensSha256)
    return { kind: "tokens", detail: `${name}: ${tokenDetail(theirs, ours)}` };
  const parted = ours.logits.find(
    ({ position, sha256 }) => theirs.logits.find((other) => other.position === position)?.sha256 !== sha256,
  );
  if (!parted && theirs.logits.length === ours.logits.length) return undefined;
  const where = parted ? ` at token ${parted.position}` : "";
  return { kind: "logits", detail: `${name}: the tokens are equal, but the numbers behind them differ${where}` };
}

type TokenProof = Extract<Proof, { level: "tokens" }>;

function tokenDetail(theirs: TokenProof, ours: TokenProof): string {
  const position = ours.firstTokens.findIndex((token, at) => token !== theirs.firstTokens[at]);
  if (position === -1)
    return `the tokens differ after the first ${Math.min(ours.firstTokens.length, theirs.firstTokens.length)}`;
  const [their, our] = [theirs.firstTokens[position] ?? "the end", ours.firstTokens[position] ?? "the end"];
  return `the tokens differ from token ${position} on: ${their} there, ${our} here`;
}

const service = "service";

/** What the parts of a class are, by how they begin. */
const partNames: [RegExp, string][] = [
  [/^gguf:/, "model file"],
  [/^llama\.cpp:/, "release of llama.cpp"],
  [/^cpu:/, "CPU variant"],
  [/^gpu:/, "GPU"],
  [/^ctx\d+$/, "context"],
  [/^b\d+$/, "batch"],
  [/^(no-)?fa$/, "flash attention"],
  [/^kv-/, "KV cache"],
  [/^greedy$/, "sampling"],
  [/^seed\d+$/, "seed"],
  [/^max\d+$/, "longest answer"],
  [/^seq\d+$/, "generations side by side"],
  [/^(raw|anchor)$|^chat:/, "chat template"],
  [/^system:/, "system text"],
  [/^stop:/, "stop texts"],
  [/^(vllm|groq|gemini|custom):|^mock$/, service],
];

/** The parts of a class by their names. Those of one name are kept together, so that none hides another. */
function namedParts(text: string): Map<string, string> {
  const named = new Map<string, string>();
  let last = "";
  for (const part of text.split("/")) {
    // Services name their models, and such a name may hold slashes itself.
    const unnamed = last === service ? service : "class";
    const name = partNames.find(([pattern]) => pattern.test(part))?.[1] ?? unnamed;
    const before = named.get(name);
    named.set(name, before === undefined ? part : `${before}/${part}`);
    last = name;
  }
  return named;
}

/** Of two classes that are not equal; never none, whatever they are made of. */
function classDifferences(theirs: string, ours: string): Difference[] {
  const [their, our] = [namedParts(theirs), namedParts(ours)];
  const names = [...new Set([...their.keys(), ...our.keys()])];
  const differences = names
    .filter((name) => their.get(name) !== our.get(name))
    .map((name) => differing(name, their.get(name) ?? "none", our.get(name) ?? "none"));
  return differences.length > 0 ? differences : [differing("class", theirs, ours)];
}

function differing(name: string, theirs: string, ours: string): Difference {
  return { kind: "class", detail: `${name}: ${theirs} there, ${ours} here` };
}
