import { expect, test } from "bun:test";
import { defaultModelId, parseSource } from "../../../src/inference/pull/source.ts";

const idOf = (text: string) => {
  const source = parseSource(text);
  return "url" in source ? defaultModelId(source.url) : undefined;
};

test("a model is called what its file is called", () => {
  expect(idOf("https://host/some/Qwen2.5-0.5B%20Instruct.GGUF?download=true")).toBe("qwen2.5-0.5b instruct");
});

test("a name that is encoded wrongly is taken as it stands", () => {
  expect(idOf("https://host/%zz.gguf")).toBe("%zz");
  expect(idOf("https://host/100%.gguf")).toBe("100%");
});
