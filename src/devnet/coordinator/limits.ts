/** Bounds of the coordinator. Times in seconds, sizes in bytes. */
export type Limits = {
  /** How far X-Timestamp may be from the coordinator's clock, in both directions (PROTOCOL.md 3). */
  signatureWindow: number;
  /** How many signed requests are remembered against replay; beyond that new ones are refused until old ones expire. */
  rememberedSignatures: number;
  /** Life of a challenge (PROTOCOL.md 10). */
  challengeLife: number;
  /** Life of a certificate (PROTOCOL.md 4.2). */
  certificateLife: number;
  /** A node whose last heartbeat is older gets no job (PROTOCOL.md 10). */
  heartbeatGrace: number;
  /** Time to claim after an assignment, and to answer after a claim (PROTOCOL.md 10). */
  assignmentLife: number;
  claimLife: number;
  /** A verifier that had the leader's CID for less than this before its own deadline is not to blame for its silence. */
  verifierGrace: number;
  /** Time for a requester to store the prompt key of a job that was submitted without it. */
  storeKeyLife: number;
  /** Largest body of a JSON request. */
  bodyBytes: number;
  /** Largest multipart body of an uploaded prompt. */
  uploadBytes: number;
};

export const defaultLimits: Limits = {
  signatureWindow: 120,
  rememberedSignatures: 100_000,
  challengeLife: 300,
  certificateLife: 86_400,
  heartbeatGrace: 300,
  assignmentLife: 300,
  claimLife: 300,
  verifierGrace: 30,
  storeKeyLife: 300,
  bodyBytes: 256 * 1024,
  uploadBytes: 16 * 1024 * 1024,
};
