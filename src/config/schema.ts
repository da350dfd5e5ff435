// The small zod: every command loads this file, and the full one would be half of the time that `status` takes.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { latestTime } from "../lib/clock.ts";
import { isAllowedEndpoint } from "../lib/http.ts";
import { networks } from "./networks.ts";

z.config(en());

const address = z.pipe(
  z.string().check(z.regex(/^(0x[0-9a-fA-F]{40})?$/, "must be an address (0x and 40 hex digits)")),
  z.transform((value) => value as `0x${string}` | ""),
);

const endpoint = z.pipe(
  z
    .string()
    .check(
      z.refine(
        (value) => value === "" || isAllowedEndpoint(value),
        "must be an https:// URL (http:// only for 127.0.0.1)",
      ),
    ),
  z.transform((value: string) => value.replace(/\/+$/, "")),
);

const bytes32OrEmpty = z.string().check(z.regex(/^(0x[0-9a-fA-F]{1,64})?$/, "must be hex with 0x"));

const integer = (lowest: number, highest: number) => z.int().check(z.gte(lowest), z.lte(highest));
const text = (fallback = "") => z._default(z.string(), fallback);
const list = (longest?: number) =>
  z._default(z.array(z.string().check(z.minLength(1), ...(longest ? [z.maxLength(longest)] : []))), []);

/** One local model: a GGUF file and how it is run. All of it is part of the determinism class. */
export const modelSchema = z.strictObject({
  path: z.string().check(z.minLength(1)),
  /** Tokens of prompt and output together. */
  context_size: z._default(integer(64, 1_048_576), 2048),
  /** Longest output, in tokens. */
  max_tokens: z._default(integer(1, 65_536), 512),
  /** Layers put on the GPU; 0 keeps the model on the CPU, and `auto` (as a number: -1) puts there as many as fit. */
  gpu_layers: z._default(
    z.union(
      [
        integer(-1, 1000),
        z.pipe(
          z.literal("auto"),
          z.transform(() => -1),
        ),
      ],
      "must be auto or a whole number from 0 to 1000",
    ),
    0,
  ),
  /** `chat` puts prompts into the chat template that the GGUF brings; `raw`, the default, leaves them as they are. */
  template: z.optional(z.enum(["raw", "chat"])),
  /** For `chat`: what the template says in the operator's name. */
  system: z.optional(z.string().check(z.minLength(1), z.maxLength(20_000))),
  /** Texts that end an answer, and are no part of it. */
  stop: z.optional(z.array(z.string().check(z.minLength(1), z.maxLength(200))).check(z.maxLength(16))),
  /** Of the file, as it was when it was added; `models verify` compares. */
  sha256: z.optional(z.string().check(z.regex(/^[0-9a-f]{64}$/, "must be 64 hex digits in lower case"))),
});

const engineSchema = z.strictObject({
  /** `process` holds llama.cpp in a supervised child; `none` in the daemon itself. */
  isolation: z._default(z.enum(["process", "none"]), "process"),
  /** Threads for generation; 0 chooses from the cores this process may use. */
  threads: z._default(integer(0, 512), 0),
  /** Answers that are generated side by side; 0 chooses: 1 on a CPU, 4 with a GPU. */
  sequences: z._default(integer(0, 64), 0),
  /** A model that no job asked for so long is given up; 0 keeps it. */
  idle_unload_minutes: z._default(integer(0, 10_080), 0),
  /** A leader has llama.cpp look at its own answer again, and submits none that it does not give twice. */
  verify_output: z._default(z.boolean(), false),
});

/** `http://` as well as `https://`: which of them is allowed depends on another key. */
const anyHttpUrl = z.pipe(
  z
    .string()
    .check(
      z.refine(
        (value) => value === "" || isHttpUrl(value),
        "must be an https:// or http:// URL without a user or a query",
      ),
    ),
  z.transform((value: string) => value.replace(/\/+$/, "").replace(/\/v1$/, "")),
);

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === "";
}

/** A server that speaks OpenAI's completions: vLLM, llama-server, SGLang. What it generates with is part of the determinism class. */
const vllmSchema = z
  .strictObject({
    /** Without `/v1`. */
    base_url: z._default(anyHttpUrl, ""),
    /** The network's model ids, and the names under which the server has them. */
    models: z._default(z.record(z.string().check(z.minLength(1)), z.string().check(z.minLength(1))), {}),
    /** Longest output, in tokens. */
    max_tokens: z._default(integer(1, 65_536), 2048),
    /** For one whole answer, in seconds. */
    timeout_s: z._default(integer(1, 3600), 300),
    /** Answers that are asked for side by side. */
    max_concurrent: z._default(integer(1, 64), 4),
    /** Plain HTTP to another machine, for a cluster in the operator's own network. */
    allow_http: z._default(z.boolean(), false),
    /** Whether `top_k` is sent, which is no field of OpenAI's own. */
    send_top_k: z._default(z.boolean(), true),
  })
  .check(
    z.refine(({ base_url, allow_http }) => base_url === "" || allow_http || isAllowedEndpoint(base_url), {
      error: "must be an https:// URL (http:// only for 127.0.0.1, or with vllm.allow_http in a network of your own)",
      path: ["base_url"],
    }),
  );

const cloudSchema = (prefix: string, baseUrl: string) =>
  z.strictObject({
    /** Without the API's version. */
    base_url: z._default(endpoint, baseUrl),
    /** The network's model ids, with their prefix. */
    models: z._default(
      z.array(
        z
          .string()
          .check(z.refine((id) => id.startsWith(prefix) && id.length > prefix.length, `must begin with ${prefix}`)),
      ),
      [],
    ),
  });

