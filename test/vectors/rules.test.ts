import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGlob } from '../../src/core/glob.ts';
import { parseJson } from '../../src/core/json.ts';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import { readLevel } from '../../src/core/power-levels.ts';
import { ROOM_RULES } from '../../src/core/room-versions.ts';
import { serverAclOf } from '../../src/core/server-acl.ts';
import { readVectors } from './vectors.ts';

test('globs match as the vectors say', () => {
  const { cases } = readVectors<{ cases: { glob: string; text: string; match: boolean }[] }>('glob');
  for (const { glob, text, match } of cases) assert.equal(compileGlob(glob)(text), match, `${glob} on ${text}`);
});

test('server ACLs decide as the vectors say', () => {
  const { cases } = readVectors<{ cases: { acl: JsonObject | null; server: string; allowed: boolean }[] }>(
    'server-acl',
  );
  for (const { acl, server, allowed } of cases) {
    assert.equal(serverAclOf(acl ?? undefined).allows(server), allowed, `${server} under ${JSON.stringify(acl)}`);
  }
});

test('power levels in strings and fractions are read in the room versions that allow them (B7)', () => {
  const vectors = readVectors<{
    v1_to_v9_strings: { value: JsonValue; level: number | null }[];
    v1_to_v5_floats: { json: string; level: number | null }[];
  }>('power-level-values');
  for (const rules of ROOM_RULES.values()) {
    const version = Number(rules.version);
    for (const { value, level } of vectors.v1_to_v9_strings) {
      assert.equal(readLevel(rules, value), version <= 9 ? level : null, `${value} in version ${version}`);
    }
    for (const { json, level } of vectors.v1_to_v5_floats) {
      for (const keepNumberText of [true, false]) {
        // Without its text, 5.114698E4 is the same double as an integer.
        if (!keepNumberText && Number.isInteger(Number(json))) continue;
        const value = parseJson(json, { keepNumberText });
        assert.equal(readLevel(rules, value), version <= 5 ? level : null, `${json} in version ${version}`);
      }
    }
  }
});
