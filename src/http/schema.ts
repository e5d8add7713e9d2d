/** Schemas of requests and replies: small combinators over typebox, with static types. */
import type { Readable } from 'node:stream';
import Type, { type Static, type TProperties, type TSchema, type TUnsafe } from 'typebox';
import { Compile } from 'typebox/compile';
import {
  type EventId,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';

/** Any text. */
export const string = Type.String();
/** Any finite number. */
export const number = Type.Number();
/** A whole number that a double holds exactly, as the protocol's integers are. */
export const integer = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });
export const boolean = Type.Boolean();
/** Any JSON value. */
export const anyJson: TUnsafe<JsonValue> = Type.Unsafe<JsonValue>({});
/** Any JSON object. */
export const anyObject: TUnsafe<JsonObject> = Type.Unsafe<JsonObject>({ type: 'object' });
/** An object with these keys; keys that are not named are let through and reach the handler. */
export const object = <P extends TProperties>(properties: P) => Type.Object(properties);
/** A key that may be missing. `null` is not a missing key: use `optional(orNull(…))` where clients send it. */
export const optional = <S extends TSchema>(schema: S) => Type.Optional(schema);
export const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
/** One of these texts. */
export const oneOf = <const V extends readonly [string, ...string[]]>(...values: V): TUnsafe<V[number]> =>
  Type.Unsafe<V[number]>({ type: 'string', enum: values });
/** One of several shapes. */
export const anyOf = <S extends TSchema[]>(...schemas: S) => Type.Union(schemas);
export const array = <S extends TSchema>(items: S, limits: { maxItems?: number } = {}) => Type.Array(items, limits);
/** Text with a length in UTF-16 units from 0 up to and including `maxLength`. */
export const stringUpTo = (maxLength: number) => Type.String({ maxLength });
/** A whole number from `minimum` up to and including `maximum`. */
export const integerBetween = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });
/** An object with any keys, all values of one shape. */
export const record = <S extends TSchema>(values: S): TUnsafe<Readonly<Record<string, Static<S>>>> =>
  // Not `Type.Record`: that checks only keys that match /^.*$/, so a line break in a key would smuggle any value in.
  Type.Unsafe<Readonly<Record<string, Static<S>>>>({ type: 'object', additionalProperties: values });
/** The reply `{}`. */
export const empty = object({});

const id = <I extends string>(what: string, parse: (text: unknown) => I | null) =>
  Type.Refine(
    Type.Unsafe<I>({ type: 'string' }),
    (value) => parse(value) !== null,
    () => `is not ${what}`,
  );

export const userId = id<UserId>('a user ID', parseUserId);
export const roomId = id<RoomId>('a room ID', parseRoomId);
export const eventId = id<EventId>('an event ID', parseEventId);
export const roomAlias = id<RoomAlias>('a room alias', parseRoomAlias);
export const serverName = id<ServerName>('a server name', parseServerName);
/** What `join` and `knock` take: an ID or an alias. */
export const roomIdOrAlias = id<RoomId | RoomAlias>('a room ID or alias', (text) =>
  typeof text === 'string' && text.startsWith('#') ? parseRoomAlias(text) : parseRoomId(text),
);

/** Where the body's bytes go: parsed as JSON, parsed as a form, handed over whole, or handed over as they come. */
export type BodyKind = 'json' | 'form' | 'bytes' | 'stream';
const BODY_KIND = 'x-body-kind';

/** A request body that the handler reads as it arrives. Reading throws 413 past the endpoint's `bodyBytesMax`. */
export const byteStream: TUnsafe<Readable> = Type.Unsafe<Readable>({ [BODY_KIND]: 'stream' });
/** A request body of any type, whole. */
export const bytes: TUnsafe<Buffer> = Type.Unsafe<Buffer>({ [BODY_KIND]: 'bytes' });
/** A body of type `application/x-www-form-urlencoded`; values are converted as a query's are. */
export const form = <P extends TProperties>(properties: P) => Type.Object(properties, { [BODY_KIND]: 'form' });

/** What kind of body a schema asks for. */
export function bodyKindOf(schema: TSchema): BodyKind {
  const kind = (schema as { [BODY_KIND]?: BodyKind })[BODY_KIND];
  return kind ?? 'json';
}

