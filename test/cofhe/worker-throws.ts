declare const self: { onmessage: ((event: MessageEvent<{ values: bigint[] }>) => void) | null };

// A prover's Worker with a fault that tells what it knows.
self.onmessage = ({ data }) => {
  if (!("values" in data)) return;
  throw new Error(`cannot prove ${data.values.join()}`);
};

export {};
