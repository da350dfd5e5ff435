import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Wallet } from "ethers";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { idOfFile } from "../../src/cli/init/models.ts";
import { outputs } from "../../src/cli/init.ts";
import { address, emptyDirectory, privateKey } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";
import { down, enter, interrupt, runOnTerminal } from "./terminal.ts";

setDefaultTimeout(120_000);

const password = "a password for the wizard";

describe("the conversation", () => {
  test("asks for wallet, password, network and model, tries the model, and writes what was answered", async () => {
    using directory = emptyDirectory();
    const model = join(directory.dir, "Tiny-1B-Instruct-Q8_0.gguf");
    writeFileSync(model, buildTinyModel({ seed: 3 }));
    await using terminal = runOnTerminal(["init"], { env: directory.env });
    await terminal.see("The node needs a wallet of its own");
    expect(terminal.text()).toContain("processor");
    expect(terminal.text()).toContain("would fit");
    terminal.type(down);
    await terminal.see("Import a private key");
    terminal.type(enter);
    await terminal.see("Private key (64 hex digits)");
    terminal.type(`0xnothex${enter}`);
    await terminal.see("not 64 hexadecimal digits");
    terminal.type("\u007f".repeat("0xnothex".length));
    terminal.type(`${privateKey}${enter}`);
    await terminal.see("A password for the keystore");
    terminal.type(`short${enter}`);
    await terminal.see("At least 8 characters");
    terminal.type("\u007f".repeat(5) + password + enter);
    await terminal.see("The same password again");
    terminal.type(`${password}x${enter}`);
    await terminal.see("It differs");
    terminal.type(`\u007f${enter}`);
    await terminal.see("Which network?");
    terminal.type(down);
    await terminal.see("a network of your own");
    terminal.type(enter);
    await terminal.see("Which model does this node serve?");
    terminal.type(enter);
    await terminal.see("Path of the GGUF file");
    terminal.type(`/nonexistent.gguf${enter}`);
    await terminal.see("There is no model file");
    terminal.type("\u007f".repeat("/nonexistent.gguf".length) + model + enter);
    await terminal.see("Its id in the network");
    terminal.type(enter);
    await terminal.see("gives the same answer twice");
    expect(existsSync(join(directory.path, "keystore.json"))).toBe(false);
    await terminal.see("blindference run");
    expect(await terminal.ended).toBe(0);

    expect(terminal.text()).not.toContain(privateKey.slice(2));
    expect(terminal.text()).not.toContain(password);
    const config = JSON.parse(readFileSync(join(directory.path, "config.json"), "utf8")) as object;
    expect(config).toEqual({
      node_address: address,
      network: "devnet",
      models: { "tiny-1b": { path: model } },
      supported_model_ids: ["tiny-1b"],
    });
    const opened = await Wallet.fromEncryptedJson(
      readFileSync(join(directory.path, "keystore.json"), "utf8"),
      password,
    );
    expect(opened.address).toBe(address);
  });

  test("that is broken off leaves nothing behind, and the cursor visible", async () => {
    using directory = emptyDirectory();
    await using terminal = runOnTerminal(["init"], { env: directory.env });
    await terminal.see("The node needs a wallet of its own");
    terminal.type(interrupt);
    await terminal.see("[CANCELLED]");
    expect(await terminal.ended).toBe(1);
    expect(existsSync(directory.path)).toBe(false);
    expect(terminal.raw().lastIndexOf("\u001b[?25h")).toBeGreaterThan(terminal.raw().lastIndexOf("\u001b[?25l"));
  });
});

describe("without a terminal", () => {
  test("--json tells what the machine has, what would fit, which keys are there, and how the models did", async () => {
    using directory = emptyDirectory();
    writeFileSync(join(directory.dir, "good.gguf"), buildTinyModel({ seed: 4 }));
    writeFileSync(join(directory.dir, "broken.gguf"), "GGUF, it says");
    const args = ["init", "--json", "--model", "good=good.gguf", "--model", "broken=broken.gguf"];
    const { code, stdout, stderr } = await runCli(args, {
      env: { ...directory.env, BLF_KEY_PASSWORD: password, GROQ_API_KEY: "gsk_canary_1" },
      cwd: directory.dir,
    });
    expect([code, stderr]).toEqual([0, ""]);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(outputs["init"]!.safeParse(document).error).toBeUndefined();
    expect(document).toMatchObject({ models: ["good", "broken"], cloudKeys: ["groq"] });
    const [good, broken] = document["probes"] as Record<string, unknown>[];
    expect(good).toMatchObject({ model: "good", repeats: true, error: null });
    expect(good!["tokens"]).toBeGreaterThan(24);
    expect(broken).toMatchObject({ model: "broken", repeats: null, error: { code: "MODEL_NOT_GGUF" } });
    expect(stdout).not.toContain("canary");
  });

  test("--no-probe tries nothing, and the text says what was found", async () => {
    using directory = emptyDirectory();
    writeFileSync(join(directory.dir, "broken.gguf"), "");
    const { code, stdout, stderr } = await runCli(["init", "--no-probe", "--model", "m=broken.gguf"], {
      env: { ...directory.env, BLF_KEY_PASSWORD: password },
      cwd: directory.dir,
    });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain("probe ");
    for (const name of ["processor", "memory", "GPU", "cloud keys", "would fit"])
      expect(stdout).toMatch(new RegExp(`^${name} +\\S`, "m"));
  });
});

test("the id that is proposed for a file leaves out its quantization", () => {
  const ids = [
    "qwen2.5-7b-instruct-q4_k_m.gguf",
    "Meta-Llama-3.1-8B-Instruct-Q8_0.GGUF",
    "phi-4-IQ3_XXS.gguf",
    "facebook__opt-125m-f16.gguf",
    "model.gguf",
  ].map(idOfFile);
  expect(ids).toEqual(["qwen2.5-7b", "meta-llama-3.1-8b", "phi-4", "facebook/opt-125m", "model"]);
});
