import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { endlessBody } from "../ipfs/support.ts";
import { errorText, failure, jsonErrorText } from "./expect-error.ts";
import { rpcServer, serveJson } from "./misbehaving.ts";
import { emptyDirectory, nodeDirectory, password } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

test("a directory without a node", async () => {
  using directory = emptyDirectory();
  const lines = new Set<string>();
  for (const args of [
    ["status"],
    ["attest"],
    ["staking", "status"],
    ["staking", "stake", "1000"],
    ["infer", "x", "--model", "m"],
  ])
    lines.add(await failure(args, { env: directory.env }, directory.path));
  lines.add(errorText(await runCli(["run"], { env: directory.env }), directory.path));
  expect([...lines]).toMatchInlineSnapshot(`
    [
      "3 There is no node in DIR [NOT_INITIALISED] | Run \`blindference init\`, or set BLF_CONFIG_DIR to the directory of an existing node.",
    ]
  `);
});

describe("the keystore", () => {
  test("that is missing, damaged, or of another kind", async () => {
    using node = nodeDirectory();
    const lines: string[] = [];
    const attest = async (name: string) =>
      lines.push(`${name}: ${jsonErrorText(await runCli(["attest", "--json"], { env: node.unlocked }), node.dir)}`);
    const good = JSON.parse(await Bun.file(join(node.dir, "keystore.json")).text()) as Record<string, unknown>;
    for (const [name, content] of [
      ["not JSON", "{"],
      ["empty", ""],
      ["binary", "\u0000\u0001\u001b[2J"],
      ["another JSON", '{"version":3}'],
      ["version 1", '{"version":1}'],
      ["a changed address", JSON.stringify({ ...good, address: "11".repeat(20) })],
      ["a greedy one", JSON.stringify(good).replace('"n":2,', '"n":1073741824,')],
    ] as const) {
      node.write("keystore.json", content);
      await attest(name);
    }
    rmSync(join(node.dir, "keystore.json"));
    await attest("missing");
    mkdirSync(join(node.dir, "keystore.json"));
    await attest("a directory");
    expect(lines).toMatchInlineSnapshot(`
      [
        "not JSON: 1 The keystore is damaged: it is not JSON [KEYSTORE_CORRUPT] | Restore the file from a backup, or import the private key again with \`blindference init\`.",
        "empty: 1 The keystore is damaged: it is not JSON [KEYSTORE_CORRUPT] | Restore the file from a backup, or import the private key again with \`blindference init\`.",
        "binary: 1 The keystore is damaged: it is not JSON [KEYSTORE_CORRUPT] | Restore the file from a backup, or import the private key again with \`blindference init\`.",
        "another JSON: 1 The keystore is damaged: it is not a version 3 keystore [KEYSTORE_CORRUPT] | Restore the file from a backup, or import the private key again with \`blindference init\`.",
        "version 1: 1 The keystore cannot be opened here: it has version 1, not 3 [KEYSTORE_UNSUPPORTED] | Export the key from the tool that wrote the file, as a version 3 keystore with scrypt N=262144, r=8, p=1.",
        "a changed address: 1 The keystore says 0x1111111111111111111111111111111111111111, but its key belongs to 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 [KEYSTORE_ADDRESS_MISMATCH] | The file was changed: restore it from a backup.",
        "a greedy one: 1 The keystore cannot be opened here: its scrypt parameters need too much memory or time [KEYSTORE_UNSUPPORTED] | Export the key from the tool that wrote the file, as a version 3 keystore with scrypt N=262144, r=8, p=1.",
        "missing: 3 There is no keystore at DIR/keystore.json [KEYSTORE_NOT_FOUND] | Run \`blindference init\` first, or set BLF_CONFIG_DIR to the directory of an existing node.",
        "a directory: 1 Cannot read DIR/keystore.json (EISDIR) [FILE_EISDIR] | That is a directory: name a file.",
      ]
    `);
  });

  test("whose password is missing, wrong, or for another node", async () => {
    using node = nodeDirectory();
    const wrong = { ...node.env, BLF_KEY_PASSWORD: "hunter2hunter2" };
    const lines = [
      await failure(["attest"], { env: node.env }),
      await failure(["attest"], { env: wrong }),
      errorText(await runCli(["run"], { env: node.env })),
      errorText(await runCli(["run"], { env: wrong })),
      errorText(await runCli(["run", "--password-stdin"], { env: node.env, stdin: "" })),
      errorText(await runCli(["attest", "--password-stdin"], { env: node.env, stdin: "hunter2hunter2\n" })),
      await failure(["attest"], { env: { ...node.unlocked, BLF_NODE_ADDRESS: `0x${"11".repeat(20)}` } }),
    ];
    expect(lines.join()).not.toContain("hunter2");
    expect(lines).toMatchInlineSnapshot(`
      [
        "4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "4 The password does not open this keystore [KEYSTORE_PASSWORD_WRONG] | Type the password chosen at init, or set BLF_KEY_PASSWORD.",
        "4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "4 The password does not open this keystore [KEYSTORE_PASSWORD_WRONG] | Type the password chosen at init, or set BLF_KEY_PASSWORD.",
        "4 Standard input holds no password [PASSWORD_MISSING] | Pass it as the first line: blindference … --password-stdin < password-file",
        "4 The password does not open this keystore [KEYSTORE_PASSWORD_WRONG] | Type the password chosen at init, or set BLF_KEY_PASSWORD.",
        "1 The keystore belongs to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8, the configuration to 0x1111111111111111111111111111111111111111 [WALLET_NOT_OF_THIS_NODE] | Correct node_address or keystore_path.",
      ]
    `);
  });
});

