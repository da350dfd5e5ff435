import { join } from "node:path";
import { marker, runtimeVariables, type ServicePlan, stopSeconds } from "./plan.ts";

/**
 * A systemd unit that runs the node with as little of the machine as it needs. Memory stays executable, since the JavaScript
 * engine compiles, and devices stay visible, since the GPU and the TPM are among them.
 */
export function systemdUnit(plan: ServicePlan): string {
  const { system } = plan;
  return `# ${marker}. Keep changes in a drop-in: systemctl ${system ? "" : "--user "}edit blindference
[Unit]
Description=Blindference node
Wants=network-online.target
After=network-online.target
# However often it fails, it is started again.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${commandLine(plan.command)}
${system ? `User=${plan.user}\n` : ""}Environment=${quotedSetting(`BLF_CONFIG_DIR=${plan.directory}`)}
Environment=BLF_KEY_PASSWORD_FILE=%d/password
Environment=XDG_CACHE_HOME=%C
# Secrets such as BLF_IPFS_UPLOAD_JWT, one NAME=value in a line; mode 0600.
EnvironmentFile=-${settingPath(join(plan.directory, "environment"))}
UnsetEnvironment=${runtimeVariables.join(" ")}
LoadCredential=password:${settingPath(plan.passwordFile)}
CacheDirectory=blindference
CacheDirectoryMode=0700

Restart=on-failure
RestartSec=10
# Usage, not initialised, authentication: starting again would not help.
RestartPreventExitStatus=2 3 4
KillSignal=SIGTERM
KillMode=mixed
# A claim lasts 300 s; the node finishes what it has claimed.
TimeoutStopSec=${stopSeconds}

MemoryMax=${plan.memoryMax}
LimitCORE=0
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=${quotedSetting(plan.directory)}
PrivateTmp=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
${system ? onlySystem : onlyUser}
[Install]
WantedBy=${system ? "multi-user.target" : "default.target"}
`;
}

/** What only the manager of the whole machine can do. */
const onlySystem = `CapabilityBoundingSet=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
`;

/** A user's manager can protect the file system only in a user namespace. */
const onlyUser = `PrivateUsers=yes
`;

/** Nothing in it is expanded: in the arguments a dollar sign begins a variable, in the executable's name it does not. */
function commandLine([executable = "", ...args]: string[]): string {
  return [quotedSetting(executable), ...args.map((word) => quotedSetting(word).replaceAll("$", "$$$$"))].join(" ");
}

/** A value in a list of values. */
function quotedSetting(text: string): string {
  const escaped = withoutSpecifiers(text);
  return /^[A-Za-z0-9_./:@%$+=-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/** A path that is the whole value: taken as it is, but for specifiers. */
function settingPath(text: string): string {
  return text.replaceAll("%", "%%");
}

function withoutSpecifiers(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%");
}
