/** Calls to other servers in tests, over plain HTTP to wherever a map says that they are. Nothing is signed. */
import { parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/json-value.ts';
import type { ServerCaller } from '../remote/keyring.ts';
import { RemoteError } from '../remote/remote-error.ts';

/** By server name, `http://127.0.0.1:…`. */
export function callerTo(places: ReadonlyMap<string, string>): ServerCaller {
  return {
    async call(destination, operation, input) {
      const place = places.get(destination);
      if (place === undefined) throw new RemoteError('unreachable', `There is no server ${destination} in this test.`);
      const given = input as { params?: Record<string, string>; query?: Record<string, string>; body?: object };
      const path = operation.path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(given.params?.[name] ?? ''));
      const url = new URL(place + path);
      for (const [name, value] of Object.entries(given.query ?? {})) url.searchParams.set(name, String(value));
      const answer = await fetch(url, {
        method: operation.method,
        ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) }),
      }).catch((cause) => {
        throw new RemoteError('unreachable', `${destination} does not answer.`, { cause });
      });
      const body = parseJson(await answer.text(), { keepNumberText: true });
      if (answer.status !== 200) {
        const facts = { remoteStatus: answer.status, ...(isJsonObject(body) ? { remoteBody: body } : {}) };
        throw new RemoteError('refused', `${destination} refuses.`, facts);
      }
      if (operation.reply.check(body) !== null) throw new RemoteError('bad-reply', `${destination} talks nonsense.`);
      // The check says that it is the operation's reply.
      return body as never;
    },
  };
}
