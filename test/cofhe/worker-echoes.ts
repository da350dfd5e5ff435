declare const self: {
  onmessage: ((event: MessageEvent<{ id: number; values: bigint[] }>) => void) | null;
  postMessage(answer: unknown): void;
};

// A prover's Worker whose "proof" tells about the Worker: how often it was asked, and how much it sees of the environment.
let asked = 0;
self.onmessage = ({ data }) => {
  if (!("id" in data)) return;
  asked++;
  const text = JSON.stringify({ asked, environment: Object.keys(process.env) });
  self.postMessage({ id: data.id - 1, proof: new Uint8Array([0]) });
  self.postMessage({ id: data.id, proof: new TextEncoder().encode(text) });
};

export {};
