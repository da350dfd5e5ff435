import { join } from "node:path";
import { label, marker, runtimeVariables, type ServicePlan, stopSeconds } from "./plan.ts";

type Value = string | number | boolean | Value[] | { [key: string]: Value };

/** A launchd property list that runs the node at login, or at the start of the machine, and again when it fails. */
export function launchdPlist(plan: ServicePlan): string {
  const values: Value = {
    Label: label,
    // launchd cannot unset a variable; env can.
    ProgramArguments: ["/usr/bin/env", ...runtimeVariables.flatMap((name) => ["-u", name]), ...plan.command],
    EnvironmentVariables: { BLF_CONFIG_DIR: plan.directory, BLF_KEY_PASSWORD_FILE: plan.passwordFile },
    ...(plan.system ? { UserName: plan.user } : {}),
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 10,
    ExitTimeOut: stopSeconds,
    ProcessType: "Standard",
    StandardErrorPath: join(plan.directory, "node.log"),
    Umask: 0o077,
    HardResourceLimits: { Core: 0 },
  };
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- ${marker} -->
<plist version="1.0">
${xml(values, "")}
</plist>
`;
}

function xml(value: Value, indent: string): string {
  const inner = `${indent}  `;
  if (typeof value === "boolean") return `${indent}<${value}/>`;
  if (typeof value === "number") return `${indent}<integer>${value}</integer>`;
  if (typeof value === "string") return `${indent}<string>${escaped(value)}</string>`;
  if (Array.isArray(value))
    return [`${indent}<array>`, ...value.map((item) => xml(item, inner)), `${indent}</array>`].join("\n");
  const entries = Object.entries(value).flatMap(([key, item]) => [
    `${inner}<key>${escaped(key)}</key>`,
    xml(item, inner),
  ]);
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
