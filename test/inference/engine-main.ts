import { runEngineHost } from "../../src/inference/llama/host.ts";

await runEngineHost();
