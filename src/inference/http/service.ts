import type { Secret } from "../../lib/secret.ts";

/** A service that answers prompts over HTTP, as errors and requests know it. */
export type Service = {
  /** Begins the codes of its errors: `VLLM` gives `VLLM_UNREACHABLE`. */
  prefix: "VLLM" | "GROQ" | "GEMINI";
  /** As people call it. */
  name: string;
  /** Scheme, host, and path without a slash at its end. */
  baseUrl: string;
  /** Variable of the environment that holds its key. */
  keyVariable: string;
  /** The key of the configuration that says where it is. */
  urlKey: string;
  /** What every request carries besides its content type; the key is revealed for one request at a time. */
  authorization(): Record<string, string>;
};

/** @param form puts the key into a header; none without a key. */
export function keyHeader(
  key: Secret<string> | undefined,
  form: (key: string) => Record<string, string>,
): () => Record<string, string> {
  return () => (key ? form(key.reveal()) : {});
}
