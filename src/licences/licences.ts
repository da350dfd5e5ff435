/** A third party's work in the executable. */
export type LicencePart = {
  name: string;
  /** Of the part itself, or of what it is inside of. */
  version: string;
  /** What it is inside of, when it is no package of its own: "Bun", "llama.cpp". */
  of?: string;
  /** SPDX expression. */
  licence: string;
  /** Places in `texts`. */
  texts: number[];
};

export type Licences = {
  /** By name. */
  parts: LicencePart[];
  /** Each text once, though many parts have it. */
  texts: string[];
};

/** As they lie in the executable: JSON, compressed. */
export function encodeLicences(licences: Licences): Uint8Array {
  return Bun.zstdCompressSync(JSON.stringify(licences), { level: 19 });
}

export function decodeLicences(bytes: Uint8Array<ArrayBuffer>): Licences {
  return JSON.parse(Bun.zstdDecompressSync(bytes).toString("utf8")) as Licences;
}

/** The full texts of a part, one after the other. */
export function textOf(part: LicencePart, { texts }: Pick<Licences, "texts">): string {
  return part.texts.map((index) => texts[index]).join("\n\n");
}
