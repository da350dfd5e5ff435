declare const self: { onmessage: (() => void) | null };

// A prover's Worker that dies in the middle of a proof.
self.onmessage = () => {
  setTimeout(() => process.exit(1), 50);
};

export {};
