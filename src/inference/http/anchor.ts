import { createHash } from "node:crypto";

/**
 * A prompt as services in the cloud get it: after `[seed_anchor:` and the first 16 hex digits of the SHA-256 of
 * `<model id>:<prompt>` (PROTOCOL.md 2.8).
 * @param modelId the network's, with its prefix
 */
export function anchoredPrompt(modelId: string, prompt: string): string {
  const digest = createHash("sha256").update(`${modelId}:${prompt}`).digest("hex");
  return `[seed_anchor:${digest.slice(0, 16)}]\n\n${prompt}`;
}
