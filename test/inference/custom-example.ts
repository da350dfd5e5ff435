/** A backend as somebody outside of this project would write it, in TypeScript and with its types. */
export const exampleBackend = `import { type Backend, type BackendAnswer, defineBackend } from "blindference";

const answers: Record<string, string> = { hello: "good day" };

export default defineBackend({
  name: "parrot",
  models: ["parrot-1"],
  probe: ({ signal }) => !signal.aborted,
  async generate({ modelId, prompt }, { signal, onToken }): Promise<BackendAnswer> {
    if (prompt === "throw") throw new Error("I was told to: " + prompt);
    if (prompt === "exit") process.exit(7);
    if (prompt === "hang") while (true);
    if (prompt === "wait") await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const words = (answers[prompt] ?? modelId + " says " + prompt).split(" ");
    for (const [index, word] of words.entries()) onToken(index === 0 ? word : " " + word);
    return { text: words.join(" "), outputTokens: words.length };
  },
}) satisfies Backend;

// What the module uses of its runtime; a project of its own would install @types/bun or @types/node.
declare const process: { exit(code: number): never };
`;
