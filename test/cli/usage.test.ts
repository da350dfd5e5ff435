import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { errorText, jsonErrorText } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

describe("help", () => {
  test("--version and -V print one line", async () => {
    for (const flag of ["--version", "-V"]) {
      const { code, stdout, stderr } = await runCli([flag]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^blindference \d+\.\d+\.\d+(-\w+)?\n$/);
    }
  });

  test("no argument, --help and help list the same commands", async () => {
    const results = await Promise.all([runCli([]), runCli(["--help"]), runCli(["help"])]);
    for (const { code, stdout, stderr } of results) {
      expect([code, stderr]).toEqual([0, ""]);
      for (const name of ["init", "attest", "staking", "run", "status", "infer", "devnet", "demo"])
        expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
      expect(stdout).toContain(
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 not initialised, 4 authentication, 75 try again.",
      );
    }
  });

  test.each([
    "init",
    "attest",
    "run",
    "status",
    "infer",
    "devnet",
    "demo",
    "staking",
  ])("%s --help and help %s show its options", async (name) => {
    const [direct, asked] = await Promise.all([runCli([name, "--help"]), runCli(["help", name])]);
    expect(direct.stdout).toStartWith(`Usage: blindference ${name}`);
    expect(direct.stdout).toContain("Options:");
    expect([direct.code, direct.stderr]).toEqual([0, ""]);
    expect(asked).toEqual(direct);
  });
});

test("what cannot be understood is an error of usage, with a suggestion where there is one", async () => {
  const lines: string[] = [];
  for (const args of [
    ["statsu"],
    ["xyzzy"],
    ["help", "statsu"],
    ["--bogus"],
    ["status", "--jsn"],
    ["status", "extra"],
    ["staking", "stak"],
    ["staking", "stake"],
    ["infer"],
    ["infer", "hello"],
    ["infer", "hello", "--model", "m", "--verifiers", "6"],
    ["infer", "hello", "--model", "m", "--currency", "eur"],
    ["infer", "  ", "--model", "m"],
    ["infer", "hello", "--model", "m", "--deposit", "lots"],
    ["devnet", "--port-base", "-5"],
    ["devnet", "--port-base", "70000"],
    ["devnet", "fund", "0x1"],
    ["demo", "--nodes", "2"],
    ["demo", "--nodes", "three"],
    ["demo", "--prompt", " "],
    ["demo", "--model", "/nonexistent.gguf"],
    ["init", "--model", "m"],
    ["init", "--model", "=x"],
    ["init", "--model", "m=/nonexistent.gguf"],
    ["init", "--network", "mainnet"],
  ])
    lines.push(`${args.join(" ")}: ${jsonErrorText(await runCli([...args, "--json"]))}`);
  expect(lines.filter((line) => !/: 2 /.test(line))).toEqual([]);
  expect(lines).toMatchInlineSnapshot(`
    [
      "statsu: 2 There is no command "statsu" [USAGE_UNKNOWN_COMMAND] | Did you mean \`blindference status\`?",
      "xyzzy: 2 There is no command "xyzzy" [USAGE_UNKNOWN_COMMAND] | Run \`blindference --help\` to see the commands.",
      "help statsu: 2 There is no command "statsu" [USAGE_UNKNOWN_COMMAND] | Did you mean \`blindference status\`?",
      "--bogus: 2 Unknown option '--bogus' [USAGE] | Run \`blindference --help\`.",
      "status --jsn: 2 Unknown option '--jsn' [USAGE] | Did you mean --json? Run \`blindference status --help\`.",
      "status extra: 2 Too many arguments for 'status'. Expected 0 arguments but got 1. [USAGE] | Run \`blindference status --help\`.",
      "staking stak: 2 Unknown command 'stak' [USAGE] | Did you mean stake? Run \`blindference staking --help\`.",
      "staking stake: 2 Missing required argument 'amount' [USAGE] | Run \`blindference staking --help\`.",
      "infer: 2 Required option '--model <id>' not specified [USAGE] | Run \`blindference infer --help\`.",
      "infer hello: 2 Required option '--model <id>' not specified [USAGE] | Run \`blindference infer --help\`.",
      "infer hello --model m --verifiers 6: 2 --verifiers must be a whole number from 1 to 5 [USAGE_INVALID_OPTION] | Run \`blindference infer --help\`.",
      "infer hello --model m --currency eur: 2 --currency must be blind or cusdc [USAGE_INVALID_OPTION] | Run \`blindference infer --help\`.",
      "infer    --model m: 2 <prompt> must be some text [USAGE_INVALID_OPTION] | Run \`blindference infer --help\`.",
      "infer hello --model m --deposit lots: 2 The amount is not a positive number of BLIND [AMOUNT_INVALID] | Write 1000, 1000.5 (a point, at most 18 decimals) or 1000000000000000000000wei.",
      "devnet --port-base -5: 2 --port-base must be a port number up to 65532 [USAGE_INVALID_OPTION] | Run \`blindference devnet --help\`.",
      "devnet --port-base 70000: 2 --port-base must be a port number up to 65532 [USAGE_INVALID_OPTION] | Run \`blindference devnet --help\`.",
      "devnet fund 0x1: 2 The address must be 0x and 40 hex digits [USAGE_INVALID_OPTION] | Give an address, or run \`blindference init\` first.",
      "demo --nodes 2: 2 --nodes must be a whole number from 3 to 6 [USAGE_INVALID_OPTION] | Run \`blindference demo --help\`.",
      "demo --nodes three: 2 --nodes must be a whole number from 3 to 6 [USAGE_INVALID_OPTION] | Run \`blindference demo --help\`.",
      "demo --prompt  : 2 --prompt must hold some text [USAGE_INVALID_OPTION] | Run \`blindference demo --help\`.",
      "demo --model /nonexistent.gguf: 2 There is no model file /nonexistent.gguf [USAGE_INVALID_OPTION] | Run \`blindference demo --help\`.",
      "init --model m: 2 --model wants <id=path> [USAGE_INVALID_MODEL] | For example --model qwen2.5-7b=/models/qwen2.5-7b-q8_0.gguf",
      "init --model =x: 2 --model wants <id=path> [USAGE_INVALID_MODEL] | For example --model qwen2.5-7b=/models/qwen2.5-7b-q8_0.gguf",
      "init --model m=/nonexistent.gguf: 2 There is no model file /nonexistent.gguf [MODEL_FILE_MISSING] | Check the path after the equals sign.",
      "init --network mainnet: 2 "network" of the command line is not valid: must be one of arbitrum_sepolia, fhenix_testnet, devnet [CONFIG_INVALID] | Correct the option --network.",
    ]
  `);
});

