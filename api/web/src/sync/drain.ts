import { Connection, socketUrl } from './connection';
import { frameOf, Outbox } from './outbox';
import type { Session } from './session';
import type { Slot } from './slots';

/**
 * Sends what a closed tab left waiting, over a socket of that tab's own client id: the server knows by it what it has done already.
 * The slot is released once everything was answered; until then another try follows every reconnect.
 */
export function drain(session: Session, slot: Slot): void {
  const outbox = new Outbox(slot, slot.waiting);
  const connection = new Connection({
    url: socketUrl(session.room.id),
    client: () => slot.client,
    token: () => session.identity.token,
    resume: () => session.doc.revision,
    reauthenticate: () => Promise.resolve(false),
  });
  const pump = () => {
    for (const entry of outbox.takeUnsent()) connection.send(frameOf(entry));
  };
  connection.phases.on((phase) => {
    if (phase === 'live') pump();
    else outbox.unsend();
    if (phase === 'stopped') slot.release();
  });
  connection.messages.on((message) => {
    if (message.type !== 'ack' && message.type !== 'reject') return;
    if (message.type === 'reject') session.notice.emit(`A change of a closed tab was refused: ${message.detail || message.code}`);
    outbox.remove(message.seq);
    pump();
    if (outbox.size === 0) connection.stop();
  });
  session.connection.phases.on((phase) => phase === 'stopped' && connection.phase !== 'stopped' && connection.stop());
  connection.start();
}
