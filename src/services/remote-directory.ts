/** The room directories of other servers. */
import { FEDERATION } from '../contracts/federation/index.ts';
import type { ServerName } from '../core/ids.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import { type DirectoryAsk, PAGE_DEFAULT, PAGE_MAX, type PublicRoom, shownToPublic } from './room-directory.ts';
import { summaryTold } from './told-rooms.ts';

export type RemotePage = {
  readonly chunk: PublicRoom[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly total_room_count_estimate?: number;
};

const TIMEOUT_MS = 20_000;

export class RemoteDirectory {
  readonly #client: Pick<FederationClient, 'call'>;

  constructor(deps: { client: Pick<FederationClient, 'call'> }) {
    this.#client = deps.client;
  }

  /**
   * A page of another server's directory.
   *
   * @throws MatrixError with that server's refusal, 502 where it cannot be asked, 403 where we do not speak with it
   */
  async page(server: ServerName, ask: DirectoryAsk): Promise<RemotePage> {
    const limit = Math.min(ask.limit === undefined || ask.limit <= 0 ? PAGE_DEFAULT : ask.limit, PAGE_MAX);
    const reply = await this.#ask(server, { ...ask, limit });
    return {
      chunk: reply.chunk
        .slice(0, limit)
        .map(summaryTold)
        .filter((summary) => summary !== null)
        .map(shownToPublic),
      ...(reply.next_batch === undefined ? {} : { next_batch: reply.next_batch }),
      ...(reply.prev_batch === undefined ? {} : { prev_batch: reply.prev_batch }),
      ...(reply.total_room_count_estimate === undefined
        ? {}
        : { total_room_count_estimate: reply.total_room_count_estimate }),
    };
  }

  async #ask(server: ServerName, ask: DirectoryAsk & { readonly limit: number }) {
    const page = {
      limit: ask.limit,
      ...(ask.since === undefined || ask.since === '' ? {} : { since: ask.since }),
      ...(ask.network === undefined || ask.network === null ? {} : { third_party_instance_id: ask.network }),
      ...(ask.allNetworks === true ? { include_all_networks: true } : {}),
    };
    const { searchTerm, roomTypes } = ask;
    // A user waits for it and named the server: it is asked though it did not answer lately.
    const options = { timeoutMs: TIMEOUT_MS, ignoresBackOff: true };
    try {
      if (searchTerm === undefined && roomTypes === undefined) {
        return await this.#client.call(server, FEDERATION.getPublicRooms, { query: page }, options);
      }
      const filter = {
        ...(searchTerm === undefined ? {} : { generic_search_term: searchTerm }),
        ...(roomTypes === undefined ? {} : { room_types: [...roomTypes] }),
      };
      return await this.#client.call(server, FEDERATION.queryPublicRooms, { body: { ...page, filter } }, options);
    } catch (error) {
      throw error instanceof RemoteError ? error.passedOn() : error;
    }
  }
}
