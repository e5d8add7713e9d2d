/** The devices of our users that messages can be encrypted for, as we tell them to other servers. */
import type { UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Stream } from '../stream/stream.ts';

export type DevicesOfUser = { readonly userId: UserId; readonly streamId: number; readonly devices: JsonObject[] };

export class ResidentDevices {
  readonly #stream: Stream;

  constructor(deps: { stream: Stream }) {
    this.#stream = deps.stream;
  }

  /**
   * The devices with keys of a user, and up to which change this is so. Users that we do not have are told of as those
   * without such devices (threat D16). A device without keys is no device for other servers; as long as clients cannot
   * give us keys, there are none.
   */
  of(userId: UserId): DevicesOfUser {
    return { userId, streamId: this.#stream.current, devices: [] };
  }
}
