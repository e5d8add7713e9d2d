/** Filters: whatever a client sends is compiled or refused, and a compiled one judges any event. */
import assert from 'node:assert/strict';
import { MatrixError } from '../../../src/core/errors.ts';
import { compileFilter } from '../../../src/core/filter.ts';
import type { JsonValue } from '../../../src/core/json-value.ts';
import type { Random } from '../../../src/kit/random.ts';
import { jsonObject, jsonValue, oneIn, text } from '../generate.ts';
import type { FuzzTarget } from '../target.ts';

const texts = (random: Random): JsonValue =>
  oneIn(random, 10) ? jsonValue(random) : Array.from({ length: random.integer(5) }, () => text(random));
const ids = (random: Random, sigil: string): JsonValue =>
  oneIn(random, 10) ? texts(random) : Array.from({ length: random.integer(5) }, () => `${sigil}${text(random)}:a`);
const maybe = <T>(random: Random, value: T): T | undefined => (oneIn(random, 2) ? value : undefined);

function eventFilter(random: Random) {
  return {
    types: maybe(random, texts(random)),
    not_types: maybe(random, texts(random)),
    senders: maybe(random, ids(random, '@')),
    not_senders: maybe(random, ids(random, '@')),
    rooms: maybe(random, ids(random, '!')),
    contains_url: maybe(random, oneIn(random, 9) ? jsonValue(random) : oneIn(random, 2)),
    limit: maybe(random, oneIn(random, 9) ? jsonValue(random) : random.integer(100)),
  };
}

export const target: FuzzTarget = {
  name: 'filter',
  tryOne(random: Random): void {
    const body = oneIn(random, 20)
      ? jsonValue(random)
      : {
          event_fields: maybe(random, texts(random)),
          event_format: maybe(random, oneIn(random, 4) ? text(random) : 'federation'),
          presence: maybe(random, eventFilter(random)),
          room: {
            timeline: eventFilter(random),
            state: maybe(random, jsonValue(random)),
            rooms: maybe(random, ids(random, '!')),
          },
        };
    let filter: ReturnType<typeof compileFilter>;
    try {
      filter = compileFilter(body);
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      assert.ok(error.errcode === 'M_BAD_JSON' || error.errcode === 'M_INVALID_PARAM');
      return;
    }
    const event = { type: text(random), sender: `@${text(random)}:a`, content: jsonObject(random) };
    const { timeline } = filter.room;
    const isAllowed = timeline.allows(event) && timeline.allowsRoom(`!${text(random)}:a`);
    assert.ok(!(isAllowed && timeline.isNothing), 'a filter for nothing lets nothing through');
    assert.ok(timeline.allows(event) || !timeline.isEverything, 'a filter for everything lets everything through');
    const cut = filter.project?.(event);
    if (cut !== undefined) assert.ok(JSON.stringify(cut).length <= JSON.stringify(event).length);
  },
};
