import { createSender } from "../../../src/chain/sender.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import type { Journal } from "../../../src/node/journal/journal.ts";

/** A process that ends at one point: nothing that it had begun goes on, and nothing of it is written any more. */
export type Crash = {
  /** Points that were passed, in order. */
  passed: string[];
  /** Resolves when the process is gone. */
  gone: Promise<void>;
  isGone(): boolean;
  /** The same context, which passes a point before and after all that can be seen from outside. */
  around(ctx: NodeContext): NodeContext;
};

/** `at` is the name of a point, such as `upload:after`; without one nothing crashes. */
export function createCrash(at?: string): Crash {
  const passed: string[] = [];
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  let dead = false;

  const pass = (point: string): void => {
    if (dead) throw new Error("the process is gone");
    const count = passed.filter((earlier) => earlier.split("#", 1)[0] === point).length + 1;
    const name = count === 1 ? point : `${point}#${count}`;
    passed.push(name);
    if (name !== at) return;
    dead = true;
    resolve();
    throw new Error("the process is gone");
  };

  const passAsync = async (point: string): Promise<void> => {
    try {
      pass(point);
    } catch {
      await new Promise(() => {});
    }
  };

  const sync = <A extends unknown[], R>(name: string, action: (...args: A) => R) => {
    return (...args: A): R => {
      pass(`${name}:before`);
      const result = action(...args);
      pass(`${name}:after`);
      return result;
    };
  };

  const slow = <A extends unknown[], R>(name: string, action: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      await passAsync(`${name}:before`);
      const result = await action(...args);
      await passAsync(`${name}:after`);
      return result;
    };
  };

  const journalAround = (journal: Journal): Journal => ({
    ...journal,
    begin: sync("begin", journal.begin),
    advance: (key, to, change, options) => sync(`advance-${to}`, journal.advance)(key, to, change, options),
    update: sync("update", journal.update),
    commit: sync("commit", journal.commit),
    transactions: {
      ...journal.transactions,
      save: (transaction) => sync(`save-${transaction.status}`, journal.transactions.save)(transaction),
    },
  });

  return {
    passed,
    gone,
    isGone: () => dead,
    around: (ctx) => {
      const journal = journalAround(ctx.journal);
      const { icl, cofhe, keyPool, downloader, uploader, inference, wallet, chain, clock, log } = ctx;
      const { address, signTransaction } = wallet.account;
      const account = { address, signTransaction: slow("sign", signTransaction) as typeof signTransaction };
      return {
        ...ctx,
        journal,
        sender: createSender({ chain, account, store: journal.transactions, clock, log, maxFeePerGas: 10n ** 10n }),
        icl: {
          ...icl,
          claim: slow("claim", icl.claim),
          submitResult: slow("submit", icl.submitResult),
          submitVerdict: slow("submit", icl.submitVerdict),
          jobStatus: slow("status", icl.jobStatus),
        },
        cofhe: { ...cofhe, decryptKey: slow("decrypt", cofhe.decryptKey) },
        keyPool: { ...keyPool, take: slow("take", keyPool.take) },
        downloader: { download: slow("download", downloader.download) },
        uploader: uploader && { upload: slow("upload", uploader.upload) },
        inference: {
          ...inference,
          warm: slow("warm", inference.warm),
          generate: slow("generate", inference.generate),
        },
      };
    },
  };
}
