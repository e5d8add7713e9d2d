/** Metrics and their bound. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

test('past the bound new label values are counted together, so that strangers cannot open series (threat F6)', async () => {
  const metrics = new Metrics({ seriesMax: 2 });
  const family = metrics.counter({ name: 'met', help: 'Servers met.', labels: ['server'] });

  for (const server of ['a', 'b', 'c', 'd', 'a']) family.with(server).inc();
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('met'));

  assert.deepEqual(lines, ['met{server="a"} 2', 'met{server="b"} 1', 'met{server="other"} 2']);
});

test('gauges are set or read at collection, histograms count by bucket', async () => {
  const metrics = new Metrics();
  metrics.gauge({ name: 'set', help: 'A gauge.', labels: [] }).with().set(3);
  metrics.measured('read', 'A gauge.', () => 4);
  metrics
    .histogram({ name: 'took_seconds', help: 'Times.', labels: ['what'], buckets: [1, 2] })
    .with('x')
    .observe(1.5);

  const text = await metrics.text();

  assert.match(text, /^set 3$/m);
  assert.match(text, /^read 4$/m);
  assert.match(text, /^took_seconds_bucket\{le="1",what="x"\} 0$/m);
  assert.match(text, /^took_seconds_bucket\{le="2",what="x"\} 1$/m);
  assert.match(metrics.contentType, /^text\/plain/);
});
