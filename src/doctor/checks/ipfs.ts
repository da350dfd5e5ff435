import { createDownloader } from "../../ipfs/download.ts";
import { BlfError } from "../../lib/errors.ts";
import { createNodeUploader } from "../../node/uploader.ts";
import { type Check, failed, notChecked, ok, warning } from "../check.ts";

const probeBytes = 1024;

export const uploaderCheck: Check = {
  id: "uploader",
  title: "upload service",
  needs: "node",
  async run({ config, secrets, log }) {
    if (createNodeUploader(config, secrets, log)) return [ok(this, config.ipfs_upload_kind)];
    const remedy =
      config.ipfs_upload_kind === "kubo"
        ? "Set ipfs_upload_url to a node with /api/v0/add."
        : "Set BLF_IPFS_UPLOAD_JWT to a JWT of Pinata, or ipfs_upload_kind to kubo.";
    return [warning(this, "none is configured: this node verifies but never leads", remedy)];
  },
};

export const keyStoreCheck: Check = {
  id: "key-store",
  title: "storing of output keys",
  needs: "node",
  async run({ config }) {
    if (!config.skip_output_key_storage) return [ok(this, "on")];
    return [
      warning(
        this,
        "skip_output_key_storage is set: this node verifies but never leads",
        "Run `blindference config set skip_output_key_storage false`.",
      ),
    ];
  },
};

/** Uploads random bytes and reads them back: two findings, so that it is clear which way is blocked. */
export const ipfsCheck: Check = {
  id: "ipfs-upload",
  title: "IPFS upload",
  needs: "node",
  timeoutMs: 40_000,
  async run({ config, secrets, log, fetch, clock, random, signal }) {
    const download = { id: "ipfs-download", title: "IPFS download" };
    const uploader = createNodeUploader(config, secrets, log);
    if (!uploader) return [this, download].map((about) => notChecked(about, "no upload service is configured"));
    const bytes = random(probeBytes);
    let cid: string;
    try {
      cid = await uploader.upload(bytes, "blindference-doctor.bin", signal);
    } catch (error) {
      if (!(error instanceof BlfError)) throw error;
      return [failed(this, error.message, error.hint), notChecked(download, "nothing could be uploaded")];
    }
    const uploaded = ok(this, `${probeBytes} random bytes as ${cid.slice(0, 20)}…`);
    try {
      const gateways = [...new Set([config.ipfs_gateway, ...config.ipfs_gateways])];
      await createDownloader({ fetch, gateways, log, clock }).download(cid, signal);
      return [uploaded, ok(download, "the same bytes came back")];
    } catch (error) {
      if (!(error instanceof BlfError)) throw error;
      return [uploaded, failed(download, error.message, error.hint)];
    }
  },
};