/** One thing that is wrong with a value. */
export type Complaint = {
  /** `content.users[3]`; empty for the value itself. */
  readonly path: string;
  readonly kind: 'missing' | 'type' | 'value';
  /** Goes on after the path: "must be a string". */
  readonly sentence: string;
};

/** Gives null where a value has the shape, else the first thing that is wrong with it. */
export type Check = (value: unknown) => Complaint | null;

/**
 * The check of a schema. It is compiled at its first use: 0.3 ms a schema would be a quarter of a second at start for
 * all endpoints together; afterwards a check of a small object takes 15 ns.
 */
export function checkOf(schema: TSchema): Check {
  let compiled: { Check(value: unknown): boolean; Errors(value: unknown): readonly ValidationError[] } | null = null;
  return (value) => {
    compiled ??= Compile(schema);
    return compiled.Check(value) ? null : complaintOf(compiled.Errors(value));
  };
}

type ValidationError = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
};

function complaintOf(errors: readonly ValidationError[]): Complaint {
  const first = errors[0];
  if (first === undefined) return { path: '', kind: 'type', sentence: 'has the wrong shape' };
  // A union complains of each of its branches first, which reads as nonsense.
  const union = errors.find((error) => error.keyword === 'anyOf' && first.instancePath.startsWith(error.instancePath));
  if (union !== undefined && union !== first) {
    return { path: pathOf(union.instancePath), kind: 'type', sentence: 'has none of the shapes that are allowed' };
  }
  const path = pathOf(first.instancePath);
  switch (first.keyword) {
    case 'required': {
      const [key] = (first.params as { requiredProperties: readonly string[] }).requiredProperties;
      return { path: path === '' ? `${key}` : `${path}.${key}`, kind: 'missing', sentence: 'is missing' };
    }
    case 'enum': {
      const { allowedValues } = first.params as { allowedValues: readonly unknown[] };
      return { path, kind: 'value', sentence: `must be one of ${allowedValues.join(', ')}` };
    }
    case 'type':
      return { path, kind: 'type', sentence: `must be of type ${(first.params as { type: string }).type}` };
    default:
      return { path, kind: 'value', sentence: first.message };
  }
}

/** A JSON pointer as people write it: `/a/0/b` is `a[0].b`. */
function pathOf(pointer: string): string {
  let path = '';
  for (const raw of pointer.split('/').slice(1)) {
    const part = raw.replaceAll('~1', '/').replaceAll('~0', '~');
    if (/^\d+$/.test(part) && path !== '') path += `[${part}]`;
    else path += path === '' ? part : `.${part}`;
  }
  return path.length > 100 ? `${path.slice(0, 100)}…` : path;
}

type Text = string | readonly string[] | undefined;

/**
 * Turns the texts of a query or a form into the types that a schema asks for. What cannot be turned stays text, so that
 * the check names it. A parameter that came several times is its first value, except where the schema asks for an array.
 */
export function converterOf(schema: TSchema): (texts: Readonly<Record<string, Text>>) => Record<string, unknown> {
  const properties = (schema as { properties?: Readonly<Record<string, TSchema>> }).properties ?? {};
  const steps = Object.entries(properties).map(([key, property]) => ({ key, convert: convert(property) }));
  return (texts) => {
    const out: Record<string, unknown> = {};
    for (const { key, convert } of steps) {
      const text = Object.hasOwn(texts, key) ? texts[key] : undefined;
      if (text !== undefined) out[key] = convert(text);
    }
    return out;
  };
}

function convert(schema: TSchema): (text: string | readonly string[]) => unknown {
  const { type, items } = schema as { type?: string; items?: TSchema };
  if (type === 'array') {
    const one = items === undefined ? (text: string | readonly string[]) => text : convert(items);
    return (text) => (typeof text === 'string' ? [one(text)] : text.map((each) => one(each)));
  }
  const single = (text: string | readonly string[]): string => (typeof text === 'string' ? text : (text[0] ?? ''));
  if (type === 'integer' || type === 'number') {
    return (text) => (/^-?\d{1,17}(\.\d{1,17})?$/.test(single(text)) ? Number(single(text)) : single(text));
  }
  if (type === 'boolean') {
    return (text) => {
      const word = single(text);
      return word === 'true' ? true : word === 'false' ? false : word;
    };
  }
  return single;
}
