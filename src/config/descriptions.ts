import type { ConfigGroup, ConfigKey, ParsedConfig } from "./schema.ts";

type Grouped<Group extends ConfigGroup> = `${Group}.${Extract<keyof ParsedConfig[Group], string>}`;
type Described =
  | Exclude<ConfigKey, ConfigGroup>
  | Grouped<"engine">
  | Grouped<"vllm">
  | Grouped<"groq">
  | Grouped<"gemini">;

/** What each key of the configuration means, in one line. */
export const keyDescriptions: Record<Described, string> = {
  network: "network to join: arbitrum_sepolia or devnet; sets chain id, endpoints and contract addresses",
  node_address: "address of the node's wallet; written by `init`",
  keystore_path: "the encrypted key; keystore.json in the data directory by default",
  tier: "attestation tier of the node, 0 to 2; written by `attest`",
  models:
    'local models as JSON: {"id": {"path", "context_size", "max_tokens", "gpu_layers", "template", "system", "stop"}}',
  supported_model_ids: "narrows what is offered to these model ids; all of `models` when empty",
  model_cache_dir: "where models are looked for by id, and downloaded to",
  model_hub_url: "hub that `models pull owner/repo` downloads from",
  npm_registry_url: "npm registry that `models engine install` downloads from",
  mock_model_ids: "model ids that are answered with a hash instead of a model, for tests of a network",
  custom_backends: "paths of backends in TypeScript or JavaScript",
  "vllm.base_url": "URL of a server with OpenAI's completions: vLLM, llama-server, SGLang",
  "vllm.models": 'models of that server as JSON: {"network id": "name on the server"}',
  "vllm.max_tokens": "longest answer in tokens; part of the determinism class",
  "vllm.timeout_s": "longest time for one answer, in seconds",
  "vllm.max_concurrent": "answers that are asked for side by side, 1 to 64",
  "vllm.allow_http": "true allows http:// to another machine: prompts cross that network in clear",
  "vllm.send_top_k": "false leaves top_k out, for servers that refuse fields of vLLM",
  "groq.base_url": "URL of Groq's API",
  "groq.models": "models that Groq answers, such as groq:llama-3.3-70b-versatile",
  "gemini.base_url": "URL of Google's API for Gemini",
  "gemini.models": "models that Gemini answers, such as gemini:gemini-2.5-flash",
  attestation_backend: "what proves the machine: mock, tpm, tdx or sev",
  icl_endpoint: "URL of the coordinator",
  payment_service_url: "URL of the payment service",
  rpc_url: "URL of the chain's JSON-RPC",
  rpc_fallback_urls: "JSON-RPC URLs that are asked in this order when rpc_url does not answer",
  fhenix_rpc: "the original's name of rpc_url, used when that is empty",
  ipfs_gateway: "gateway that is asked first for a prompt",
  ipfs_gateways: "gateways that are asked when the first one does not answer",
  ipfs_upload_url: "URL of the upload service; Pinata's own when empty",
  ipfs_upload_kind: "how the upload service speaks: pinata or kubo",
  log_level: "debug, info, warn or error",
  log_format: "text, json, or auto: text on a terminal and JSON lines otherwise",
  zdr_compliant: "kept for files of the original",
  attestation_cert_hash: "hash of the last certificate; written by `attest`",
  attestation_expiry: "when that certificate ends, in Unix seconds; written by `attest`",
  registered_on_chain: "whether the node is in the NodeRegistry; written by `attest --register`",
  stake_amount_wei: "stake in wei of BLIND; written by `staking`",
  cofhe_mode: "kept for files of the original: CoFHE runs inside the program",
  cofhe_endpoint: "JSON-RPC URL for CoFHE; rpc_url when empty",
  cofhe_chain_id: "chain id, when it is not the network's",
  skip_output_key_storage: "true makes a node that verifies and never leads",
  blind_token_address: "contract of BLIND",
  staking_address: "contract of BlindferenceStaking",
  node_registry_address: "contract of NodeRegistry",
  prompt_key_store_address: "contract of PromptKeyStore",
  reward_accumulator_address: "contract of RewardAccumulator",
  payment_treasury_address: "account that deposits of BLIND for credits go to",
  max_concurrent_jobs: "most jobs at a time, 1 to 64",
  doppelganger_wait_s:
    "seconds that another node with this key must have been silent before this one starts; 0 does not look",
  journal_retention_days: "days for which the journal keeps jobs that ended, never their commitments; 0 for ever",
  max_fee_gwei: "highest fee per gas that a transaction offers",
  status_host: "address of the status server, of this machine only",
  status_port: "port of the status server; 0 turns it off",
  "engine.isolation": "process keeps llama.cpp in a child process, none in the node itself",
  "engine.threads": "threads for generation; 0 means the usable cores less one",
  "engine.sequences": "answers that are generated side by side; 0 means 1 on a CPU and 4 with a GPU",
  "engine.idle_unload_minutes": "gives a model up that no job asked for so long; 0 keeps it",
  "engine.verify_output": "true has llama.cpp check a leader's answer once more before anything of it is submitted",
};

/** Variables that are no keys of the configuration. */
export const otherDescriptions: Record<string, string> = {
  BLF_CONFIG_DIR: "data directory, ~/.blindference by default",
  BLF_KEY_PASSWORD: "secret: password of the keystore",
  BLF_KEY_PASSWORD_FILE: "file whose first line is the password of the keystore",
  BLF_NEW_KEY_PASSWORD: "secret: the new password, for `keys change-password`",
  BLF_PRIVATE_KEY: "secret: private key to import, for `init`",
  BLF_IPFS_UPLOAD_JWT: "secret: JWT of the upload service",
  PINATA_JWT: "secret: the original's name of BLF_IPFS_UPLOAD_JWT",
  GROQ_API_KEY: "secret: key of Groq's API",
  GOOGLE_API_KEY: "secret: key of Google's API for Gemini",
  BLF_VLLM_API_KEY: "secret: key of the server of vllm.base_url",
  VLLM_API_KEY: "secret: vLLM's own name of BLF_VLLM_API_KEY",
  MOCK_ATTESTATION_KEY: "secret: key of the mock attestation",
  HF_TOKEN: "secret: token of the model hub, for `models pull`",
  NO_COLOR: "any value: no colours",
};
