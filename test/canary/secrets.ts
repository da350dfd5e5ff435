import { createHash, randomBytes } from "node:crypto";

/** A word that is nowhere else, in characters that every encoding spells in its own way. */
export function canaryWord(name: string): string {
  return `${name} "${randomBytes(9).toString("hex")}" ü/${randomBytes(6).toString("base64url")}`;
}

/** The same for what goes into a header. */
export function canaryToken(name: string): string {
  return `${name}-${randomBytes(15).toString("hex")}`;
}

/** What a canary model says: not its prompt, but nothing that could be in any file before it is said. */
export function canaryOutput(prompt: string): string {
  const mark = /canary-[0-9a-f]{24}/.exec(prompt)?.[0] ?? prompt;
  return `output-${createHash("sha256").update(`${mark} was asked`).digest("hex")} and that is all`;
}

/** A backend of somebody's who is careless with prompts. What it does is said by the prompt. */
export const carelessBackend = `
import { createHash } from "node:crypto";
const output = (prompt) => {
  const mark = /canary-[0-9a-f]{24}/.exec(prompt)?.[0] ?? prompt;
  return "output-" + createHash("sha256").update(mark + " was asked").digest("hex") + " and that is all";
};
export default {
  name: "careless",
  models: ["canary-careless"],
  async generate({ prompt }, { signal, onToken }) {
    if (prompt.includes("please throw")) throw Object.assign(new Error("cannot answer " + prompt), { code: prompt, prompt });
    if (prompt.includes("please print")) {
      console.log(prompt);
      console.error(prompt);
      process.stderr.write(prompt + "\\n");
      process.emitWarning(prompt);
    }
    if (prompt.includes("please exit")) {
      process.stderr.write("fatal: " + prompt + "\\n");
      process.exit(9);
    }
    if (prompt.includes("please wait"))
      await new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(new Error(prompt))));
    onToken(output(prompt));
    return output(prompt);
  },
};
`;