test("as text: the same in two lines on stderr", async () => {
  const lines: string[] = [];
  for (const args of [
    ["statsu"],
    ["status", "--jsn"],
    ["infer", "hello"],
    ["demo", "--nodes", "2"],
    ["staking"],
    ["run", "--status-port", "x"],
    ["run", "--status-port", "70000"],
    ["run", "--log-level", "loud"],
    ["run", "--log-format", "xml"],
  ])
    lines.push(`${args.join(" ")}: ${errorText(await runCli(args))}`);
  expect(lines).toMatchInlineSnapshot(`
    [
      "statsu: 2 There is no command "statsu" [USAGE_UNKNOWN_COMMAND] | Did you mean \`blindference status\`?",
      "status --jsn: 2 Unknown option '--jsn' [USAGE] | Did you mean --json? Run \`blindference status --help\`.",
      "infer hello: 2 Required option '--model <id>' not specified [USAGE] | Run \`blindference infer --help\`.",
      "demo --nodes 2: 2 --nodes must be a whole number from 3 to 6 [USAGE_INVALID_OPTION] | Run \`blindference demo --help\`.",
      "staking: 2 \`staking\` needs a subcommand [USAGE] | Run \`blindference staking --help\`.",
      "run --status-port x: 2 --status-port must be a port number [USAGE_INVALID_OPTION] | Run \`blindference run --help\`.",
      "run --status-port 70000: 2 "status_port" of the command line is not valid: Too big: expected number to be <=65535 [CONFIG_INVALID] | Correct the option --status-port.",
      "run --log-level loud: 2 "log_level" of the command line is not valid: Invalid option: expected one of "debug"|"info"|"warn"|"error" [CONFIG_INVALID] | Correct the option --log-level.",
      "run --log-format xml: 2 "log_format" of the command line is not valid: Invalid option: expected one of "auto"|"text"|"json" [CONFIG_INVALID] | Correct the option --log-format.",
    ]
  `);
});

test("an amount is a plain decimal number of at most 18 decimals, or wei", async () => {
  const lines = new Set<string>();
  for (const amount of [
    "1e3",
    "-1",
    "1,000",
    "0x10",
    "1.0000000000000000001",
    "0",
    "",
    " 1",
    "1 BLIND",
    ".5",
    "1.",
    "٣",
    "NaN",
  ])
    lines.add(jsonErrorText(await runCli(["staking", "stake", "--json", "--", amount])));
  expect([...lines]).toMatchInlineSnapshot(`
    [
      "2 The amount is not a positive number of BLIND [AMOUNT_INVALID] | Write 1000, 1000.5 (a point, at most 18 decimals) or 1000000000000000000000wei.",
    ]
  `);
  expect(errorText(await runCli(["staking", "stake", "-1"]))).toBe([...lines][0]!);
});

test("control characters of an argument reach the terminal as visible escapes", async () => {
  const { stderr } = await runCli(["a\u001b[2J\nINFO forged"]);
  expect(stderr.split("\n")).toHaveLength(3);
  expect(stderr).toContain("\\u001b[2J\\u000aINFO forged");
  const option = await runCli(["status", "--x\u001b[2J\nforged"]);
  expect(option.stderr).not.toContain("\u001b");
  expect(option.stderr.split("\n")).toHaveLength(3);
});
