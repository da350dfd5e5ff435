import { userInfo } from "node:os";
import { dirname } from "node:path";
import type { Manager, ServicePlan } from "./plan.ts";

/** What the operator runs after `service install`. */
export function nextCommands({ manager, system, path, passwordFile }: ServicePlan): string[] {
  const sudo = system ? "sudo " : "";
  const store = `${sudo}install -m 600 /dev/stdin ${shellWord(passwordFile)}`;
  if (manager === "launchd")
    return [
      `read -rs PASSWORD && echo "$PASSWORD" | ${store}; unset PASSWORD`,
      `${sudo}launchctl bootstrap ${domain(system)} ${shellWord(path)}`,
    ];
  const control = system ? "sudo systemctl" : "systemctl --user";
  return [
    ...(system ? [`sudo install -d -m 700 ${shellWord(dirname(passwordFile))}`] : []),
    `systemd-ask-password "Password of the keystore:" | ${store}`,
    `${control} daemon-reload`,
    `${control} enable --now blindference`,
    ...(system ? [] : ["loginctl enable-linger   # keeps it running when you log out"]),
    system ? "journalctl -u blindference -f" : "journalctl --user -u blindference -f",
  ];
}

/** What the operator runs after `service uninstall`. */
export function stopCommands(manager: Manager, system: boolean, path: string): string[] {
  if (manager === "launchd") return [`${system ? "sudo " : ""}launchctl bootout ${domain(system)} ${shellWord(path)}`];
  const control = system ? "sudo systemctl" : "systemctl --user";
  return [`${control} disable --now blindference`, `${control} daemon-reload`];
}

function domain(system: boolean): string {
  return system ? "system" : `gui/${userInfo().uid}`;
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
