import type { Backend, BackendHealth } from "../backend.ts";

/** A backend that looks at each of its models before it offers it. */
export type ProbedBackend = Backend & {
  modelHealth(modelId: string): BackendHealth;
  /** Whether the model was found fit to answer for a quorum. Only such a model is advertised. */
  isOffered(modelId: string): boolean;
  /** Whether a job for the model may be claimed now. */
  isOpen(modelId: string): boolean;
  /** Looks at the model again. Costs no money. @throws BlfError of the backend; the signal's reason when aborted */
  probe(modelId: string, signal: AbortSignal): Promise<void>;
};
