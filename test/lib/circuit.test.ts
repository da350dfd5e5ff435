import { describe, expect, test } from "bun:test";
import { type CircuitOptions, createCircuits } from "../../src/lib/circuit.ts";
import { manualClock } from "../helpers/manual-clock.ts";

const options: CircuitOptions = { threshold: 3, initialMs: 1000, maxMs: 4000, maxRetryAfterMs: 10_000 };

function made(change: Partial<CircuitOptions> = {}) {
  const clock = manualClock();
  const circuits = createCircuits({ clock });
  const circuit = circuits.of("icl", { ...options, ...change });
  const fail = (times: number) => {
    for (let count = 0; count < times; count++) circuit.failed();
  };
  return { clock, circuits, circuit, fail };
}

describe("a circuit", () => {
  test("opens after so many failures in a row, and a success in between starts the count anew", () => {
    const { circuit, fail } = made();
    fail(2);
    expect([circuit.isOpen(), circuit.admits()]).toEqual([false, true]);
    circuit.succeeded();
    fail(2);
    expect(circuit.isOpen()).toBe(false);
    fail(1);
    expect([circuit.isOpen(), circuit.admits()]).toEqual([true, false]);
  });

  test("lets one call through when its time is over, and the next one as much later, even if nothing is heard of the first", () => {
    const { circuit, clock, fail } = made();
    fail(3);
    clock.advance(999);
    expect(circuit.admits()).toBe(false);
    clock.advance(1);
    expect([circuit.admits(), circuit.admits()]).toEqual([true, false]);
    clock.advance(1000);
    expect([circuit.admits(), circuit.admits()]).toEqual([true, false]);
  });

  test("stays open twice as long after each failed trial, up to its limit, and not at all after one that succeeded", () => {
    const { circuit, clock, fail } = made();
    fail(3);
    for (const ms of [1000, 2000, 4000, 4000]) {
      clock.advance(ms - 1);
      expect([ms, circuit.isOpen()]).toEqual([ms, true]);
      clock.advance(1);
      expect([ms, circuit.isOpen(), circuit.admits()]).toEqual([ms, false, true]);
      fail(1);
    }
    circuit.succeeded();
    expect(circuit.admits()).toBe(true);
    fail(3);
    clock.advance(1000);
    expect(circuit.admits()).toBe(true);
  });

  test("many calls that fail in the same moment are one failure", () => {
    const { circuit, clock, fail } = made();
    fail(50);
    clock.advance(1000);
    expect(circuit.admits()).toBe(true);
  });

  test("does what the service asks for, at once and within bounds", () => {
    for (const [asked, kept] of [
      [2500, 2500],
      [3_600_000, 10_000],
    ] as const) {
      const { circuit, clock } = made();
      circuit.failed(asked);
      clock.advance(kept - 1);
      expect([asked, circuit.isOpen()]).toEqual([asked, true]);
      clock.advance(1);
      expect([asked, circuit.isOpen()]).toEqual([asked, false]);
    }
  });

  test("a clock that is set back does not keep it open", () => {
    const { circuit, clock, fail } = made();
    fail(3);
    clock.advance(-3_600_000);
    expect([circuit.isOpen(), circuit.admits()]).toEqual([false, true]);
  });

  test("jitter only ever shortens it", () => {
    const clock = manualClock();
    const circuit = createCircuits({ clock, random: () => 0 }).of("x", { ...options, threshold: 1 });
    circuit.failed();
    clock.advance(799);
    expect(circuit.isOpen()).toBe(true);
    clock.advance(1);
    expect(circuit.isOpen()).toBe(false);
  });
});

test("the states of all of them can be seen, and a name means one circuit", () => {
  const { circuits, circuit, clock, fail } = made();
  circuits.of("upload", options);
  expect(circuits.of("icl", options)).toBe(circuit as ReturnType<typeof circuits.of>);
  fail(3);
  const upload = { name: "upload", state: "closed", failures: 0 } as const;
  expect(circuits.states()).toEqual([{ name: "icl", state: "open", failures: 3 }, upload]);
  clock.advance(1000);
  expect(circuits.states()[0]).toEqual({ name: "icl", state: "half-open", failures: 3 });
  circuit.succeeded();
  expect(circuits.states()[0]).toEqual({ name: "icl", state: "closed", failures: 0 });
});