const groqSchema = cloudSchema("groq:", "https://api.groq.com");
const geminiSchema = cloudSchema("gemini:", "https://generativelanguage.googleapis.com");

/** The keys that hold keys. */
const groups = { engine: engineSchema, vllm: vllmSchema, groq: groqSchema, gemini: geminiSchema };
export type ConfigGroup = keyof typeof groups;
export const configGroups = Object.keys(groups) as ConfigGroup[];

/** Every key of config.json: those of the original (PROTOCOL.md 4.10) and ours. Unknown keys are errors. */
export const configSchema = z.strictObject({
  node_address: z._default(address, ""),
  keystore_path: text(),
  tier: z._default(integer(0, 2), 0),
  supported_model_ids: list(200),
  custom_backends: list(),
  attestation_backend: z._default(z.enum(["mock", "tpm", "tee", "sgx", "sev", "tdx"]), "mock"),
  icl_endpoint: z._default(endpoint, ""),
  payment_service_url: z._default(endpoint, ""),
  rpc_url: z._default(endpoint, ""),
  /** Asked in this order when rpc_url does not answer. */
  rpc_fallback_urls: z._default(z.array(endpoint), []),
  fhenix_rpc: z._default(endpoint, ""),
  ipfs_gateway: z._default(endpoint, "https://node.lighthouse.storage"),
  ipfs_gateways: z._default(z.array(endpoint), [
    "https://gateway.pinata.cloud",
    "https://cloudflare-ipfs.com",
    "https://ipfs.io",
    "https://gateway.ipfs.io",
  ]),
  ipfs_upload_url: z._default(endpoint, ""),
  ipfs_upload_kind: z._default(z.enum(["pinata", "kubo"]), "pinata"),
  model_cache_dir: text(),
  /** Where `models pull owner/repo` finds its files. */
  model_hub_url: z._default(endpoint, "https://huggingface.co"),
  /** Where `models engine install` finds the libraries for a GPU. */
  npm_registry_url: z._default(endpoint, "https://registry.npmjs.org"),
  models: z._default(z.record(z.string().check(z.minLength(1)), modelSchema), {}),
  mock_model_ids: list(),
  log_level: z._default(
    z.pipe(
      z.pipe(
        z.string(),
        z.transform((value) => value.toLowerCase().replace(/^warning$/, "warn")),
      ),
      z.enum(["debug", "info", "warn", "error"]),
    ),
    "info",
  ),
  log_format: z._default(z.enum(["auto", "text", "json"]), "auto"),
  zdr_compliant: z._default(z.boolean(), false),
  network: z._default(
    z
      .string()
      .check(z.refine((name) => Object.hasOwn(networks, name), `must be one of ${Object.keys(networks).join(", ")}`)),
    "arbitrum_sepolia",
  ),
  attestation_cert_hash: z._default(bytes32OrEmpty, ""),
  attestation_expiry: z._default(integer(0, latestTime), 0),
  registered_on_chain: z._default(z.boolean(), false),
  /** Wei, as a decimal string or a JSON integer. */
  stake_amount_wei: z._default(
    z.pipe(
      z.union([
        z.bigint().check(z.gte(0n)),
        z.int().check(z.gte(0)),
        z.string().check(z.regex(/^\d+$/, "must be a whole number of wei")),
      ]),
      z.transform((value) => BigInt(value)),
    ),
    0n,
  ),
  cofhe_mode: z._default(z.enum(["bridge", "python"]), "bridge"),
  cofhe_endpoint: z._default(endpoint, ""),
  cofhe_chain_id: z._default(z.int().check(z.gte(0)), 0),
  skip_output_key_storage: z._default(z.boolean(), false),
  blind_token_address: z._default(address, ""),
  staking_address: z._default(address, ""),
  node_registry_address: z._default(address, ""),
  prompt_key_store_address: z._default(address, ""),
  reward_accumulator_address: z._default(address, ""),
  /** Where deposits of BLIND for credits go. */
  payment_treasury_address: z._default(address, ""),
  max_concurrent_jobs: z._default(integer(1, 64), 2),
  /** So long another node with the same key must have been silent before this one starts, in seconds; 0 does not look. */
  doppelganger_wait_s: z._default(integer(0, 3600), 180),
  /** So long a job that ended is kept in the journal; 0 for ever. */
  journal_retention_days: z._default(integer(0, 36_500), 90),
  /** Highest fee per gas that a transaction may offer, in gwei. */
  max_fee_gwei: z._default(z.number().check(z.positive(), z.lte(10_000)), 10),
  status_host: z._default(z.enum(["127.0.0.1", "localhost", "::1"]), "127.0.0.1"),
  /** 0 turns the status server off. */
  status_port: z._default(integer(0, 65_535), 9464),
  engine: z.prefault(engineSchema, {}),
  vllm: z.prefault(vllmSchema, {}),
  groq: z.prefault(groqSchema, {}),
  gemini: z.prefault(geminiSchema, {}),
});

export type ConfigFile = z.input<typeof configSchema>;
export type ParsedConfig = z.output<typeof configSchema>;
export type ModelConfig = z.output<typeof modelSchema>;
export type ConfigKey = keyof ParsedConfig;

export const configKeys = Object.keys(configSchema.shape) as ConfigKey[];

/** The keys that may stand at a place: `[]` is the whole file, `["models", "<id>"]` one model. */
export function keysAt(path: readonly PropertyKey[]): string[] {
  const group = groups[path[0] as ConfigGroup];
  if (group) return Object.keys(group.shape);
  return path[0] === "models" ? Object.keys(modelSchema.shape) : configKeys;
}
