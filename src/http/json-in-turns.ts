/**
 * Large JSON, some of it at a time: whatever another server sends, nobody else waits until one body is read (threats C5,
 * F8). What is large in a request between servers are its lists; each of their items is dealt with by itself.
 */
import { notJson, tooLarge } from '../core/errors.ts';
import { sha256Base64 } from '../core/event-hash.ts';
import { canonicalJson, compareCodePoints, JSON_DEPTH_MAX, type ParseJsonOptions, parseJson } from '../core/json.ts';
import { isJsonObject, type JsonValue } from '../core/json-value.ts';
import { nextTurn } from '../kit/next-turn.ts';

/** What is dealt with before others get their turn: some milliseconds of work. */
const CHARS_PER_TURN = 64 * 1024;
const CHARS_SCANNED_PER_TURN = 1024 * 1024;
/** Far more than any event or EDU has, and some hundredths of a second of work. */
const ITEM_CHARS_MAX = 2 * 1024 * 1024;
/** What stands around the items. */
const REST_CHARS_MAX = 512 * 1024;
const ITEMS_MAX = 10_000;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses as `parseJson` does, with a break after each few items of the lists in a top-level object.
 *
 * @throws MatrixError 400 M_NOT_JSON as `parseJson`; 413 where an item, or what is no item, is larger than any of them is
 */
export async function parseJsonInTurns(bytes: Uint8Array, options: ParseJsonOptions): Promise<JsonValue> {
  const { rest, items } = await takeApart(textOf(bytes));
  const top = parseJson(rest, options);
  const itemOptions = { ...options, depthMax: (options.depthMax ?? JSON_DEPTH_MAX) - 2 };
  const values = await mapInTurns(
    items,
    (item) => parseJson(item, itemOptions),
    (item) => item.length,
  );
  if (!isJsonObject(top)) return top;
  const whole: Record<string, JsonValue> = {};
  for (const [key, value = null] of Object.entries(top)) {
    // The numbers in such a list are those of its items: nothing else was left in it.
    const said = Array.isArray(value) ? value.map((number) => values[number as number]!) : value;
    if (key === '__proto__') Object.defineProperty(whole, key, { value: said, enumerable: true });
    else whole[key] = said;
  }
  return whole;
}

/** The same text as `canonicalJson` gives without `strict`, with a break after each few items of the lists in it. */
export async function canonicalJsonInTurns(value: JsonValue): Promise<string> {
  const textOfPart = (part: JsonValue): string => canonicalJson(part, { strict: false });
  if (!isJsonObject(value)) return textOfPart(value);
  const members: string[] = [];
  for (const key of Object.keys(value).sort(compareCodePoints)) {
    const said = value[key];
    if (said === undefined) continue;
    const text = Array.isArray(said)
      ? `[${(await mapInTurns(said, textOfPart, lengthOf)).join(',')}]`
      : textOfPart(said);
    members.push(`${textOfPart(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}

/** A hash of lists, item by item. */
export async function digestInTurns(lists: readonly (readonly JsonValue[])[]): Promise<string> {
  const hashes: string[][] = [];
  for (const list of lists) {
    hashes.push(
      await mapInTurns(
        list,
        (item) => sha256Base64(JSON.stringify(item)),
        () => CHARS_PER_TURN / 4,
      ),
    );
  }
  return sha256Base64(JSON.stringify(hashes));
}

const lengthOf = (_item: unknown, result: string): number => result.length;

async function mapInTurns<T, U>(
  items: readonly T[],
  map: (item: T) => U,
  sizeOf: (item: T, result: U) => number,
): Promise<U[]> {
  const results: U[] = [];
  let done = 0;
  for (const item of items) {
    if (done > CHARS_PER_TURN) {
      done = 0;
      await nextTurn();
    }
    const result = map(item);
    done += sizeOf(item, result);
    results.push(result);
  }
  return results;
}

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw notJson('The text is not valid UTF-8.');
  }
}

/**
 * The items of the lists that are values of a top-level object, as texts, and the text without them: in each place the
 * item's number. What is no JSON is none in one of the parts.
 */
async function takeApart(text: string): Promise<{ readonly rest: string; readonly items: readonly string[] }> {
  const items: string[] = [];
  const isObject = /^[\t\n\r ]*\{/.test(text);
  let rest = '';
  let from = 0;
  let depth = 0;
  let isInString = false;
  let isInList = false;
  let turnAt = CHARS_SCANNED_PER_TURN;
  const endItem = (at: number): void => {
    const item = text.slice(from, at);
    from = at;
    if (item.trim() === '') {
      rest += item;
      return;
    }
    if (item.length > ITEM_CHARS_MAX) throw tooLarge('A single item of the body is too large.');
    if (items.length >= ITEMS_MAX) throw tooLarge('The body has too many items.');
    rest += items.length;
    items.push(item);
  };
  for (let at = 0; at < text.length; at++) {
    if (at >= turnAt) {
      turnAt = at + CHARS_SCANNED_PER_TURN;
      await nextTurn();
    }
    const unit = text.charCodeAt(at);
    if (isInString) {
      if (unit === BACKSLASH) at++;
      else if (unit === QUOTE) isInString = false;
    } else if (unit === QUOTE) {
      isInString = true;
    } else if (unit === BRACE || unit === BRACKET) {
      depth++;
      if (depth !== 2 || unit !== BRACKET || !isObject) continue;
      isInList = true;
      rest += text.slice(from, at + 1);
      from = at + 1;
    } else if (unit === BRACE_END || unit === BRACKET_END) {
      if (isInList && depth === 2) {
        endItem(at);
        isInList = false;
      }
      depth--;
    } else if (unit === COMMA && isInList && depth === 2) {
      endItem(at);
      rest += ',';
      from = at + 1;
    }
    if (rest.length > REST_CHARS_MAX) break;
  }
  rest += text.slice(from);
  if (rest.length > REST_CHARS_MAX) throw tooLarge('The body is too large.');
  return { rest, items };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const BRACE_END = 0x7d;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
