import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTemplate } from './template.ts';

const shout = (text: string): string => text.toUpperCase();

test('values, choices within choices and remarks', () => {
  const template = readTemplate(
    'a{# no #}{{ name }}{% if one %}[1{% if not two %}-{% else %}2{% endif %}]{% else %}none{%- endif -%}z',
    shout,
  );

  assert.equal(template({ name: 'x', one: true }), 'aX[1-]z');
  assert.equal(template({ name: '', one: true, two: 'yes' }), 'a[12]z');
  assert.equal(template({ one: '' }), 'anonez');
});

test('what is not known, and what does not end, is refused', () => {
  for (const text of [
    '{{ a.b }}',
    '{{ a | safe }}',
    '{% for x in y %}',
    '{% if a and b %}',
    '{% else %}',
    '{% endif %}',
  ]) {
    assert.throws(() => readTemplate(text, shout), /is not understood/, text);
  }
  assert.throws(() => readTemplate('{% if a %}{% else %}', shout), /has no/);
  assert.throws(() => readTemplate('{% if a %}{% else %}{% else %}{% endif %}', shout), /is not understood/);
});

test('names that every object has are no values', () => {
  assert.equal(readTemplate('{{ constructor }}{% if toString %}x{% endif %}', shout)({}), '');
});
