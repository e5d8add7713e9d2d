import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import type { ServerName } from '../core/ids.ts';
import { handClock } from '../kit/clock.ts';
import { silentLog } from '../kit/log.ts';
import { findReceivedTransaction } from '../storage/received-transactions.ts';
import { ReceivedAnswers } from './received-answers.ts';

const ORIGIN = 'remote.test' as ServerName;
const answer = (txnId: string, digest = 'a digest') => ({ origin: ORIGIN, txnId, digest, reply: `to ${txnId}` });

forEachDatabase((kind) => {
  test('answers gather, are found at once, and are on disk together', async (t) => {
    const [db, clock] = [await engineDatabase(t, kind), handClock()];
    const answers = new ReceivedAnswers({ db, clock, log: silentLog });
    answers.keep(answer('one'), false);
    answers.keep(answer('two'), false);

    assert.equal(await answers.find(ORIGIN, 'one', 'a digest'), 'to one');
    assert.equal(await answers.find(ORIGIN, 'one', 'another'), null);
    assert.equal(await findReceivedTransaction(db, ORIGIN, 'one'), undefined);
    clock.advance(1000);
    await answers.stop();
    for (const txnId of ['one', 'two']) {
      assert.equal((await findReceivedTransaction(db, ORIGIN, txnId))?.reply, `to ${txnId}`);
    }
  });

  test('an answer that must not be lost goes to the disk at once, and those that wait go with it', async (t) => {
    const db = await engineDatabase(t, kind);
    const answers = new ReceivedAnswers({ db, clock: handClock(), log: silentLog });
    answers.keep(answer('one'), false);
    answers.keep(answer('two'), true);
    await db.commit([]);

    assert.equal((await findReceivedTransaction(db, ORIGIN, 'one'))?.reply, 'to one');
    assert.equal((await findReceivedTransaction(db, ORIGIN, 'two'))?.reply, 'to two');
    await answers.stop();
  });

  test('another answer under the same ID takes the place of the first', async (t) => {
    const db = await engineDatabase(t, kind);
    const answers = new ReceivedAnswers({ db, clock: handClock(), log: silentLog });
    answers.keep(answer('one'), true);
    answers.keep(answer('one', 'another'), false);
    await answers.stop();

    assert.equal(await answers.find(ORIGIN, 'one', 'a digest'), null);
    assert.equal(await answers.find(ORIGIN, 'one', 'another'), 'to one');
  });
});
