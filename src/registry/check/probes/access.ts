import { type Challenge, parseChallenges } from "../../client/auth/challenge.ts";
import { repositoryScope } from "../../client/auth/scope.ts";
import { requestToken } from "../../client/auth/token.ts";
import type { Ground } from "../ground.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { describe, hear, type Said, want } from "../said.ts";

const limitBytes = 65_536;

/** How a registry lets in. */
export const accessProbes: readonly Probe[] = [
  {
    id: "api",
    title: "the API answers at /v2/",
    needed: "pull",
    async run(ground) {
      const at = new URL("/v2/", ground.site.way.session.origin);
      want(await ground.ask({ method: "GET", at }), 200);
      return yes;
    },
  },
  {
    id: "challenge",
    title: "a request without a login is told how to log in",
    needed: "extra",
    async run(ground) {
      const { challenges } = await askAnonymously(ground);
      const known = challenges.filter(({ scheme }) => /^(?:basic|bearer)$/.test(scheme));
      return known.length > 0 ? yes : { result: "no", said: "401 without Basic or Bearer" };
    },
  },
  {
    id: "token-scope",
    title: "the challenge names the repository and what may be done to it",
    needed: "extra",
    async run(ground) {
      const scope = (await askForBearer(ground)).parameters.get("scope") ?? "";
      const { repository } = ground.site.way.session;
      const named = scope.startsWith(`repository:${repository}:`) && /\bpull\b/.test(scope);
      return named ? yes : { result: "no", said: "401 without the scope" };
    },
  },
  {
    id: "token-life",
    title: "a token lasts for a minute or longer",
    needed: "fast",
    async run(ground) {
      const bearer = await askForBearer(ground);
      const { session, wire, credentials } = ground.site.way;
      const realm = realmOf(bearer, session.origin);
      const { useUntilMs } = await requestToken(wire, {
        realm,
        service: bearer.parameters.get("service"),
        scopes: [repositoryScope(session.repository, false)],
        credential: await credentials?.get(session.host, session.repository),
        host: session.host,
      });
      // A quarter of its life is margin, at most 30 s.
      return useUntilMs - Date.now() >= 40_000 ? yes : { result: "no", said: "less than a minute" };
    },
  },
];

/** What the registry says to somebody unknown; ends the probe where it is open to all. */
async function askAnonymously(ground: Ground): Promise<{ said: Said; challenges: Challenge[] }> {
  const { session, wire } = ground.site.way;
  const what = `an anonymous request to ${session.host}`;
  const answer = await wire.send("registry", {
    method: "GET",
    url: session.url("tags/list"),
    signal: ground.signal,
    what,
  });
  const said = await hear(answer, what, limitBytes);
  if (said.status === 200 || said.status === 404) throw new Unmet("skipped", "open to all");
  if (said.status !== 401) throw new Unmet("no", describe(said));
  return { said, challenges: parseChallenges(said.headers["www-authenticate"]) };
}

async function askForBearer(ground: Ground): Promise<Challenge> {
  const { challenges } = await askAnonymously(ground);
  const bearer = challenges.find(({ scheme }) => scheme === "bearer");
  if (bearer === undefined) throw new Unmet("skipped", "no tokens");
  return bearer;
}

function realmOf({ parameters }: Challenge, origin: URL): URL {
  const text = parameters.get("realm") ?? "";
  const realm = URL.canParse(text, origin.href) ? new URL(text, origin) : undefined;
  const isSafe = realm?.protocol === "https:" || realm?.protocol === origin.protocol;
  if (realm === undefined || !isSafe) throw new Unmet("no", "401 with a realm that cannot be used");
  return realm;
}
