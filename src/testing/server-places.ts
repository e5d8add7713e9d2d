/** Where the servers of a test are, in place of discovery: plain HTTP on this machine. */
import type { Discovery } from '../remote/discovery.ts';
import { RemoteError } from '../remote/remote-error.ts';

/** Finds servers in a map of `http://127.0.0.1:…` by name, which may change at any time. All others are unreachable. */
export function discoveryOf(places: ReadonlyMap<string, string>): Discovery {
  return {
    async find(serverName) {
      const url = places.get(serverName);
      if (url === undefined) throw new RemoteError('unreachable', `There is no server ${serverName} in this test.`);
      const { hostname, port } = new URL(url);
      return [{ endpoint: { host: hostname, port: Number(port), tls: null }, hostHeader: serverName }];
    },
  };
}
