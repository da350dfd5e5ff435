import { dlopen, FFIType, ptr, toBuffer } from "bun:ffi";

/** From <sys/prctl.h>, <sys/resource.h> and <sys/ptrace.h>. */
const prSetDumpable = 4;
const rlimitCore = 4;
const ptDenyAttach = 31;

/**
 * Keeps the memory of this process, which holds keys and prompts, out of core dumps and away from debuggers of the same user. The
 * kernel forgets it at every exec, so each child does it for itself. Root can read everything all the same.
 * @returns whether the system agreed to all of it
 */
export function protectMemory(): boolean {
  try {
    if (process.platform === "linux") return protectOnLinux();
    if (process.platform === "darwin") return protectOnMac();
  } catch {
    // A C library by another name, say: the caller tells the operator.
  }
  return false;
}

const setrlimit = { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } as const;

/**
 * Overwrites the values of variables where the system put them when it started this process. Removing a variable from `process.env`
 * leaves them there, for `/proc/<pid>/environ`, `ps e` and a core dump to show. Read them first.
 * @returns whether all of them are gone
 */
export function eraseEnvironment(names: readonly string[]): boolean {
  if (names.length === 0) return true;
  const library = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";
  try {
    const { symbols } = dlopen(library, {
      getenv: { args: [FFIType.cstring], returns: FFIType.ptr },
      strlen: { args: [FFIType.ptr], returns: FFIType.u64 },
    });
    for (const name of names) {
      const value = symbols.getenv(Buffer.from(`${name}\0`));
      const length = value === null ? 0 : Number(symbols.strlen(value));
      if (value !== null && length > 0) toBuffer(value, 0, length).fill(0);
    }
    return true;
  } catch {
    return false;
  }
}

function protectOnLinux(): boolean {
  const number = FFIType.u64;
  const prctl = { args: [FFIType.i32, number, number, number, number], returns: FFIType.i32 } as const;
  const { symbols } = dlopen("libc.so.6", { prctl, setrlimit });
  const isUndumpable = symbols.prctl(prSetDumpable, 0n, 0n, 0n, 0n) === 0;
  return symbols.setrlimit(rlimitCore, ptr(noCore())) === 0 && isUndumpable;
}

function protectOnMac(): boolean {
  const ptrace = { args: [FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.i32], returns: FFIType.i32 } as const;
  const { symbols } = dlopen("libSystem.B.dylib", { ptrace, setrlimit });
  const isUntraceable = symbols.ptrace(ptDenyAttach, 0, null, 0) === 0;
  return symbols.setrlimit(rlimitCore, ptr(noCore())) === 0 && isUntraceable;
}

/** `struct rlimit` with both limits at zero. */
function noCore(): BigUint64Array {
  return new BigUint64Array(2);
}
