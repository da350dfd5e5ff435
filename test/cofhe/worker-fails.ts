declare const self: {
  onmessage: ((event: MessageEvent<{ id: number }>) => void) | null;
  postMessage(answer: unknown): void;
};

// A prover's Worker whose proofs do not succeed.
self.onmessage = ({ data }) => {
  if ("id" in data) self.postMessage({ id: data.id, failure: "proof" });
};

export {};
