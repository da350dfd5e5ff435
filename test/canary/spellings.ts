/** Something that must not be found anywhere. */
export type Canary = { name: string; value: string | Uint8Array };

export type Needle = { name: string; spelling: string; bytes: Buffer };

/** Shorter texts would be found by chance. */
const shortest = 8;

/** Every way in which a canary may have been written down, as bytes to look for. */
export function needlesOf({ name, value }: Canary): Needle[] {
  const bytes = Buffer.from(value);
  const forms: Record<string, string | Buffer> = {
    raw: bytes,
    hex: bytes.toString("hex"),
    "upper-case hex": bytes.toString("hex").toUpperCase(),
    ...base64Forms(bytes),
    ...(typeof value === "string" ? textForms(value) : { "bytes as a JSON list": [...bytes].join(",") }),
  };
  const seen = new Set<string>();
  return Object.entries(forms).flatMap(([spelling, form]) => {
    const needle = Buffer.from(form);
    const key = needle.toString("latin1");
    if (needle.length < shortest || seen.has(key)) return [];
    seen.add(key);
    return [{ name, spelling, bytes: needle }];
  });
}

/** Amid other bytes a canary begins at any of three places in base64: what is the same wherever its neighbours end. */
function base64Forms(bytes: Buffer): Record<string, string> {
  const forms: Record<string, string> = {};
  for (const shift of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]);
    const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString("base64");
    const inner = whole.slice(shift === 0 ? 0 : 4);
    forms[`base64 at ${shift}`] = inner;
    forms[`base64url at ${shift}`] = inner.replaceAll("+", "-").replaceAll("/", "_");
  }
  return forms;
}

function textForms(text: string): Record<string, string | Buffer> {
  const json = JSON.stringify(text).slice(1, -1);
  return {
    JSON: json,
    "JSON in JSON": JSON.stringify(json).slice(1, -1),
    "JSON of ASCII only": json.replace(
      /[\u0080-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
    "UTF-16": Buffer.from(text, "utf16le"),
    "percent-encoded": encodeURIComponent(text),
    "a form's": new URLSearchParams({ x: text }).toString().slice(2),
  };
}
