declare const self: { onmessage: (() => void) | null; postMessage(answer: unknown): void };

// A prover's Worker that computes without end, and says that it has begun to.
self.onmessage = () => {
  new BroadcastChannel("worker-spins").postMessage("began");
  const until = performance.now() + 60_000;
  while (performance.now() < until);
};

export {};
