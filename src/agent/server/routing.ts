import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { CallerKind } from "../api/routes.ts";
import { answerError, createExchange, type Exchange } from "./exchange.ts";

/** What one method on one path does. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** A path, or one that ends in `/:id`. */
  readonly path: string;
  /** Who may. */
  readonly for: readonly CallerKind[];
  answer(exchange: Exchange, id: string): Promise<void>;
}

export interface ListenerOptions {
  readonly kind: CallerKind;
  /** Ends what waits. */
  readonly stopped: AbortSignal;
  /** Hears of answers that failed by a defect. */
  readonly onDefect: (path: string, error: unknown) => void;
}

/** Answers the requests of one kind of callers. */
export function createListener(
  routes: readonly Route[],
  { kind, stopped, onDefect }: ListenerOptions,
): RequestListener {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const exchange = createExchange(request, response, stopped);
    try {
      const { route, id } = find(routes, kind, request.method ?? "", exchange.url.pathname);
      await route.answer(exchange, id);
    } catch (error) {
      if (!isModelError(error)) onDefect(exchange.url.pathname, error);
      answerError(exchange, response, error);
    }
  };
  return (request, response) => void answer(request, response);
}

function find(routes: readonly Route[], kind: CallerKind, method: string, path: string) {
  const [, parent = "", last = ""] = /^(.*)\/([^/]*)$/.exec(path) ?? [];
  const there = routes.filter((route) => route.path === path || route.path === `${parent}/:id`);
  const route = there.find((each) => each.method === method);
  if (route === undefined)
    throw new ModelError("NOT_FOUND", `the agent has no ${method} ${path}`, {
      hint: "docs/agent-api.md lists what it has",
    });
  if (!route.for.includes(kind))
    throw new ModelError("FORBIDDEN", `${method} ${path} is not for callers of ${kind}/`, {
      hint: `ask at the socket in ${route.for.join("/ or ")}/`,
    });
  return { route, id: route.path === path ? "" : last };
}
