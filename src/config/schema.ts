import * as z from "zod";
import { latestTime } from "../lib/clock.ts";
import { isAllowedEndpoint } from "../lib/http.ts";
import { networks } from "./networks.ts";

const address = z
  .string()
  .regex(/^(0x[0-9a-fA-F]{40})?$/, "must be an address (0x and 40 hex digits)")
  .transform((value) => value as `0x${string}` | "");

const endpoint = z
  .string()
  .refine((value) => value === "" || isAllowedEndpoint(value), "must be an https:// URL (http:// only for 127.0.0.1)")
  .transform((value) => value.replace(/\/+$/, ""));

const bytes32OrEmpty = z.string().regex(/^(0x[0-9a-fA-F]{1,64})?$/, "must be hex with 0x");

/** One local model: a GGUF file and how it is run. All of it is part of the determinism class. */
export const modelSchema = z.strictObject({
  path: z.string().min(1),
  /** Tokens of prompt and output together. */
  context_size: z.int().min(64).max(1_048_576).default(2048),
  /** Longest output, in tokens. */
  max_tokens: z.int().min(1).max(65_536).default(512),
  /** Layers put on the GPU; 0 keeps the model on the CPU. */
  gpu_layers: z.int().min(0).max(1000).default(0),
});

const engineSchema = z.strictObject({
  /** `process` holds llama.cpp in a supervised child; `none` in the daemon itself. */
  isolation: z.enum(["process", "none"]).default("process"),
  /** Threads for generation; 0 chooses from the cores this process may use. */
  threads: z.int().min(0).max(512).default(0),
});

/** Every key of config.json: those of the original (PROTOCOL.md 4.10) and ours. Unknown keys are errors. */
export const configSchema = z.strictObject({
  node_address: address.default(""),
  keystore_path: z.string().default(""),
  tier: z.int().min(0).max(2).default(0),
  supported_model_ids: z.array(z.string().min(1).max(200)).default([]),
  custom_backends: z.array(z.string().min(1)).default([]),
  attestation_backend: z.enum(["mock", "tpm", "tee", "sgx", "sev", "tdx"]).default("mock"),
  icl_endpoint: endpoint.default(""),
  payment_service_url: endpoint.default(""),
  rpc_url: endpoint.default(""),
  fhenix_rpc: endpoint.default(""),
  ipfs_gateway: endpoint.default("https://node.lighthouse.storage"),
  ipfs_gateways: z
    .array(endpoint)
    .default([
      "https://gateway.pinata.cloud",
      "https://cloudflare-ipfs.com",
      "https://ipfs.io",
      "https://gateway.ipfs.io",
    ]),
  ipfs_upload_url: endpoint.default(""),
  ipfs_upload_kind: z.enum(["pinata", "kubo"]).default("pinata"),
  model_cache_dir: z.string().default(""),
  models: z.record(z.string().min(1), modelSchema).default({}),
  mock_model_ids: z.array(z.string().min(1)).default([]),
  log_level: z
    .string()
    .transform((value) => value.toLowerCase().replace(/^warning$/, "warn"))
    .pipe(z.enum(["debug", "info", "warn", "error"]))
    .default("info"),
  log_format: z.enum(["auto", "text", "json"]).default("auto"),
  zdr_compliant: z.boolean().default(false),
  network: z
    .string()
    .refine((name) => Object.hasOwn(networks, name), `must be one of ${Object.keys(networks).join(", ")}`)
    .default("arbitrum_sepolia"),
  attestation_cert_hash: bytes32OrEmpty.default(""),
  attestation_expiry: z.int().min(0).max(latestTime).default(0),
  registered_on_chain: z.boolean().default(false),
  /** Wei, as a decimal string or a JSON integer. */
  stake_amount_wei: z
    .union([z.bigint().min(0n), z.int().min(0), z.string().regex(/^\d+$/, "must be a whole number of wei")])
    .transform((value) => BigInt(value))
    .default(0n),
  cofhe_mode: z.enum(["bridge", "python"]).default("bridge"),
  cofhe_endpoint: endpoint.default(""),
  cofhe_chain_id: z.int().min(0).default(0),
  skip_output_key_storage: z.boolean().default(false),
  blind_token_address: address.default(""),
  staking_address: address.default(""),
  node_registry_address: address.default(""),
  prompt_key_store_address: address.default(""),
  reward_accumulator_address: address.default(""),
  /** Where deposits of BLIND for credits go. */
  payment_treasury_address: address.default(""),
  max_concurrent_jobs: z.int().min(1).max(64).default(2),
  /** Highest fee per gas that a transaction may offer, in gwei. */
  max_fee_gwei: z.number().positive().max(10_000).default(10),
  status_host: z.enum(["127.0.0.1", "localhost", "::1"]).default("127.0.0.1"),
  /** 0 turns the status server off. */
  status_port: z.int().min(0).max(65_535).default(9464),
  engine: engineSchema.prefault({}),
});

export type ConfigFile = z.input<typeof configSchema>;
export type ParsedConfig = z.output<typeof configSchema>;
export type ModelConfig = z.output<typeof modelSchema>;
export type ConfigKey = keyof ParsedConfig;

export const configKeys = Object.keys(configSchema.shape) as ConfigKey[];

/** The keys that may stand at a place: `[]` is the whole file, `["models", "<id>"]` one model. */
export function keysAt(path: readonly PropertyKey[]): string[] {
  if (path[0] === "engine") return Object.keys(engineSchema.shape);
  return path[0] === "models" ? Object.keys(modelSchema.shape) : configKeys;
}
