import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { checkMetadata, type GgufMetadata } from "./gguf-metadata.ts";
import { ggufReader, Malformed, type RandomAccess, UnexpectedEnd } from "./gguf-reader.ts";
import { checkTensors, type TensorInfo } from "./gguf-tensors.ts";

/** What a GGUF says about itself. */
export type GgufHeader = {
  version: number;
  metadata: GgufMetadata;
  tensors: TensorInfo[];
  architecture: string;
  /** Tokens that the model was trained to look back on. */
  contextLength: number;
};

const maxMetadataEntries = 65536;
const maxTensors = 1_000_000;

/**
 * Reads the header of a GGUF and refuses what would end the process inside llama.cpp: it takes missing keys for programming errors.
 * Only the header is read.
 * @throws BlfError `MODEL_NOT_FOUND`, `MODEL_UNREADABLE`, `MODEL_NOT_GGUF`, `MODEL_TRUNCATED`, `MODEL_KEY_MISSING`, `MODEL_CORRUPT`, `MODEL_ARCHITECTURE_UNSUPPORTED`
 */
export function readGgufFile(path: string): GgufHeader {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw cannotOpen(path, errorCode(error), error);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw cannotOpen(path, "EISDIR");
    return readGguf({ size: stat.size, read: (target, offset) => readSync(file, target, 0, target.length, offset) });
  } catch (error) {
    if (error instanceof BlfError) throw error;
    throw cannotOpen(path, errorCode(error), error);
  } finally {
    closeSync(file);
  }
}

/** The same for a file that is open already, or lies in memory. */
export function readGguf(file: RandomAccess): GgufHeader {
  try {
    return parse(file);
  } catch (error) {
    if (error instanceof UnexpectedEnd) throw truncated();
    if (error instanceof Malformed) throw corrupt(error.message);
    throw error;
  }
}

function parse(file: RandomAccess): GgufHeader {
  const start = new Uint8Array(4);
  if (file.read(start, 0) < 4 || new TextDecoder().decode(start) !== "GGUF") throw notGguf();
  const reader = ggufReader(file);
  reader.u32();
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw unsupportedVersion(version);
  const tensorCount = reader.u64();
  const metadataCount = reader.u64();
  if (metadataCount > maxMetadataEntries || tensorCount > maxTensors)
    throw new Malformed("it has impossibly many entries");
  const metadata: GgufMetadata = new Map();
  for (let i = 0; i < metadataCount; i++) {
    const key = reader.string();
    if (metadata.has(key)) throw new Malformed("a key appears twice");
    metadata.set(key, reader.value(key === "tokenizer.ggml.tokens"));
  }
  const { architecture, contextLength } = checkMetadata(metadata);
  const tensors: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.string();
    const dimensions = reader.u32();
    if (dimensions < 1 || dimensions > 4) throw new Malformed("a tensor has no or too many dimensions");
    const shape = Array.from({ length: dimensions }, () => reader.u64());
    tensors.push({ name, shape, type: reader.u32(), offset: reader.u64() });
  }
  checkTensors({ tensors, metadata, headerEnd: reader.position(), fileSize: file.size });
  return { version, metadata, tensors, architecture, contextLength };
}

function notGguf(): BlfError {
  return new BlfError({
    code: "MODEL_NOT_GGUF",
    message: "The model file is not a GGUF",
    hint: "Give the path of a .gguf file; other formats must be converted first.",
  });
}

function unsupportedVersion(version: number): BlfError {
  return new BlfError({
    code: "MODEL_NOT_GGUF",
    message: `The model file has GGUF version ${version}, which is not supported`,
    hint: "Use a little-endian GGUF of version 2 or 3.",
  });
}

function truncated(): BlfError {
  return new BlfError({
    code: "MODEL_TRUNCATED",
    message: "The model file ends too early",
    hint: "It was probably not downloaded completely: download it again.",
  });
}

function corrupt(what: string): BlfError {
  return new BlfError({
    code: "MODEL_CORRUPT",
    message: `The model file is damaged: ${what}`,
    hint: "Download it again and compare its SHA-256.",
  });
}

function cannotOpen(path: string, code: string, cause?: unknown): BlfError {
  const missing = code === "ENOENT" || code === "ENOTDIR";
  return new BlfError({
    code: missing ? "MODEL_NOT_FOUND" : "MODEL_UNREADABLE",
    message: missing ? `There is no model file at ${path}` : `The model file ${path} cannot be read (${code})`,
    hint: missing ? "Correct the path in the configuration." : "Give this user read access to the file.",
    cause,
  });
}
