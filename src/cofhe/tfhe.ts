/** What the prover uses of TFHE. Named one by one, so that the executable carries no more of its two hundred classes. */
export { CompactPkeCrs, ProvenCompactCiphertextList, TfheCompactPublicKey, ZkComputeLoad } from "node-tfhe";
