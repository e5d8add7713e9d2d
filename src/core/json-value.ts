/** The shapes of JSON as the protocol handles it. */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/**
 * A JSON object off the wire. In rooms of version 1 to 5 a number that a double cannot hold exactly is kept as the raw
 * text it came in (`JSON.rawJSON`), see `json.ts`; such a value is an object for which `JSON.isRawJSON` holds.
 */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Whether a value is a JSON object: neither null, nor an array, nor a number kept as text. */
export function isJsonObject(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  // Asked of the key first, because the engine's own test is a call that is never inlined.
  return !('rawJSON' in value) || !isRawNumber(value);
}

/** Whether a value stands for a number that was kept as its text. */
export function isRawNumber(value: unknown): value is { readonly rawJSON: string } {
  // A cast, because every Node that we support has the function and only the type library lacks it.
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}
