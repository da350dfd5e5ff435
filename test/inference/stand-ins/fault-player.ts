import type { Socket } from "bun";

export type PlayedRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
};

/** What a stand-in does with one request. */
export type Play =
  | { kind: "answer"; status?: number; headers?: Record<string, string>; body: string | Uint8Array }
  /** Bytes as they are, and the end of the connection. */
  | { kind: "bytes"; bytes: string | Uint8Array }
  /** Nothing, with the connection open. */
  | { kind: "hang" }
  /** A head, and then one byte now and then, for ever. */
  | { kind: "drip" }
  /** A body that goes on until nobody reads it any more. */
  | { kind: "flood" };

export type FaultPlayer = {
  url: string;
  /** Every request, in the order of arrival. */
  requests: PlayedRequest[];
  /** Connections that are open now. */
  open(): number;
  stop(): void;
};

type State = { received: Buffer; timer?: Timer; flooding?: boolean };

const flood = Buffer.alloc(256 * 1024, "x");

/** An HTTP/1.1 server on loopback, made of bare sockets, so that it can also answer what no server would. */
export function startFaultPlayer(play: (request: PlayedRequest, index: number) => Play | Promise<Play>): FaultPlayer {
  const requests: PlayedRequest[] = [];
  const sockets = new Set<Socket<State>>();

  const perform = (socket: Socket<State>, what: Play): void => {
    if (what.kind === "hang") return;
    if (what.kind === "bytes") return void socket.end(what.bytes);
    if (what.kind === "drip") {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"a":"');
      socket.data.timer = setInterval(() => void socket.write("x"), 20);
      return;
    }
    if (what.kind === "flood") {
      socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n");
      socket.data.flooding = true;
      pour(socket);
      return;
    }
    const body = Buffer.from(what.body as string);
    const headers = { "Content-Type": "application/json", "Content-Length": String(body.length), ...what.headers };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const head = `HTTP/1.1 ${what.status ?? 200} Whatever\r\n${lines.join("\r\n")}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), body]));
  };

  const server = Bun.listen<State>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { received: Buffer.alloc(0) };
        sockets.add(socket);
      },
      data: (socket, chunk) => {
        socket.data.received = Buffer.concat([socket.data.received, chunk]);
        const request = takeRequest(socket.data);
        if (!request) return;
        const index = requests.push(request) - 1;
        Promise.resolve(play(request, index))
          // The client may have gone meanwhile.
          .then((what) => sockets.has(socket) && perform(socket, what))
          .catch(() => socket.end());
      },
      drain: (socket) => {
        if (socket.data.flooding) pour(socket);
      },
      close: (socket) => {
        clearInterval(socket.data.timer);
        sockets.delete(socket);
      },
      error: () => {},
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    open: () => sockets.size,
    stop: () => server.stop(true),
  };
}

/** Writes until the socket takes no more; it asks for more by itself. */
function pour(socket: Socket<State>): void {
  while (socket.write(flood) === flood.length);
}

/** A request that has arrived completely, taken out of what was received. */
function takeRequest(state: State): PlayedRequest | undefined {
  const end = state.received.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [first = "", ...lines] = state.received.subarray(0, end).toString("latin1").split("\r\n");
  const [method = "", path = ""] = first.split(" ");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const length = Number(headers["content-length"] ?? 0);
  const bodyEnd = end + 4 + length;
  if (state.received.length < bodyEnd) return undefined;
  const body = state.received.subarray(end + 4, bodyEnd).toString("utf8");
  state.received = state.received.subarray(bodyEnd);
  return { method, path, headers, body };
}
