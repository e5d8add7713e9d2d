/** Paths of the client-server API under every version of it that clients still ask for. */

/** A path under `v3`, and under `r0` as before version 1.1 of the specification. */
export function v3(path: string, ...others: readonly string[]): { path: string; alsoAt: string[] } {
  const all = [path, ...others].flatMap((each) => [`/_matrix/client/v3${each}`, `/_matrix/client/r0${each}`]);
  return { path: all[0]!, alsoAt: all.slice(1) };
}

/**
 * The body of a request that becomes one event. An event has at most 65,536 bytes, and JSON may write each of them as
 * six; what is larger is refused before it costs anything (threat F8).
 */
export const EVENT_BODY_BYTES_MAX = 6 * 65_536;
