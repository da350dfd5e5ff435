import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, isBuilt } from "./executable.ts";

const repository = join(import.meta.dir, "..", "..");
const tools = ["unshare", "setpriv", "chroot", "ip", "ldd"].map((name) => Bun.which(name));

/** Whether this process may make namespaces and change its root, as a container engine does. */
export const canBeContainerEngine =
  isBuilt &&
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  tools.every((tool) => tool !== null) &&
  Bun.spawnSync(["unshare", "--mount", "--net", "--pid", "--fork", "true"]).success;

if (!canBeContainerEngine)
  console.warn(
    "The container image is not tested: that needs Linux, root, unshare, setpriv, chroot and ip, and a built dist/.",
  );

export const dockerfile = readFileSync(join(repository, "Dockerfile"), "utf8");

/** An instruction of the last stage, in its JSON form: `ENTRYPOINT ["/blindference"]`. */
export function instruction(name: string): string[] {
  const text = new RegExp(`^${name}.*?(\\[.*\\])$`, "m").exec(dockerfile)?.[1];
  if (text === undefined) throw new Error(`the Dockerfile has no ${name}`);
  return JSON.parse(text) as string[];
}

export type ImageRoot = { root: string; [Symbol.dispose](): void };

/** The image's root file system, made by the Dockerfile's own script. */
export function buildImageRoot(): ImageRoot {
  const directory = mkdtempSync(join(tmpdir(), "blindference-image-"));
  const root = join(directory, "image");
  chmodSync(directory, 0o755);
  mkdirSync(root);
  copyFileSync(executable, join(root, "blindference"));
  const script = /<<'SCRIPT'\n(.*?)\nSCRIPT$/ms.exec(dockerfile)![1]!;
  const { success, stderr } = Bun.spawnSync(["sh", "-c", script], { env: { PATH: process.env["PATH"]!, ROOT: root } });
  if (!success) throw new Error(`the Dockerfile's script failed: ${stderr.toString()}`);
  // An engine mounts these.
  for (const name of ["proc", "dev"]) mkdirSync(join(root, name));
  return { root, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

/** The shell words that run the image's executable as the image's user. */
export function inImage(root: string, args: readonly string[], env: Record<string, string> = {}): string {
  const variables = { HOME: "/data", BLF_CONFIG_DIR: "/data", ...env };
  return `${cleanEnvironment(variables)} ${Bun.which("chroot")} --userspec=65532:65532 ${root} ${args.map(quoted).join(" ")}`;
}

/** The shell words that run a script in the Dockerfile's first stage, as the image's user. */
export function inBaseStage(root: string, script: string, env: Record<string, string>): string {
  const variables = { PATH: "/usr/bin:/bin", ROOT: root, ...env };
  const user = "setpriv --reuid=65532 --regid=65532 --clear-groups";
  return `${cleanEnvironment(variables)} ${user} /bin/sh -euc ${quoted(script)}`;
}

function cleanEnvironment(variables: Record<string, string>): string {
  return `env -i ${Object.entries(variables)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(" ")}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Runs a script with its own mounts, processes and network, of which nothing stays behind. */
export async function isolated(
  root: string,
  script: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const prepare = `set -eu
ip link set lo up
mount -t proc proc ${root}/proc
for device in null zero random urandom; do
  touch ${root}/dev/$device
  mount --bind /dev/$device ${root}/dev/$device
done
`;
  const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child"];
  const child = Bun.spawn(["unshare", ...namespaces, "bash", "-c", prepare + script], {
    env: { PATH: process.env["PATH"]! },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 150_000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}
