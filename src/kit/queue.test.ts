/** Queues by key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedQueue, QueueFull } from './queue.ts';

test('work of one key runs in the order it came, work of another does not wait', async () => {
  const queue = new KeyedQueue();
  const done: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();

  const all = [
    queue.run('a', async () => {
      await promise;
      done.push('a1');
    }),
    queue.run('a', () => void done.push('a2')),
    queue.run('a', () => void done.push('a3')),
    queue.run('b', () => void done.push('b1')),
  ];
  await all[3];
  resolve();
  await Promise.all(all);

  assert.deepEqual(done, ['b1', 'a1', 'a2', 'a3']);
  assert.equal(queue.size, 0);
});

test('work that throws gives its error and its place', async () => {
  const queue = new KeyedQueue();

  const failed = queue.run('a', () => Promise.reject(new Error('no')));
  const next = queue.run('a', () => 'yes');

  await assert.rejects(failed, /no/);
  assert.equal(await next, 'yes');
});

test('a queue that is full says so at once', async () => {
  const queue = new KeyedQueue({ atOnce: 2, waitingMax: 1 });
  await queue.enter('a');
  assert.ok(queue.tryEnter('a'));
  const third = queue.enter('a');

  await assert.rejects(queue.enter('a'), QueueFull);

  queue.leave('a');
  await third;
  assert.equal(queue.tryEnter('a'), false);
});

test('whoever gives up while waiting leaves no trace', async () => {
  const queue = new KeyedQueue();
  const controller = new AbortController();
  await queue.enter('a');
  const given = queue.enter('a', controller.signal);
  const next = queue.enter('a');

  controller.abort(new Error('gone'));

  await assert.rejects(given, /gone/);
  queue.leave('a');
  await next;
  queue.leave('a');
  assert.equal(queue.size, 0);
  await assert.rejects(queue.enter('a', controller.signal), /gone/);
  assert.throws(() => queue.leave('a'), /nobody had taken/);
});