test("a configuration that cannot be used stops every command", async () => {
  using node = nodeDirectory({ icl_endpont: "https://icl.example.org" });
  const lines = new Set<string>();
  for (const args of [["status"], ["attest"], ["staking", "status"], ["init"]])
    lines.add(await failure(args, { env: node.unlocked }, node.dir));
  lines.add(errorText(await runCli(["run"], { env: node.unlocked }), node.dir));
  node.write("config.json", "{");
  lines.add(await failure(["status"], { env: node.env }, node.dir));
  node.write("config.json", "{}");
  lines.add(await failure(["status"], { env: { ...node.env, BLF_ICL_ENDPONT: "x" } }, node.dir));
  lines.add(await failure(["status"], { env: { ...node.env, BLF_RPC_URL: "http://example.org" } }, node.dir));
  expect([...lines]).toMatchInlineSnapshot(`
    [
      "1 DIR/config.json has the unknown key "icl_endpont" [CONFIG_UNKNOWN_KEY] | Did you mean "icl_endpoint"?",
      "1 DIR/config.json is not a JSON object [CONFIG_NOT_JSON] | Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
      "1 The environment has the unknown variable BLF_ICL_ENDPONT [CONFIG_UNKNOWN_VARIABLE] | Did you mean BLF_ICL_ENDPOINT?",
      "1 "rpc_url" of the environment is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] | Correct or unset BLF_RPC_URL.",
    ]
  `);
});

describe("the coordinator", () => {
  test("that is down", async () => {
    using node = nodeDirectory();
    expect(await failure(["attest"], { env: node.unlocked }, node.dir)).toMatchInlineSnapshot(
      `"75 The coordinator (ICL) at http://127.0.0.1:1 cannot be reached [ICL_UNREACHABLE] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again."`,
    );
  });

  test("that lies", async () => {
    using node = nodeDirectory();
    const challenge = { challengeId: "1", nonce: `0x${"9c".repeat(32)}`, expiresAt: 1_750_000_300 };
    const honestUntil = (answer: unknown) => (request: Request) =>
      Response.json(request.url.includes("/challenge/") ? challenge : answer);
    const lies: [string, (request: Request) => Response][] = [
      ["HTML", () => new Response("<html>It works</html>", { headers: { "Content-Type": "text/html" } })],
      ["nothing", () => new Response()],
      ["a wrong type", () => Response.json({ ...challenge, nonce: 5 })],
      ["a missing field", () => Response.json({ ...challenge, challengeId: undefined })],
      ["null", () => Response.json(null)],
      ["a body without an end", () => new Response(endlessBody())],
      ["a redirect", () => Response.redirect("http://127.0.0.1:1/", 307)],
      ["404", () => Response.json({ detail: "unknown\n\u001b[2Jnode" }, { status: 404 })],
      ["500", () => Response.json({ detail: "Internal server error" }, { status: 500 })],
      ["a certificate for ever", honestUntil({ certHash: "0x5b", expiry: 9_007_199_254_740_991, tier: 0 })],
      ["a certificate of the past", honestUntil({ certHash: "0x5b", expiry: 1, tier: 0 })],
      ["a tier of its own", honestUntil({ certHash: "0x5b", expiry: 1_750_086_400, tier: 9 })],
    ];
    const lines: string[] = [];
    for (const [name, answer] of lies) {
      using server = serveJson(answer);
      const env = { ...node.unlocked, BLF_ICL_ENDPOINT: server.url };
      lines.push(`${name}: ${jsonErrorText(await runCli(["attest", "--json"], { env }), node.dir)}`);
    }
    expect(lines).toMatchInlineSnapshot(`
      [
        "HTML: 1 The coordinator (ICL) answered with something that is not JSON (HTTP 200) [ICL_NOT_JSON] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "nothing: 1 The coordinator (ICL) answered with something that is not JSON (HTTP 200) [ICL_NOT_JSON] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a wrong type: 1 The coordinator (ICL) answered /internal/challenge/0x70997970… with an unexpected value at "nonce" [ICL_UNEXPECTED_ANSWER] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a missing field: 1 The coordinator (ICL) answered /internal/challenge/0x70997970… with an unexpected value at "challengeId" [ICL_UNEXPECTED_ANSWER] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "null: 1 The coordinator (ICL) answered /internal/challenge/0x70997970… with an unexpected value [ICL_UNEXPECTED_ANSWER] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a body without an end: 1 The coordinator (ICL) sent more than 4194304 bytes [ICL_BODY_TOO_LARGE] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a redirect: 1 The coordinator (ICL) refused /internal/challenge/0x70997970… (HTTP 307) [ICL_REJECTED] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "404: 1 The coordinator (ICL) refused /internal/challenge/0x70997970… (HTTP 404): unknown\\u000a\\u001b[2Jnode [ICL_UNKNOWN] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "500: 75 The coordinator (ICL) refused /internal/challenge/0x70997970… (HTTP 500): Internal server error [ICL_FAILED] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a certificate for ever: 1 The coordinator (ICL) answered /internal/attestation/verify with an unexpected value at "expiry" [ICL_UNEXPECTED_ANSWER] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
        "a certificate of the past: 4 The coordinator gave a certificate that has already expired [ATTESTATION_EXPIRED_CERTIFICATE] | Check this machine's clock (timedatectl).",
        "a tier of its own: 1 The coordinator (ICL) answered /internal/attestation/verify with an unexpected value at "tier" [ICL_UNEXPECTED_ANSWER] | Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
      ]
    `);
  });
});

