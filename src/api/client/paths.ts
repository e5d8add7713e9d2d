/** Paths of the client-server API under every version of it that clients still ask for. */

/** A path under `v3`, and others with the same meaning. What older clients call it: `todaysPaths`. */
export function v3(path: string, ...others: readonly string[]): { path: string; alsoAt: string[] } {
  return { path: `/_matrix/client/v3${path}`, alsoAt: others.map((other) => `/_matrix/client/v3${other}`) };
}

/** `r0` until version 1.1 of the specification, `api/v1` and `v2_alpha` before it; `unstable` held them all. */
const OLD_PREFIX = /^\/_matrix\/client\/(?:r0|unstable|v2_alpha|api\/v1)(?=\/)/;

/**
 * Today's paths for one of an older version of the API, in the order to try: `v3`, and for what came later `v1`. Not
 * written into the declarations: four more names for each endpoint would cost memory on every server for few clients.
 */
export function todaysPaths(path: string): readonly string[] {
  const [prefix] = OLD_PREFIX.exec(path) ?? [];
  if (prefix === undefined) return [];
  const rest = path.slice(prefix.length);
  return [`/_matrix/client/v3${rest}`, `/_matrix/client/v1${rest}`];
}

/**
 * The body of a request that becomes one event. An event has at most 65,536 bytes, and JSON may write each of them as
 * six; what is larger is refused before it costs anything (threat F8).
 */
export const EVENT_BODY_BYTES_MAX = 6 * 65_536;
