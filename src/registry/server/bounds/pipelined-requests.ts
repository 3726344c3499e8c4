import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Clients that wait for an answer before they ask again have one. */
const most = 16;

const underWay = new WeakMap<Socket, number>();

/**
 * Counts the requests that a connection has under way. Cuts a connection with too many, whose
 * answers would all be made at once and wait in memory for a reader: false then.
 */
export function admitPipelined(request: IncomingMessage, response: ServerResponse): boolean {
  const { socket } = request;
  const count = (underWay.get(socket) ?? 0) + 1;
  if (count > most) {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    socket.destroy();
    return false;
  }
  underWay.set(socket, count);
  response.once("close", () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1));
  return true;
}
