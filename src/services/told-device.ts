/** A device of ours as `m.device_list_update` tells of it. */
import type { JsonObject } from '../core/json-value.ts';

/** A device with its keys; `displayName` is null where it has none or other servers do not learn it. */
export function toldDevice(keys: JsonObject, displayName: string | null): JsonObject {
  return { keys, ...toldName(displayName) };
}

/** A device without keys. */
export const toldName = (displayName: string | null): JsonObject =>
  displayName === null ? {} : { device_display_name: displayName };

/** A device that ended. */
export const DELETED_DEVICE: JsonObject = { deleted: true };
