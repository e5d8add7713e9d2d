/** The shapes of JSON as the protocol handles it. */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/**
 * A JSON object off the wire. In rooms of version 1 to 5 a number that a double cannot hold exactly is kept as the raw
 * text it came in (`JSON.rawJSON`), see `json.ts`; such a value is an object for which `JSON.isRawJSON` holds.
 */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Whether a value is a JSON object: neither null, nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