describe("the RPC", () => {
  const commands = [
    ["staking", "status"],
    ["staking", "stake", "1000"],
    ["infer", "hello", "--model", "m"],
  ];

  test("that is down", async () => {
    using node = nodeDirectory();
    const lines: string[] = [];
    for (const args of commands) lines.push(`${args[0]}: ${await failure(args, { env: node.unlocked }, node.dir)}`);
    expect(lines).toMatchInlineSnapshot(`
      [
        "staking: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "staking: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "infer: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
      ]
    `);
  });

  test("that serves another chain", async () => {
    using node = nodeDirectory();
    using server = rpcServer((method) => (method === "eth_chainId" ? "0x1" : "0x"));
    const env = { ...node.unlocked, BLF_RPC_URL: server.url };
    const lines: string[] = [];
    for (const args of commands) lines.push(`${args[0]}: ${await failure(args, { env }, node.dir)}`);
    lines.push(`run: ${errorText(await runCli(["run", "--log-level", "error"], { env }), node.dir)}`);
    expect(lines).toMatchInlineSnapshot(`
      [
        "staking: 1 The RPC at http://127.0.0.1:PORT serves chain 1, not 31337 [CHAIN_WRONG_ID] | Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
        "staking: 1 The RPC at http://127.0.0.1:PORT serves chain 1, not 31337 [CHAIN_WRONG_ID] | Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
        "infer: 1 The RPC at http://127.0.0.1:PORT serves chain 1, not 31337 [CHAIN_WRONG_ID] | Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
        "run: 1 The RPC at http://127.0.0.1:PORT serves chain 1, not 31337 [CHAIN_WRONG_ID] | Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
      ]
    `);
  });

  test("that talks nonsense", async () => {
    using node = nodeDirectory();
    const lines: string[] = [];
    for (const [name, answer] of [
      ["HTML", () => new Response("<html>\u001b[2J</html>")],
      ["500", () => new Response("no", { status: 500 })],
      ["null", () => Response.json(null)],
      ["a wrong type", () => Response.json({ jsonrpc: "2.0", id: 1, result: { a: 1 } })],
      ["an error", () => Response.json({ jsonrpc: "2.0", id: 1, error: { code: -1, message: "no\n\u001b[2J" } })],
    ] as const) {
      using server = serveJson(answer);
      const env = { ...node.unlocked, BLF_RPC_URL: server.url };
      lines.push(`${name}: ${jsonErrorText(await runCli(["staking", "stake", "1000", "--json"], { env }), node.dir)}`);
    }
    expect(lines).toMatchInlineSnapshot(`
      [
        "HTML: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "500: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "null: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "a wrong type: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
        "an error: 75 Cannot read the chain id: the RPC does not answer [CHAIN_UNREACHABLE] | Check rpc_url (BLF_RPC_URL) and the network, and try again.",
      ]
    `);
  });
});

describe("a port that is taken", () => {
  test("for the status server", async () => {
    using node = nodeDirectory();
    using server = serveJson(() => new Response("taken"));
    const env = { ...node.unlocked, BLF_STATUS_PORT: String(server.port), BLF_LOG_LEVEL: "error" };
    expect(errorText(await runCli(["run"], { env }), node.dir)).toMatchInlineSnapshot(
      `"1 The status server cannot listen on 127.0.0.1:PORT (EADDRINUSE) [STATUS_PORT_TAKEN] | Choose another status_port (BLF_STATUS_PORT), or 0 to turn it off."`,
    );
    expect(await (await fetch(server.url)).text()).toBe("taken");
  });

  test("for the devnet", async () => {
    using server = serveJson(() => new Response("taken"));
    const { port } = server;
    for (const base of [port, port - 2]) {
      const args = ["devnet", "--port-base", String(base)];
      const text = errorText(await runCli(args));
      expect(jsonErrorText(await runCli([...args, "--json"]))).toBe(text);
      // Below the taken port there may be one that is taken too.
      const named = base === port ? String(port) : "\\d+";
      expect(text).toMatch(
        new RegExp(
          `^1 Port ${named} on 127\\.0\\.0\\.1 .*\\[DEVNET_PORT_TAKEN\\] \\| Stop .* or choose other ports with --port-base`,
        ),
      );
    }
    expect(await (await fetch(server.url)).text()).toBe("taken");
  });
});

test("without the contracts' addresses", async () => {
  using node = nodeDirectory({ staking_address: "", prompt_key_store_address: "" });
  const lines = [
    await failure(["staking", "status"], { env: node.unlocked }),
    await failure(["infer", "hello", "--model", "m"], { env: node.unlocked }),
  ];
  expect(lines).toMatchInlineSnapshot(`
    [
      "1 The address staking_address is not configured [CONTRACT_NOT_CONFIGURED] | Set staking_address in config.json or BLF_STAKING_ADDRESS.",
      "1 The address prompt_key_store_address is not configured [CONTRACT_NOT_CONFIGURED] | Set prompt_key_store_address in config.json or BLF_PROMPT_KEY_STORE_ADDRESS.",
    ]
  `);
});

test("without the node's address", async () => {
  using node = nodeDirectory({ node_address: "" });
  using server = rpcServer((method) => (method === "eth_chainId" ? "0x7a69" : "0x"));
  const env = { ...node.env, BLF_RPC_URL: server.url };
  expect(await failure(["staking", "status"], { env }, node.dir)).toMatchInlineSnapshot(
    `"3 The configuration has no node_address [NODE_ADDRESS_MISSING] | Set node_address in config.json, or BLF_NODE_ADDRESS, to the address of the keystore."`,
  );
});

test("a journal that is damaged", async () => {
  using node = nodeDirectory();
  node.write("journal.db", "this is not a database, however long one reads in it".repeat(100));
  using server = rpcServer((method) => (method === "eth_chainId" ? "0x7a69" : "0x"));
  const env = { ...node.unlocked, BLF_RPC_URL: server.url, BLF_LOG_LEVEL: "error" };
  const lines = [
    await failure(["status"], { env }, node.dir),
    await failure(["staking", "stake", "1000"], { env }, node.dir),
    errorText(await runCli(["run"], { env }), node.dir),
  ];
  expect(lines).toMatchInlineSnapshot(`
    [
      "1 The journal DIR/journal.db is damaged [JOURNAL_CORRUPT] | Restore it from a copy: it guards this node against committing twice. Do not just delete it.",
      "1 The journal DIR/journal.db is damaged [JOURNAL_CORRUPT] | Restore it from a copy: it guards this node against committing twice. Do not just delete it.",
      "1 The journal DIR/journal.db is damaged [JOURNAL_CORRUPT] | Restore it from a copy: it guards this node against committing twice. Do not just delete it.",
    ]
  `);
});

test("no password, however it was given, is in what a failing command prints with debug logs", async () => {
  using node = nodeDirectory();
  const env = {
    ...node.unlocked,
    BLF_LOG_LEVEL: "debug",
    GROQ_API_KEY: "gsk_canary_123",
    BLF_IPFS_UPLOAD_JWT: "jwt_canary_123",
  };
  for (const args of [["attest"], ["staking", "stake", "1000"], ["infer", "hello", "--model", "m"], ["status"]]) {
    const { stdout, stderr } = await runCli(args, { env });
    expect(stdout + stderr).not.toContain(password);
    expect(stdout + stderr).not.toContain("canary_123");
  }
});
